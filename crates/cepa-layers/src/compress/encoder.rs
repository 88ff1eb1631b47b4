//! The compressors behind one face: bytes in, bytes out.

#[cfg(any(feature = "brotli", feature = "zstd"))]
mod windowed;

use std::io::{self, Write};

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};

use super::{Coding, Options};

/// A compressor at work.
pub(super) struct Encoder(Box<dyn Compressor>);

/// What a library's writer into memory has to do.
trait Compressor: Write {
    /// What has come out.
    fn out(&mut self) -> &mut Vec<u8>;

    /// Ends the stream: what was not taken yet, and its end.
    fn finish(self: Box<Self>) -> io::Result<Vec<u8>>;

    /// Says how many bytes will come, before the first of them.
    fn promise(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

impl Encoder {
    /// A compressor for a body of so many bytes, `None` where that is not known.
    #[cfg_attr(
        not(any(feature = "brotli", feature = "zstd")),
        expect(unused_variables, reason = "no window")
    )]
    pub(super) fn new(coding: Coding, len: Option<u64>, options: &Options) -> io::Result<Self> {
        let gzip = Compression::new(options.gzip_level.into());
        Ok(Self(match coding {
            #[cfg(feature = "zstd")]
            Coding::Zstd => Box::new(windowed::zstd(len, options.zstd_level)?),
            #[cfg(feature = "brotli")]
            Coding::Br => Box::new(windowed::brotli(len, options.brotli_quality)),
            Coding::Gzip => Box::new(GzEncoder::new(Vec::new(), gzip)),
            Coding::Deflate => Box::new(ZlibEncoder::new(Vec::new(), gzip)),
        }))
    }

    /// Takes bytes in. What comes of them may wait inside.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Brings out whatever waits inside, so that the client can read all that was taken in.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    /// How many bytes have come out.
    pub(super) fn ready(&mut self) -> usize {
        self.0.out().len()
    }

    /// Takes what has come out.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.0.out())
    }

    /// Ends the body: what was not taken yet, and its end.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        self.0.finish()
    }

    /// A whole body at once.
    pub(super) fn whole(mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        self.0.promise(bytes.len() as u64)?;
        self.write(bytes)?;
        self.finish()
    }
}

impl Compressor for GzEncoder<Vec<u8>> {
    fn out(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<u8>> {
        (*self).finish()
    }
}

impl Compressor for ZlibEncoder<Vec<u8>> {
    fn out(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }

    fn finish(self: Box<Self>) -> io::Result<Vec<u8>> {
        (*self).finish()
    }
}
