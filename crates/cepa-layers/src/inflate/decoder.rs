//! One face for all decoders: bytes in, bytes out, nothing kept but what the coding itself needs.

use std::io;

#[cfg(feature = "brotli")]
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, enc::StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
#[cfg(feature = "zstd")]
use zstd::stream::raw::{DParameter, Decoder as Zstd, Operation};

use super::Coding;

/// The largest zstd window that a server must take, and that this one does (RFC 9659): 8 MiB.
#[cfg(feature = "zstd")]
const ZSTD_WINDOW_LOG: u32 = 23;
/// The window of deflate, 32 KiB, the only one that clients use.
const DEFLATE_WINDOW_LOG: u8 = 15;

/// A decoder at work.
pub(super) enum Decoder {
    Gzip(Decompress),
    /// The first byte will say whether there is a zlib header.
    Deflate,
    Deflated(Decompress),
    #[cfg(feature = "brotli")]
    Br(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    #[cfg(feature = "zstd")]
    Zstd(Zstd<'static>),
}

/// What a step has done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) read: usize,
    pub(super) written: usize,
    /// Whether a stream has ended; another may follow where the coding allows it.
    pub(super) ended: bool,
}

/// The bytes are not of this coding.
#[derive(Debug)]
pub(super) struct Broken;

impl Decoder {
    pub(super) fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(Decompress::new_gzip(DEFLATE_WINDOW_LOG)),
            Coding::Deflate => Self::Deflate,
            #[cfg(feature = "brotli")]
            Coding::Br => {
                let alloc = StandardAlloc::default;
                // Strict: no windows past those of the RFC.
                Self::Br(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())))
            }
            #[cfg(feature = "zstd")]
            Coding::Zstd => {
                let mut decoder = Zstd::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
                Self::Zstd(decoder)
            }
        })
    }

    /// Whether another stream may follow one that has ended: gzip members (RFC 1952, section 2.2), zstd frames (RFC
    /// 8878, section 3).
    pub(super) fn goes_on(&mut self) -> bool {
        match self {
            Self::Gzip(_) => {
                *self = Self::Gzip(Decompress::new_gzip(DEFLATE_WINDOW_LOG));
                true
            }
            #[cfg(feature = "zstd")]
            Self::Zstd(_) => true,
            _ => false,
        }
    }

    /// Reads some of `input`, which is not empty unless all was read before, and writes some of `output`.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Broken> {
        match self {
            Self::Deflate => match input.first() {
                None => Ok(Step { read: 0, written: 0, ended: false }),
                Some(first) => {
                    // The method in a zlib header is 8; a bare stream that begins so is one that no encoder makes.
                    let has_header = first & 0x0f == 8;
                    *self = Self::Deflated(Decompress::new(has_header));
                    self.step(input, output)
                }
            },
            Self::Gzip(decoder) | Self::Deflated(decoder) => deflated(decoder, input, output),
            #[cfg(feature = "brotli")]
            Self::Br(state) => brotli(state, input, output),
            #[cfg(feature = "zstd")]
            Self::Zstd(decoder) => {
                let status = decoder.run_on_buffers(input, output).map_err(|_| Broken)?;
                let (read, written) = (status.bytes_read, status.bytes_written);
                Ok(Step { read, written, ended: status.remaining == 0 && (read > 0 || written > 0) })
            }
        }
    }
}

fn deflated(decoder: &mut Decompress, input: &[u8], output: &mut [u8]) -> Result<Step, Broken> {
    let (read, written) = (decoder.total_in(), decoder.total_out());
    let status = decoder.decompress(input, output, FlushDecompress::None).map_err(|_| Broken)?;
    Ok(Step {
        read: (decoder.total_in() - read) as usize,
        written: (decoder.total_out() - written) as usize,
        ended: status == Status::StreamEnd,
    })
}

#[cfg(feature = "brotli")]
fn brotli(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    input: &[u8],
    output: &mut [u8],
) -> Result<Step, Broken> {
    let (mut in_left, mut read) = (input.len(), 0);
    let (mut out_left, mut written, mut total) = (output.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut in_left,
        &mut read,
        input,
        &mut out_left,
        &mut written,
        output,
        &mut total,
        state,
    );
    match result {
        BrotliResult::ResultFailure => Err(Broken),
        result => Ok(Step { read, written, ended: matches!(result, BrotliResult::ResultSuccess) }),
    }
}
