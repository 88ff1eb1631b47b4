//! Buffers of the thread, lent for as long as a socket works.

use std::cell::Cell;

/// Bytes that are read at once.
const INPUT: usize = 32 * 1024;
/// A buffer that has grown past this is not kept.
const OUTPUT: usize = 16 * 1024;

thread_local! {
    static IN: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    static OUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Works with the thread's buffer to read into.
pub(super) fn with_input<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut input = IN.take().unwrap_or_else(|| vec![0; INPUT].into_boxed_slice());
    let result = work(&mut input);
    IN.set(Some(input));
    result
}

/// Takes the thread's buffer to write from; empty.
pub(super) fn take_output() -> Vec<u8> {
    OUT.take()
}

/// Gives it back.
pub(super) fn put_output(mut output: Vec<u8>) {
    output.clear();
    if output.capacity() <= OUTPUT {
        OUT.set(output);
    }
}
