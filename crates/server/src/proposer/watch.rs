//! `WATCH`: who wants to know that a key was written to.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Raised when a watched key is written to.
#[derive(Clone, Debug, Default)]
pub struct WatchFlag(Arc<AtomicBool>);

impl WatchFlag {
    /// Whether a watched key was written to.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Raises it.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is(&self, other: &WatchFlag) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The watched keys. Empty nearly always, and then costs nothing.
#[derive(Debug, Default)]
pub struct Watches {
    by_key: HashMap<Box<[u8]>, Vec<WatchFlag>>,
}

impl Watches {
    /// Has `flag` raised by writes to `key`.
    pub fn add(&mut self, key: &[u8], flag: &WatchFlag) {
        match self.by_key.get_mut(key) {
            Some(flags) => flags.push(flag.clone()),
            None => {
                self.by_key.insert(key.into(), vec![flag.clone()]);
            }
        }
    }

    /// Ends that.
    pub fn remove(&mut self, key: &[u8], flag: &WatchFlag) {
        if let Some(flags) = self.by_key.get_mut(key) {
            flags.retain(|other| !other.is(flag));
            if flags.is_empty() {
                self.by_key.remove(key);
            }
        }
        if self.by_key.is_empty() {
            self.by_key.shrink_to_fit();
        }
    }

    /// Raises all flags.
    pub fn touched_all(&self) {
        self.by_key.values().flatten().for_each(WatchFlag::raise);
    }

    /// Raises the flags of those who watch `key`.
    #[inline]
    pub fn touched(&self, key: &[u8]) {
        if self.by_key.is_empty() {
            return;
        }
        for flag in self.by_key.get(key).into_iter().flatten() {
            flag.raise();
        }
    }
}
