//! Descriptors that lie side by side in memory, as their numbers: these are copied at once, not one by one.

use std::{
    any::TypeId,
    marker::PhantomData,
    mem::transmute,
    os::fd::{BorrowedFd, OwnedFd, RawFd},
    ptr::from_ref,
    slice,
};

/// The numbers that an iterator is about to give, where it goes over a slice of descriptors.
///
/// The compiler knows the answer for each type of iterator: nothing is looked up when it runs.
#[inline(always)]
pub(crate) fn numbers<I>(fds: &I) -> Option<&[RawFd]> {
    if is::<I, slice::Iter<'static, OwnedFd>>() {
        // SAFETY: they are the same type but for lifetimes, and this reference does not outlive `fds`.
        let fds = unsafe { &*from_ref(fds).cast::<slice::Iter<'_, OwnedFd>>() };
        return Some(of(fds.as_slice()));
    }
    if is::<I, slice::Iter<'static, BorrowedFd<'static>>>() {
        // SAFETY: they are the same type but for lifetimes, and this reference does not outlive `fds`.
        let fds = unsafe { &*from_ref(fds).cast::<slice::Iter<'_, BorrowedFd<'_>>>() };
        return Some(of(fds.as_slice()));
    }
    None
}

/// What is laid out as the number that it holds.
///
/// # Safety
///
/// * it is a `repr(transparent)` [`RawFd`], and has no interior mutability
unsafe trait Number {}
// SAFETY: std promises `repr(transparent)` over the number for it, and a shared OwnedFd does not change.
unsafe impl Number for OwnedFd {}
// SAFETY: as above.
unsafe impl Number for BorrowedFd<'_> {}

#[inline(always)]
fn of<T: Number>(fds: &[T]) -> &[RawFd] {
    // SAFETY: the trait's promise: each is one number, of that size and alignment; the borrow stays the same.
    unsafe { slice::from_raw_parts(fds.as_ptr().cast(), fds.len()) }
}

/// Whether `T` and `U` are the same type, lifetimes aside.
#[inline(always)]
fn is<T, U: 'static>() -> bool {
    let of_t: &dyn Lasting = &PhantomData::<T>;
    // SAFETY: only the bound of the trait object changes, not its layout or its table, which have no lifetimes; and `id` uses
    // nothing of `T` but its identity, in which lifetimes have no part (as the crate `typeid` does it).
    let of_t = unsafe { transmute::<&dyn Lasting, &(dyn Lasting + 'static)>(of_t) };
    of_t.id() == TypeId::of::<U>()
}

/// The identity of a type that may borrow something: [`TypeId::of`] wants one that does not.
trait Lasting {
    fn id(&self) -> TypeId
    where
        Self: 'static;
}

impl<T> Lasting for PhantomData<T> {
    #[inline(always)]
    fn id(&self) -> TypeId
    where
        Self: 'static,
    {
        TypeId::of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::fd::AsFd, os::fd::AsRawFd};

    use super::*;

    #[test]
    fn slices_of_descriptors_are_recognised_and_nothing_else() {
        let file = File::open("/dev/null").unwrap();
        let owned: Vec<OwnedFd> = (0..3).map(|_| file.try_clone().unwrap().into()).collect();
        let borrowed: Vec<_> = owned.iter().map(AsFd::as_fd).collect();
        let expected: Vec<_> = owned.iter().map(AsRawFd::as_raw_fd).collect();
        assert_eq!(numbers(&owned.iter()), Some(&expected[..]));
        assert_eq!(numbers(&borrowed.iter()), Some(&expected[..]));
        // What has been taken from it is not about to come.
        let (mut some, mut none) = (borrowed.iter(), owned.iter());
        some.next();
        some.next_back();
        none.by_ref().for_each(drop);
        assert_eq!((numbers(&some), numbers(&none)), (Some(&expected[1..2]), Some(&[][..])));
        // Others have their own order, number or layout.
        assert_eq!(numbers(&owned.iter().rev()), None);
        assert_eq!(numbers(&owned.iter().skip(1)), None);
        assert_eq!(numbers(&[&file].into_iter()), None);
        assert_eq!(numbers(&[file].iter()), None);
        assert_eq!(numbers(&expected.iter()), None);
        assert_eq!(numbers(&[borrowed[0]].into_iter()), None);
    }
}
