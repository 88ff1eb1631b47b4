//! Requests that an SCGI server answers.
//!
//! With the feature `fastcgi`. It is [`fastcgi_pass`](crate::fastcgi_pass()) with another protocol, one connection for each
//! request; the options are the same, and `keep` means nothing.
//!
//! ```
//! use cepa_core::App;
//! use cepa_layers::{scgi_pass, scgi_pass::Options};
//!
//! let trac = Options { upstream: "127.0.0.1:4000".into(), ..Options::default() };
//! let app = App::new().mount("/trac", scgi_pass(trac)?);
//! # Ok::<(), scgi_pass::InvalidOptions>(())
//! ```

use bytes::BytesMut;

pub use crate::fastcgi_pass::{Failure, InvalidOptions, InvalidUpstream, Options, Pass};
use crate::{
    fastcgi_pass::Protocol,
    gateway::{Frames, Variables},
};

/// A handler, and a layer, that has an SCGI server answer.
///
/// # Errors
/// What is wrong with the options.
pub fn scgi_pass(options: Options) -> Result<Pass, InvalidOptions> {
    Pass::new(options, Protocol::Scgi)
}

/// The netstring that begins a request. `CONTENT_LENGTH` stands first, also where there is no body.
pub(crate) fn begin(variables: &Variables) -> Vec<u8> {
    let length = variables.iter().find(|(name, _)| name == "CONTENT_LENGTH");
    let length = length.map_or(&b"0"[..], |(_, length)| length);
    let mut text = Vec::with_capacity(2048);
    let others = variables.iter().filter(|(name, _)| name != "CONTENT_LENGTH" && name != "SCGI");
    let others = others.map(|(name, value)| (name.as_bytes(), &**value));
    for (name, value) in [(&b"CONTENT_LENGTH"[..], length), (b"SCGI", b"1")].into_iter().chain(others) {
        // A NUL ends a value; one within would make two of it.
        if !value.contains(&0) {
            text.extend_from_slice(name);
            text.push(0);
            text.extend_from_slice(value);
            text.push(0);
        }
    }
    let mut out = text.len().to_string().into_bytes();
    out.push(b':');
    out.append(&mut text);
    out.push(b',');
    out
}

/// The body and the answer as they are.
pub(crate) struct Raw;

impl Frames for Raw {
    const ENDS_WITH_CONNECTION: bool = true;

    fn data(&mut self, data: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(data);
    }

    fn end(&mut self, _: &mut Vec<u8>) {}

    fn read(&mut self, input: &[u8], answer: &mut BytesMut) -> Result<bool, Failure> {
        answer.extend_from_slice(input);
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_stands_first_and_no_value_is_two() {
        let variables = vec![
            ("A".to_owned(), b"1".to_vec()),
            ("CONTENT_LENGTH".to_owned(), b"5".to_vec()),
            ("B".to_owned(), b"x\0SCGI".to_vec()),
        ];
        assert_eq!(begin(&variables), b"28:CONTENT_LENGTH\x005\0SCGI\x001\0A\x001\0,");
        assert_eq!(begin(&Vec::new()), b"24:CONTENT_LENGTH\x000\0SCGI\x001\0,");
    }
}
