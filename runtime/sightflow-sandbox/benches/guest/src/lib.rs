//! A core module without any interface: it reads a JSON text into a tree and writes it again.

/// Room for a text of `length` bytes.
#[unsafe(no_mangle)]
pub extern "C" fn room(length: usize) -> *mut u8 {
    Box::leak(vec![0; length].into_boxed_slice()).as_mut_ptr()
}

/// Place and length of the written text, as `place << 32 | length`.
///
/// # Safety
/// The text is in [`room`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read_and_write(place: *const u8, length: usize) -> u64 {
    // SAFETY: the caller's promise.
    let text = unsafe { std::slice::from_raw_parts(place, length) };
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(text) else { return 0 };
    let Ok(written) = serde_json::to_vec(&value) else { return 0 };
    let written: &'static [u8] = written.leak();
    (written.as_ptr() as u64) << 32 | written.len() as u64
}
