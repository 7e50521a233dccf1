//! Where the bytes of an inbox are.

/// Bytes on the stack.
#[repr(C, align(8))]
pub(crate) struct InlineStorage<const N: usize>([u8; N]);

impl<const N: usize> InlineStorage<N> {
    #[inline(always)]
    pub(crate) const fn new() -> Self {
        Self([0; N])
    }
}

/// Bytes on the heap, aligned for a header.
pub(crate) struct HeapStorage {
    // INVARIANT: `capacity <= words.len() * 8`.
    words: Box<[u64]>,
    capacity: usize,
}

impl HeapStorage {
    pub(crate) fn new(capacity: usize) -> Self {
        // INVARIANT: rounded up.
        Self { words: vec![0; capacity.div_ceil(8)].into_boxed_slice(), capacity }
    }
}

/// Where the bytes are. The methods return the same memory every time.
pub(crate) trait Storage {
    fn bytes(&self) -> &[u8];
    fn bytes_mut(&mut self) -> &mut [u8];
}

impl<const N: usize> Storage for InlineStorage<N> {
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        &self.0
    }
    #[inline(always)]
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Storage for HeapStorage {
    #[inline]
    fn bytes(&self) -> &[u8] {
        // SAFETY: the words are initialised memory, any byte of them is a u8, and the field's invariant bounds the
        // length.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.capacity) }
    }
    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, under an exclusive borrow; any bytes written make a u64.
        unsafe { std::slice::from_raw_parts_mut(self.words.as_mut_ptr().cast(), self.capacity) }
    }
}
