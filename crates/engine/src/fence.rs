//! The store's last resort: after a failure that leaves unknown what is on disk, no more writes.
//!
//! A failed sync is the usual cause: the system may have dropped the pages it could not write and
//! call the next sync a success (Rebello et al., *Can Applications Recover from fsync Failures?*,
//! USENIX ATC 2020). So it is never tried again; opening the store anew reads what is truly there.

use std::sync::OnceLock;

use crate::error::{Error, Result};

/// Up until raised; then up for good.
#[derive(Debug, Default)]
pub struct Fence {
    cause: OnceLock<String>,
}

impl Fence {
    /// Lets writes pass, unless the fence was raised.
    ///
    /// # Errors
    /// [`Error::Fenced`].
    pub fn check(&self) -> Result<()> {
        match self.cause.get() {
            Some(cause) => Err(Error::Fenced { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    /// Stops all writes from here on because of `cause`; the first cause stays.
    pub fn raise(&self, cause: &Error) {
        let _ = self.cause.set(cause.to_string());
    }
}
