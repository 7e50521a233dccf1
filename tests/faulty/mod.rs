//! Calls that fail where a test says. The functions of the C library for sockets stand here in its place, and make the
//! system calls; what goes wrong, and in which call of this thread, is the test's plan.
//!
//! What strace(1) injects are errors. Here a call can also do less than it was asked for: a part of the bytes, some of the
//! messages. And close(2) is watched: a number that is not open was closed twice.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(unreachable_pub, reason = "one module for several programs")]

mod calls;
pub mod peer;

use std::{
    cell::{Cell, RefCell},
    fmt::Debug,
    sync::atomic::{AtomicUsize, Ordering},
};

use nix::libc;

use crate::common::{no_leak, open_count};

/// Calls that can fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Call {
    SendTo,
    SendMsg,
    SendMmsg,
    Recv,
    RecvMsg,
    RecvMmsg,
    GetSockOpt,
    SetSockOpt,
    Poll,
    Fcntl,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It is not made.
    Error(i32),
    /// So many bytes of data, at most: for streams.
    Short(usize),
    /// So many messages, at most.
    Few(usize),
    /// So many messages, and so many bytes of the next one: for streams.
    Cut(usize, usize),
    /// It is not made, and returns this: a system that claims what it has not done.
    Claims(usize),
    /// It is made, and returns so many more.
    ClaimsMore(usize),
}

type Plan = Box<dyn FnMut(Call) -> Option<Fault>>;

thread_local! {
    static PLAN: RefCell<Option<Plan>> = const { RefCell::new(None) };
    static CALM: Cell<bool> = const { Cell::new(false) };
}

static BAD_CLOSES: AtomicUsize = AtomicUsize::new(0);

/// What this call of this thread is told.
fn told(call: Call) -> Option<Fault> {
    if CALM.get() {
        return None;
    }
    PLAN.with_borrow_mut(|plan| plan.as_mut().and_then(|plan| plan(call)))
}

/// Runs `f` with all calls as they are: the test's own.
pub fn calm<R>(f: impl FnOnce() -> R) -> R {
    let before = CALM.replace(true);
    let result = f();
    CALM.set(before);
    result
}

/// Runs `f` under a plan, which is asked for every call of this thread.
pub fn under<R>(plan: impl FnMut(Call) -> Option<Fault> + 'static, f: impl FnOnce() -> R) -> R {
    struct Ends;
    impl Drop for Ends {
        fn drop(&mut self) {
            PLAN.set(None);
        }
    }
    PLAN.set(Some(Box::new(plan)));
    let _ends = Ends;
    f()
}

/// Where faults are put.
#[derive(Clone, Copy, Debug)]
struct Places {
    first: usize,
    /// Then each so manyth; 0: no other.
    every: usize,
}

/// What a story was told, and what it says that it was told.
#[derive(Debug)]
pub struct Told {
    pub fault: Fault,
    /// How many times.
    pub count: usize,
    /// The errors that the library has returned, in order.
    pub errors: Vec<i32>,
}

impl Told {
    /// Each error has been returned once, but EINTR never. Short calls are no errors, though so many of them may be that the
    /// socket is full.
    pub fn each_once(&self) {
        match self.fault {
            Fault::Error(libc::EINTR) => assert_eq!(self.errors, Vec::<i32>::new()),
            Fault::Error(number) => assert_eq!(self.errors, vec![number; self.count]),
            _ => assert!(self.errors.iter().all(|error| *error == libc::EAGAIN), "{self:?}"),
        }
    }

    /// No other error has been returned, and none more often.
    pub fn no_other(&self) {
        match self.fault {
            Fault::Error(number) if number != libc::EINTR => {
                assert!(
                    self.errors.len() <= self.count && self.errors.iter().all(|error| *error == number),
                    "{self:?}"
                );
            }
            _ => self.each_once(),
        }
    }
}

/// Tells a story without faults, then again with each of these in each of these calls: once, and in every second from there
/// on, or in all if it is no error (the story repeats what fails until it succeeds). The story returns what errors it saw, and
/// has looked itself whether anything was lost. No descriptor is left, none closed twice.
pub fn everywhere(calls: &'static [Call], faults: &[Fault], story: impl Fn() -> Vec<i32>, check: impl Fn(&Told)) {
    told_at(&[], &[0, 1, 2], calls, faults, story, check);
}

/// The same with each fault once: for what begins anew after a failure.
pub fn once(calls: &'static [Call], faults: &[Fault], story: impl Fn() -> Vec<i32>, check: impl Fn(&Told)) {
    told_at(&[], &[0], calls, faults, story, check);
}

/// The same as [`everywhere`] where these calls always go wrong.
pub fn everywhere_where(
    always: &'static [(Call, Fault)],
    calls: &'static [Call],
    faults: &[Fault],
    story: impl Fn() -> Vec<i32>,
    check: impl Fn(&Told),
) {
    told_at(always, &[0, 1, 2], calls, faults, story, check);
}

fn told_at(
    always: &'static [(Call, Fault)],
    steps: &[usize],
    calls: &'static [Call],
    faults: &[Fault],
    story: impl Fn() -> Vec<i32>,
    check: impl Fn(&Told),
) {
    thread_local! {
        static SEEN: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    }
    let tell = |fault: Option<(Fault, Places)>| {
        SEEN.set((0, 0));
        let before = open_count();
        let plan = move |call: Call| {
            if let Some((_, fault)) = always.iter().find(|(one, _)| *one == call) {
                return Some(*fault);
            }
            let (seen, count) = SEEN.get();
            if !calls.contains(&call) {
                return None;
            }
            let hit = fault.filter(|(_, places)| match seen.checked_sub(places.first) {
                Some(0) => true,
                Some(behind) => places.every > 0 && behind % places.every == 0,
                None => false,
            });
            SEEN.set((seen + 1, count + usize::from(hit.is_some())));
            hit.map(|(fault, _)| fault)
        };
        let errors = under(plan, &story);
        assert_eq!((open_count(), BAD_CLOSES.load(Ordering::Relaxed)), (before, 0), "{fault:?}");
        (errors, SEEN.get())
    };
    no_leak(|| {
        let (errors, (made, _)) = tell(None);
        assert!(errors.is_empty() && made > 0, "{errors:?} {made}");
        for &fault in faults {
            for first in 0..made {
                let is_error = matches!(fault, Fault::Error(_));
                for &every in steps.iter().filter(|every| **every != if is_error { 1 } else { 2 }) {
                    let places = Places { first, every };
                    let (errors, (_, count)) = context((fault, places), || tell(Some((fault, places))));
                    assert!(count > 0, "{fault:?} {places:?}");
                    context((fault, places), || check(&Told { fault, count, errors }));
                }
            }
        }
    });
}

/// Says what it was when `f` panics.
pub fn context<R>(what: impl Debug, f: impl FnOnce() -> R) -> R {
    struct Says<W: Debug>(W);
    impl<W: Debug> Drop for Says<W> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("with {:?}", self.0);
            }
        }
    }
    let _says = Says(what);
    f()
}

/// How many numbers were closed that were not open, in all of this process; from now on none.
pub fn take_bad_closes() -> usize {
    BAD_CLOSES.swap(0, Ordering::Relaxed)
}
