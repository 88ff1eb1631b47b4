//! Brotli and Zstandard, whose window is chosen by what they compress: it is most of the memory that they take.

use std::io;

use super::Compressor;

/// The window of a stream of unknown length, as a power of 2: what it takes in memory counts for each response.
const STREAM_WINDOW: u32 = 18;
/// The largest window: 1 MiB, well below the 8 MiB that every client must have for Zstandard (RFC 9659).
const MAX_WINDOW: u32 = 20;
/// The smallest, where the length is known to be small.
const MIN_WINDOW: u32 = 12;

/// The window for a body of so many bytes, as a power of 2.
fn window(len: Option<u64>) -> u32 {
    match len {
        Some(len) => (u64::BITS - len.leading_zeros()).clamp(MIN_WINDOW, MAX_WINDOW),
        None => STREAM_WINDOW,
    }
}

#[cfg(feature = "brotli")]
type Brotli = brotli::CompressorWriter<Vec<u8>>;
#[cfg(feature = "zstd")]
type Zstd = zstd::stream::write::Encoder<'static, Vec<u8>>;

#[cfg(feature = "brotli")]
pub(super) fn brotli(len: Option<u64>, quality: u8) -> Brotli {
    let params = brotli::enc::BrotliEncoderParams {
        quality: quality.into(),
        lgwin: window(len) as i32,
        size_hint: len.and_then(|len| usize::try_from(len).ok()).unwrap_or_default(),
        ..Default::default()
    };
    Brotli::with_params(Vec::new(), 4096, &params)
}

#[cfg(feature = "zstd")]
pub(super) fn zstd(len: Option<u64>, level: u8) -> io::Result<Zstd> {
    let mut encoder = Zstd::new(Vec::new(), level.into())?;
    encoder.set_parameter(zstd::zstd_safe::CParameter::WindowLog(window(len)))?;
    Ok(encoder)
}

#[cfg(feature = "brotli")]
impl Compressor for Brotli {
    fn out(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<u8>> {
        Ok(self.into_inner())
    }
}

#[cfg(feature = "zstd")]
impl Compressor for Zstd {
    fn out(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<u8>> {
        (*self).finish()
    }

    fn promise(&mut self, len: u64) -> io::Result<()> {
        self.set_pledged_src_size(Some(len))
    }
}
