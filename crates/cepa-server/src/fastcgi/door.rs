//! The door: the codec of FastCGI, driven as `cgi` does it.

use cepa_core::Headers;

use super::{
    Decoder, Event, Pairs, push_pair,
    record::{self, Ending, Kind},
};
use crate::{
    cgi::{self, Codec, Head, Reject, Rules},
    limits::Limits,
};

/// One connection.
pub(crate) struct Door {
    decoder: Decoder,
    connections: usize,
}

impl Door {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { decoder: Decoder::new(limits.variable_bytes), connections: limits.connections }
    }

    fn id(&self) -> u16 {
        self.decoder.request().unwrap_or(0)
    }

    /// Answers a question by what is known of what it asks for (FastCGI 1.0, section 4.1).
    fn answer_values(&self, asked: &[u8], out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        let connections = digits.format(self.connections).as_bytes();
        let known: [(&[u8], &[u8]); 3] =
            [(b"FCGI_MAX_CONNS", connections), (b"FCGI_MAX_REQS", connections), (b"FCGI_MPXS_CONNS", b"0")];
        let mut answer = Vec::new();
        for (name, value) in known {
            if Pairs::new(asked).any(|pair| pair.is_ok_and(|(asked, _)| asked == name)) {
                push_pair(&mut answer, name, value);
            }
        }
        record::header(out, Kind::GetValuesResult, 0, answer.len() as u16);
        out.append(&mut answer);
    }
}

impl Codec for Door {
    const DOOR: &'static str = "fastcgi";
    const MOST_PIECE: usize = record::MOST_CONTENT;

    fn decode(&mut self, input: &[u8], replies: &mut Vec<u8>) -> Result<(usize, Option<cgi::Event>), Reject> {
        let mut at = 0;
        loop {
            let (used, event) = self.decoder.decode(&input[at..])?;
            let from = at;
            at += used;
            let event = match event {
                None => None,
                Some(Event::Request) => Some(cgi::Event::Request),
                Some(Event::Data(range)) => Some(cgi::Event::Data(from + range.start..from + range.end)),
                Some(Event::End) => Some(cgi::Event::End),
                Some(Event::Abort) => Some(cgi::Event::Abort),
                Some(Event::Second(request)) => {
                    record::end(replies, request, Ending::CannotMultiplex);
                    continue;
                }
                Some(Event::Role { request, keep }) => {
                    record::end(replies, request, Ending::UnknownRole);
                    if keep {
                        continue;
                    }
                    Some(cgi::Event::Close)
                }
                Some(Event::Values(asked)) => {
                    self.answer_values(&asked, replies);
                    continue;
                }
                Some(Event::Unknown(kind)) => {
                    record::unknown_type(replies, kind);
                    continue;
                }
            };
            return Ok((at, event));
        }
    }

    fn read_head(&mut self, rules: Rules<'_>, headers: &mut Headers) -> Result<Head, Reject> {
        rules.read(Pairs::new(&self.decoder.take_variables()), headers)
    }

    fn has_begun(&self) -> bool {
        self.decoder.has_begun()
    }

    fn is_asked(&self) -> bool {
        self.decoder.request().is_some()
    }

    fn keeps(&self) -> bool {
        self.decoder.keeps()
    }

    fn piece(&self, length: usize, out: &mut Vec<u8>) {
        record::header(out, Kind::Stdout, self.id(), length as u16);
    }

    fn open(&self, out: &mut Vec<u8>) -> usize {
        self.piece(0, out);
        out.len()
    }

    fn close(&self, opened: usize, out: &mut Vec<u8>) {
        let length = ((out.len() - opened) as u16).to_be_bytes();
        // Where its header says it.
        out[opened - 4..opened - 2].copy_from_slice(&length);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let id = self.id();
        record::header(out, Kind::Stdout, id, 0);
        record::end(out, id, Ending::Complete);
        self.decoder.finish();
    }

    fn note(&self, text: &str, out: &mut Vec<u8>) {
        record::stderr(out, self.id(), text);
    }
}
