//! The handler of `SIGBUS`: turns a page that cannot be brought in into a page of zeros.
//!
//! ```text
//!  touch of a page ──SIGBUS──▶ handler ── find the slot whose range holds the address
//!                                │                    │ none: the previous handler's business
//!                                │                    ▼
//!                                │          1. slot.faulted = true
//!                                │          2. anonymous zero page over the faulting one
//!                                ▼
//!                       the touch is made again, and meets zeros
//! ```
//!
//! A signal handler may interrupt any code, so it takes no lock and allocates nothing: it reads
//! [`TABLE`], a static array of atomics with one [`Slot`] a mapping.
//!
//! # Why the handler never meets a mapping that is going away
//! The handler runs on the thread that touched the address. That thread held a borrow of the
//! `Mapping` (there is no other way to an address in it), so this `Mapping` cannot be dropped, nor
//! its slot change, before the handler returns. Hence:
//! - the slot the handler looks for is stable. Its contents were written before the borrow came
//!   to this thread, and the channel by which it came makes them visible here;
//! - a slot found in the middle of a change is a *different* one and may be skipped.
//!   [`Slot::range`] tells by `version`, which is odd during a change and different after it;
//!   without it the start of one mapping and the end of the next could be read together and seem
//!   to hold the address;
//! - `mmap` with `MAP_FIXED` hits addresses that are still this mapping's.
//!
//! A fault at an address that is nobody's here finds no slot, since a slot is cleared *before* its
//! range is unmapped: no other owner can have got the range while the slot still names it.
//!
//! # Order
//! The mark is set before the zero page appears. So whoever reads or writes the zero page and
//! looks at the mark afterwards finds it set, on any thread.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// Most mappings at once. Linux by default grants a process 65,530, of which the rest of it needs
/// some: an allocator that gets none aborts.
const CAPACITY: usize = 48 << 10;

/// What may be done with the memory of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    Read,
    ReadWrite,
}

/// One registered mapping. All zeros when free.
struct Slot {
    version: AtomicUsize,
    start: AtomicUsize,
    end: AtomicUsize,
    writable: AtomicBool,
    faulted: AtomicBool,
}

/// All registered mappings. Zeros, so it costs memory only as far as it is used.
static TABLE: [Slot; CAPACITY] = [const { Slot::new() }; CAPACITY];
/// The slots at and after this index were never used: where the handler's search ends.
static USED: AtomicUsize = AtomicUsize::new(0);
/// Slots below `USED` that are free. Never touched by the handler.
static FREE: Mutex<Vec<usize>> = Mutex::new(Vec::new());
/// The action on `SIGBUS` before ours.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();
/// Bytes of a page; 0 until the handler is installed.
static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);

impl Slot {
    const fn new() -> Slot {
        Slot {
            version: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            writable: AtomicBool::new(false),
            faulted: AtomicBool::new(false),
        }
    }

    /// Names a new range. Only the owner of the slot calls this, so changes never overlap.
    fn set(&self, start: usize, end: usize, protection: Protection) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // Whoever sees a store below sees the odd version too.
        fence(Ordering::Release);
        self.start.store(start, Ordering::Relaxed);
        self.end.store(end, Ordering::Relaxed);
        self.writable.store(protection == Protection::ReadWrite, Ordering::Relaxed);
        self.faulted.store(false, Ordering::Relaxed);
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// The start and end of the range, both of the same mapping; `None` during a change.
    fn range(&self) -> Option<(usize, usize)> {
        let version = self.version.load(Ordering::Acquire);
        let range = (self.start.load(Ordering::Relaxed), self.end.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        let unchanged = version == self.version.load(Ordering::Relaxed);
        (unchanged && version.is_multiple_of(2)).then_some(range)
    }

    fn protection(&self) -> ProtFlags {
        if self.writable.load(Ordering::Relaxed) {
            ProtFlags::READ | ProtFlags::WRITE
        } else {
            ProtFlags::READ
        }
    }
}

/// A range of addresses whose faults are ours, until this value is dropped.
#[derive(Debug)]
pub(super) struct Registration {
    index: usize,
}

impl Registration {
    /// Takes charge of the faults in `length` bytes at `start`.
    ///
    /// # Errors
    /// `OutOfMemory` when all slots are in use, or what the machine says to the handler.
    ///
    /// # Safety
    /// The range must be memory mapped from one file, with this protection, page-aligned at
    /// `start`, and must stay mapped until the registration is dropped. Nobody may touch it but
    /// through a borrow of the registration's owner.
    pub(super) unsafe fn new(
        start: usize,
        length: usize,
        protection: Protection,
    ) -> io::Result<Registration> {
        install()?;
        let index = take_slot().ok_or(io::ErrorKind::OutOfMemory)?;
        TABLE[index].set(start, start + length, protection);
        Ok(Registration { index })
    }

    /// Whether a page in the range has been replaced.
    pub(super) fn has_faulted(&self) -> bool {
        TABLE[self.index].faulted.load(Ordering::SeqCst)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        TABLE[self.index].set(0, 0, Protection::Read);
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self.index);
    }
}

fn take_slot() -> Option<usize> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(index) = free.pop() {
        return Some(index);
    }
    let index = USED.load(Ordering::Relaxed);
    if index == CAPACITY {
        return None;
    }
    USED.store(index + 1, Ordering::Release);
    Some(index)
}

/// The slot whose range holds `address`.
fn find(address: usize) -> Option<&'static Slot> {
    TABLE
        .iter()
        .take(USED.load(Ordering::Acquire))
        .find(|slot| slot.range().is_some_and(|(start, end)| (start..end).contains(&address)))
}

/// Puts the handler in place, once in the life of the process.
fn install() -> io::Result<()> {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if *installed {
        return Ok(());
    }
    PAGE_SIZE.store(page_size()?, Ordering::Relaxed);
    // The previous action must be known before a signal can reach our handler.
    let previous = current_action()?;
    let _ = PREVIOUS.set(previous);
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_bus_error;
    let mut action = default_action();
    action.sa_sigaction = handler as libc::sighandler_t;
    // On the alternate stack where the thread has one, as the handler of the standard library
    // expects that we may pass the signal on to.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    set_action(&action)?;
    *installed = true;
    Ok(())
}

fn page_size() -> io::Result<usize> {
    // SAFETY: `sysconf` has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).map_err(|_| io::Error::last_os_error())
}

/// The action that kills the process.
fn default_action() -> libc::sigaction {
    // SAFETY: the struct is plain data for which all zeros is a value: no flags, an empty mask and
    // the handler `SIG_DFL`.
    unsafe { mem::zeroed() }
}

fn current_action() -> io::Result<libc::sigaction> {
    let mut action = default_action();
    // SAFETY: a null new action only asks; `action` is writable and of the right type.
    let result = unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), &mut action) };
    if result == 0 { Ok(action) } else { Err(io::Error::last_os_error()) }
}

fn set_action(action: &libc::sigaction) -> io::Result<()> {
    // SAFETY: `action` is initialised, and its handler is either one of the two predefined ones or
    // `on_bus_error`, which is async-signal-safe and of the type that `SA_SIGINFO` asks for.
    let result = unsafe { libc::sigaction(libc::SIGBUS, action, ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Runs in signal context: no locks, no allocation, no panics.
extern "C" fn on_bus_error(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: with `SA_SIGINFO` the machine passes a valid pointer that nobody else uses meanwhile.
    let details = unsafe { &*info };
    if is_fault(details.si_code) {
        // SAFETY: a fault (unlike a signal sent by a process) fills in the address.
        let address = unsafe { details.si_addr() } as usize;
        if let Some(slot) = find(address)
            && put_zeros(slot, address)
        {
            return;
        }
    }
    pass_on(signal, info, context, details.si_code);
}

/// Whether the signal comes from a touch of memory by the thread that runs the handler.
fn is_fault(code: c_int) -> bool {
    // Linux also reports broken memory that nobody has touched yet; the proof above needs a touch.
    #[cfg(target_os = "linux")]
    if code == libc::BUS_MCEERR_AO {
        return false;
    }
    code > 0
}

/// Marks the mapping of `slot` and replaces the page of `address` in it by zeros. `false` if the
/// machine refuses even that.
fn put_zeros(slot: &Slot, address: usize) -> bool {
    slot.faulted.store(true, Ordering::SeqCst);
    let Some((start, end)) = slot.range() else { return false };
    let page_size = PAGE_SIZE.load(Ordering::Relaxed);
    let page = address & !(page_size - 1);
    // A page alone splits the mapping in three, and the number of mappings is limited; then the
    // whole of it goes. Its bytes are still in the file, and the mark sends every reader there.
    map_zeros(page, page_size, slot.protection())
        || map_zeros(start, end - start, slot.protection())
}

fn map_zeros(start: usize, length: usize, protection: ProtFlags) -> bool {
    let address = ptr::without_provenance_mut(start);
    let flags = MapFlags::PRIVATE | MapFlags::FIXED;
    // SAFETY: the pages belong to a registered mapping that stays mapped while the handler runs
    // (see the head of this file). Their users hold plain bytes, for which zeros are a value, and
    // the protection stays what it was. The call itself is one system call and, when it succeeds,
    // leaves `errno` alone.
    unsafe { mmap_anonymous(address, length, protection, flags) }.is_ok()
}

/// Does with a signal that is not ours what would have happened without us.
fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void, code: c_int) {
    let previous = PREVIOUS.get().copied().unwrap_or_else(default_action);
    match previous.sa_sigaction {
        libc::SIG_IGN if code <= 0 => {}
        // A fault cannot be ignored: it would be made again for ever.
        libc::SIG_DFL | libc::SIG_IGN => die(code),
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: the machine accepted this address as a handler with three arguments.
            let handler = unsafe {
                mem::transmute::<
                    libc::sighandler_t,
                    extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void),
                >(handler)
            };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: the machine accepted this address as a handler with one argument.
            let handler =
                unsafe { mem::transmute::<libc::sighandler_t, extern "C" fn(c_int)>(handler) };
            handler(signal);
        }
    }
}

/// Lets the signal kill the process once the handler returns: a fault is made again by itself, a
/// signal that was sent has to be sent again.
fn die(code: c_int) {
    let _ = set_action(&default_action());
    if code <= 0 {
        // SAFETY: `raise` is async-signal-safe and has no preconditions.
        unsafe { libc::raise(libc::SIGBUS) };
    }
}

/// How many slots were ever in use at once.
#[cfg(test)]
pub(super) fn slots_used() -> usize {
    USED.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests;
