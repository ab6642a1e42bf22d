//! Memory that readers without locks may still be looking at.
//!
//! A reader [`pin`]s and then follows a [`Published`] pointer. A writer puts another value in its
//! place; the old one is freed once every reader that was pinned at that time has left:
//!
//! ```text
//! reader    pin ──── load ── reads A ───────────── unpin
//! writer              replace(A by B) ·············│ A is freed from here on
//! reader                       pin ── load ── reads B ──── unpin
//! ```
//!
//! This is the safe face of `crossbeam-epoch`; nothing else in the crate names it.
//!
//! Under `cfg(loom)` the pointer is loom's and no replaced value is freed before its [`Published`]
//! is, so that what is built on top can be model-checked.
//!
//! # Invariants
//! * A published value is never changed in place except through its own shared interior.
//! * A value is retired at most once: by the one swap that took it out.
//! * The borrow that [`Published::load`] returns outlives neither the pin nor the [`Published`].

#[cfg(not(loom))]
pub use epoch::{Guard, Published, collect, defer, pin};
#[cfg(loom)]
pub use kept::{Guard, Published, collect, defer, pin};

impl<T: Send + Sync + 'static> std::fmt::Debug for Published<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Published")
    }
}

#[cfg(not(loom))]
mod epoch {
    use std::cell::Cell;
    use std::mem;
    use std::sync::atomic::Ordering;

    use crossbeam_epoch::{Atomic, Owned, Shared};

    /// While it lives, nothing that its thread could have loaded is freed.
    pub struct Guard(crossbeam_epoch::Guard);

    /// Marks the thread as reading. Costs a few nanoseconds, less if the thread is pinned already.
    #[inline]
    pub fn pin() -> Guard {
        Guard(crossbeam_epoch::pin())
    }

    impl Guard {
        /// Lets go of what was loaded so far and pins anew, so that a long visit does not keep
        /// garbage alive. Does nothing while the thread holds another guard.
        pub fn repin(&mut self) {
            self.0.repin();
        }

        /// Lets others see what was deferred, and frees what can be. Not within an action, which is part of that:
        /// each would begin the next, and thousands that waited for one reader would overflow the stack.
        fn flush(&self) {
            if !ACTING.get() {
                self.0.flush();
            }
        }
    }

    thread_local! {
        /// Whether a deferred action runs on this thread.
        static ACTING: Cell<bool> = const { Cell::new(false) };
    }

    /// Runs `action` once every guard of now is gone: at some later [`pin`], unpin or
    /// [`Published::replace`] of any thread, so it should be short.
    pub fn defer(guard: &Guard, action: impl FnOnce() + Send + 'static) {
        guard.0.defer(move || {
            let outer = ACTING.replace(true);
            action();
            ACTING.set(outer);
        });
        guard.flush();
    }

    /// Frees what can be freed by now. For a store that nobody uses at the moment, whose garbage
    /// would wait for the next visitor.
    pub fn collect() {
        crossbeam_epoch::pin().flush();
    }

    /// A place that holds a value or nothing, read without a lock.
    pub struct Published<T: Send + Sync + 'static>(Atomic<T>);

    impl<T: Send + Sync + 'static> Published<T> {
        /// Holds nothing.
        pub fn empty() -> Published<T> {
            Published(Atomic::null())
        }

        /// Holds `value`.
        pub fn new(value: T) -> Published<T> {
            Published(Atomic::new(value))
        }

        /// What is held now.
        #[inline]
        pub fn load<'g>(&'g self, guard: &'g Guard) -> Option<&'g T> {
            let shared = self.0.load(Ordering::Acquire, &guard.0);
            // SAFETY: a non-null pointer here came from `Owned::new` and was published with
            // release ordering, so it points at a whole `T`. It is freed either by `drop`, which
            // the borrow of `self` excludes, or by a `replace`, which defers that until `guard`,
            // pinned before the load and borrowed for as long as the result, is gone.
            unsafe { shared.as_ref() }
        }

        /// Puts `value` in; the old value is freed when its readers have left.
        pub fn replace(&self, value: Option<T>, guard: &Guard) {
            let new = value.map_or(Shared::null(), |value| Owned::new(value).into_shared(&guard.0));
            let old = self.0.swap(new, Ordering::AcqRel, &guard.0);
            if old.is_null() {
                return;
            }
            // SAFETY: the swap took `old` out, so no later load can see it, and only this one swap
            // did, so it is retired once. `T: Send + 'static`, so any thread may drop it any time.
            unsafe { guard.0.defer_destroy(old) };
            guard.flush();
        }
    }

    impl<T: Send + Sync + 'static> Drop for Published<T> {
        fn drop(&mut self) {
            let last = mem::replace(&mut self.0, Atomic::null());
            // SAFETY: every borrow handed out by `load` also borrows `self`, which is now held
            // exclusively; so nobody else sees the value, and it was not retired, being still here.
            drop(unsafe { last.try_into_owned() });
        }
    }
}

#[cfg(loom)]
mod kept {
    use std::ptr;
    use std::sync::{Mutex, PoisonError};

    use loom::sync::atomic::{AtomicPtr, Ordering};

    /// While it lives, nothing that its thread could have loaded is freed.
    pub struct Guard(());

    /// Marks the thread as reading.
    pub fn pin() -> Guard {
        Guard(())
    }

    impl Guard {
        /// Lets go of what was loaded so far.
        pub fn repin(&mut self) {}
    }

    /// Frees nothing.
    pub fn collect() {}

    /// Never runs `action`: to the model, some reader never leaves.
    pub fn defer(_guard: &Guard, action: impl FnOnce() + Send + 'static) {
        std::mem::forget(action);
    }

    /// A place that holds a value or nothing, read without a lock.
    pub struct Published<T: Send + Sync + 'static> {
        current: AtomicPtr<T>,
        retired: Mutex<Vec<Retired<T>>>,
    }

    /// A value taken out, until the end. A pointer and no `Box`, since readers may still hold it.
    struct Retired<T>(*mut T);

    // SAFETY: the pointer owns its `T` as a `Box` would, and a `Box<T>` may go where `T` may.
    unsafe impl<T: Send> Send for Retired<T> {}

    impl<T: Send + Sync + 'static> Published<T> {
        /// Holds nothing.
        pub fn empty() -> Published<T> {
            Published { current: AtomicPtr::new(ptr::null_mut()), retired: Mutex::default() }
        }

        /// Holds `value`.
        pub fn new(value: T) -> Published<T> {
            let current = AtomicPtr::new(Box::into_raw(Box::new(value)));
            Published { current, retired: Mutex::default() }
        }

        /// What is held now.
        pub fn load<'g>(&'g self, _guard: &'g Guard) -> Option<&'g T> {
            let pointer = self.current.load(Ordering::Acquire);
            // SAFETY: a non-null pointer came from `Box::into_raw`, was published with release
            // ordering and is freed only by `drop`, which the borrow of `self` excludes.
            unsafe { pointer.as_ref() }
        }

        /// Puts `value` in and keeps the old value until the end.
        pub fn replace(&self, value: Option<T>, _guard: &Guard) {
            let new = value.map_or(ptr::null_mut(), |value| Box::into_raw(Box::new(value)));
            let old = self.current.swap(new, Ordering::AcqRel);
            let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
            retired.push(Retired(old));
        }
    }

    impl<T: Send + Sync + 'static> Drop for Published<T> {
        fn drop(&mut self) {
            let last = Retired(self.current.with_mut(|pointer| *pointer));
            let retired = self.retired.get_mut().unwrap_or_else(PoisonError::into_inner);
            for Retired(pointer) in retired.drain(..).chain([last]).filter(|r| !r.0.is_null()) {
                // SAFETY: the pointer came from `Box::into_raw`; a swap, or this exclusive borrow,
                // made it ours alone; no borrow from `load` is left, as each borrows `self`.
                drop(unsafe { Box::from_raw(pointer) });
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// Counts how often it was dropped, and cannot be read afterwards unnoticed.
    struct Probe {
        drops: Arc<AtomicUsize>,
        intact: bool,
    }

    impl Probe {
        fn new(drops: &Arc<AtomicUsize>) -> Probe {
            Probe { drops: Arc::clone(drops), intact: true }
        }
    }

    impl Drop for Probe {
        fn drop(&mut self) {
            assert!(std::mem::replace(&mut self.intact, false));
            self.drops.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Drives reclamation until `done`; the collector frees in steps, as threads pin.
    fn churn_until(done: impl Fn() -> bool) {
        for _ in 0..100_000 {
            if done() {
                return;
            }
            defer(&pin(), || ());
            thread::yield_now();
        }
        panic!("nothing was reclaimed");
    }

    #[test]
    fn a_place_holds_what_was_put_in_last() {
        let place = Published::empty();
        assert!(place.load(&pin()).is_none());
        place.replace(Some(1), &pin());
        assert_eq!(place.load(&pin()), Some(&1));
        place.replace(Some(2), &pin());
        assert_eq!(place.load(&pin()), Some(&2));
        place.replace(None, &pin());
        assert!(place.load(&pin()).is_none());
        assert_eq!(Published::new(3).load(&pin()), Some(&3));
    }

    #[test]
    fn every_value_is_dropped_exactly_once() {
        let drops = Arc::new(AtomicUsize::new(0));
        let place = Published::new(Probe::new(&drops));
        for _ in 0..1_000 {
            place.replace(Some(Probe::new(&drops)), &pin());
        }
        place.replace(None, &pin());
        place.replace(Some(Probe::new(&drops)), &pin());
        drop(place);
        churn_until(|| drops.load(Ordering::SeqCst) == 1_002);
    }

    #[test]
    fn a_replaced_value_outlives_the_guards_of_its_time() {
        let drops = Arc::new(AtomicUsize::new(0));
        let place = Published::new(Probe::new(&drops));
        let guard = pin();
        let old = place.load(&guard).expect("it was put in");
        thread::scope(|scope| {
            scope.spawn(|| {
                place.replace(Some(Probe::new(&drops)), &pin());
                for _ in 0..10_000 {
                    defer(&pin(), || ());
                }
            });
        });
        assert!(old.intact);
        assert_eq!(drops.load(Ordering::SeqCst), 0);
        drop(guard);
        churn_until(|| drops.load(Ordering::SeqCst) == 1);
    }

    #[test]
    fn a_deferred_action_waits_for_the_guards_of_its_time() {
        let ran = Arc::new(AtomicBool::new(false));
        let reader = pin();
        thread::scope(|scope| {
            scope.spawn(|| {
                let flag = Arc::clone(&ran);
                defer(&pin(), move || flag.store(true, Ordering::SeqCst));
                for _ in 0..10_000 {
                    defer(&pin(), || ());
                }
            });
        });
        assert!(!ran.load(Ordering::SeqCst));
        drop(reader);
        churn_until(|| ran.load(Ordering::SeqCst));
    }

    /// As segments do that were let go of while somebody read for long: each takes its place in a table away.
    #[test]
    fn actions_that_retire_something_themselves_are_not_nested() {
        const ACTIONS: usize = 20_000;
        let ran = Arc::new(AtomicUsize::new(0));
        let reader = pin();
        let ((all_deferred, deferred), (leave, left)) = (mpsc::channel(), mpsc::channel());
        let retiring = {
            let ran = Arc::clone(&ran);
            thread::Builder::new().stack_size(256 << 10).spawn(move || {
                for _ in 0..ACTIONS {
                    let (ran, place) = (Arc::clone(&ran), Published::new(1));
                    defer(&pin(), move || {
                        place.replace(None, &pin());
                        ran.fetch_add(1, Ordering::SeqCst);
                    });
                }
                all_deferred.send(()).unwrap();
                left.recv().unwrap();
                churn_until(|| ran.load(Ordering::SeqCst) == ACTIONS);
            })
        };
        deferred.recv().unwrap();
        drop(reader);
        leave.send(()).unwrap();
        retiring.unwrap().join().unwrap();
    }
}
