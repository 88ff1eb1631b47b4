//! The door: the codec of SCGI, driven as `cgi` does it.

use cepa_core::Headers;

use super::{Decoder, Event, Pairs};
use crate::{
    cgi::{self, Codec, Head, Reject, Rules},
    limits::Limits,
};

/// One connection.
pub(crate) struct Door(Decoder);

impl Door {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self(Decoder::new(limits.variable_bytes))
    }
}

impl Codec for Door {
    const DOOR: &'static str = "scgi";

    fn decode(&mut self, input: &[u8], _: &mut Vec<u8>) -> Result<(usize, Option<cgi::Event>), Reject> {
        let (used, event) = self.0.decode(input)?;
        let event = event.map(|event| match event {
            Event::Request => cgi::Event::Request,
            Event::Data(range) => cgi::Event::Data(range),
            Event::End => cgi::Event::End,
        });
        Ok((used, event))
    }

    fn read_head(&mut self, rules: Rules<'_>, headers: &mut Headers) -> Result<Head, Reject> {
        rules.read(Pairs::new(&self.0.take_variables()), headers)
    }

    fn has_begun(&self) -> bool {
        self.0.has_begun()
    }

    /// An answer needs no frame: whatever was asked can be answered.
    fn is_asked(&self) -> bool {
        self.0.has_begun()
    }
}
