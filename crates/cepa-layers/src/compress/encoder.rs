//! The compressors behind one face: bytes in, bytes out.

use std::io::{self, Write};

use brotli::{CompressorWriter, enc::BrotliEncoderParams};
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};

use super::{Coding, Options};

/// The window of a stream of unknown length, as a power of 2: what it takes in memory counts for each response.
const STREAM_WINDOW: u32 = 18;
/// The largest window: 1 MiB, well below the 8 MiB that every client must have for Zstandard (RFC 9659).
const MAX_WINDOW: u32 = 20;
/// The smallest, where the length is known to be small.
const MIN_WINDOW: u32 = 12;

/// A compressor at work.
pub(super) enum Encoder {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Br(Box<CompressorWriter<Vec<u8>>>),
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
}

impl Encoder {
    /// A compressor for a body of so many bytes, `None` where that is not known.
    pub(super) fn new(coding: Coding, len: Option<u64>, options: &Options) -> io::Result<Self> {
        let window = match len {
            Some(len) => (u64::BITS - len.leading_zeros()).clamp(MIN_WINDOW, MAX_WINDOW),
            None => STREAM_WINDOW,
        };
        let gzip = Compression::new(options.gzip_level.into());
        Ok(match coding {
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), options.zstd_level.into())?;
                encoder.set_parameter(zstd::zstd_safe::CParameter::WindowLog(window))?;
                Self::Zstd(encoder)
            }
            Coding::Br => {
                let params = BrotliEncoderParams {
                    quality: options.brotli_quality.into(),
                    lgwin: window as i32,
                    size_hint: len.and_then(|len| usize::try_from(len).ok()).unwrap_or_default(),
                    ..Default::default()
                };
                Self::Br(Box::new(CompressorWriter::with_params(Vec::new(), 4096, &params)))
            }
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), gzip)),
            Coding::Deflate => Self::Deflate(ZlibEncoder::new(Vec::new(), gzip)),
        })
    }

    /// Takes bytes in. What comes of them may wait inside.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer().write_all(bytes)
    }

    /// Brings out whatever waits inside, so that the client can read all that was taken in.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }

    /// How many bytes have come out.
    pub(super) fn ready(&self) -> usize {
        match self {
            Self::Zstd(encoder) => encoder.get_ref().len(),
            Self::Br(encoder) => encoder.get_ref().len(),
            Self::Gzip(encoder) => encoder.get_ref().len(),
            Self::Deflate(encoder) => encoder.get_ref().len(),
        }
    }

    /// Takes what has come out.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Br(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Deflate(encoder) => encoder.get_mut(),
        })
    }

    /// Ends the body: what was not taken yet, and its end.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd(encoder) => encoder.finish(),
            Self::Br(encoder) => Ok(encoder.into_inner()),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Deflate(encoder) => encoder.finish(),
        }
    }

    /// A whole body at once.
    pub(super) fn whole(mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        if let Self::Zstd(encoder) = &mut self {
            encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
        }
        self.write(bytes)?;
        self.finish()
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Zstd(encoder) => encoder,
            Self::Br(encoder) => encoder,
            Self::Gzip(encoder) => encoder,
            Self::Deflate(encoder) => encoder,
        }
    }
}
