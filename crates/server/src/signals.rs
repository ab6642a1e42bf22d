//! The signals that a server heeds.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// To finish what was accepted and end (SIGINT, SIGTERM).
    End,
    /// To read certificates and users anew (SIGHUP).
    Reload,
}

/// Calls `heed` for every signal, on a thread of its own, as long as the process lives.
///
/// # Errors
/// The system's.
pub fn watch(heed: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("aryavarth-signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            heed(if signal == SIGHUP { Signal::Reload } else { Signal::End });
        }
    })?;
    Ok(())
}
