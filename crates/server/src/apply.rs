//! What a change of the settings asks of the running server. Most settings are read anew each time
//! they matter; these are not.
//!
//! Called while the change is under way: whatever is declined here leaves everything as it was, so
//! what can be declined comes first.

use crate::config::{Changes, Declined};
use crate::process;
use crate::server::Server;
use crate::tls::{self, Loaded};

/// The settings that say how TLS is spoken.
const TLS: [&str; 5] =
    ["tls-cert-file", "tls-key-file", "tls-ca-cert-file", "tls-auth-clients", "tls-protocols"];

impl Server {
    /// Acts on a change of the settings.
    ///
    /// # Errors
    /// The setting that the server cannot act on, before anything was done.
    pub fn apply(&self, changes: &Changes) -> Result<(), Declined> {
        let tls = load_tls(changes)?;
        room_for_clients(changes)?;
        if let Some(loaded) = tls {
            self.tls.replace(loaded);
        }
        self.change_log_level(changes);
        self.change_access(changes);
        if changes.differ(|config| config.durability) {
            self.durability.set(changes.after.durability);
        }
        Ok(())
    }

    fn change_access(&self, changes: &Changes) {
        if changes.set.contains(&"requirepass") {
            let password = changes.after.requirepass.reveal().map(str::as_bytes);
            self.acl.set_default_password(password);
        }
        if changes.differ(|config| config.acllog_max_len) {
            self.acl.log().set_capacity(changes.after.acllog_max_len as usize);
        }
    }

    fn change_log_level(&self, changes: &Changes) {
        if changes.differ(|config| config.log_level)
            && let Some(logging) = self.logging.get()
        {
            logging.set_level(changes.after.log_level);
        }
    }
}

/// What TLS is spoken with from here on. Files that are named again are read again.
fn load_tls(changes: &Changes) -> Result<Option<Loaded>, Declined> {
    if !changes.set.iter().any(|name| TLS.contains(name)) {
        return Ok(None);
    }
    let why = |problem: tls::TlsProblem| Declined {
        setting: problem.setting,
        why: format!("{}: {}", problem.path.display(), problem.detail),
    };
    tls::load(&changes.after).map_err(why)
}

fn room_for_clients(changes: &Changes) -> Result<(), Declined> {
    let wanted = u64::from(changes.after.maxclients);
    if !changes.differ(|config| config.maxclients) || process::make_room(wanted) == wanted {
        return Ok(());
    }
    let most = process::make_room(wanted);
    let why = format!(
        "The operating system is not able to handle the specified number of clients, try with {most}"
    );
    Err(Declined { setting: "maxclients", why })
}
