//! What a change of the settings asks of the running server. Most settings are read anew each time
//! they matter; these are not.
//!
//! Called while the change is under way: whatever is declined here leaves everything as it was, so
//! what can be declined comes first.

use crate::config::{Changes, Declined};
use crate::server::Server;

impl Server {
    /// Acts on a change of the settings.
    ///
    /// # Errors
    /// The setting that the server cannot act on, before anything was done.
    pub fn apply(&self, changes: &Changes) -> Result<(), Declined> {
        if changes.differ(|config| config.durability) {
            self.durability.set(changes.after.durability);
        }
        if changes.set.contains(&"requirepass") {
            let password = changes.after.requirepass.reveal().map(str::as_bytes);
            self.acl.set_default_password(password);
        }
        if changes.differ(|config| config.acllog_max_len) {
            self.acl.log().set_capacity(changes.after.acllog_max_len as usize);
        }
        Ok(())
    }
}
