//! The door: the codec of tora, driven as `cgi` does it.

use std::{sync::Arc, time::Duration};

use cepa_core::Headers;

use super::{
    answer,
    decode::{Decoder, Event, Role},
    wire::{self, Code, HEADER, MOST_PRINT},
};
use crate::{
    cgi::{self, Codec, Head, Reject, ResponseHead, Rules},
    limits::Limits,
};

/// What the door tells direct clients: the hosts they may ask for (if there are none, any), and its port.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    pub(crate) names: Arc<[String]>,
    pub(crate) port: u16,
}

/// One connection.
pub(crate) struct Door {
    decoder: Decoder,
    role: Role,
    hosts: Hosts,
    /// An answer, or the stream of one, is on its way.
    answers: bool,
    /// The client was told that more is to come.
    listening: bool,
}

impl Door {
    pub(crate) fn new(is_trusted: bool, limits: &Limits, hosts: Hosts) -> Self {
        let role = if is_trusted { Role::Front } else { Role::Direct };
        Self { decoder: Decoder::new(role, limits), role, hosts, answers: false, listening: false }
    }

    /// Which hosts a Flash player may open a socket to at this port. It knows of no others, and of none if none are named.
    fn policy(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<cross-domain-policy>");
        // Of what is in a host nothing needs to be escaped: see `is_host`.
        for host in self.hosts.names.iter().filter(|host| is_host(host)) {
            let port = self.hosts.port;
            let entry = format!(r#"<allow-access-from domain="{host}" to-ports="{port}"/>"#);
            out.extend_from_slice(entry.as_bytes());
        }
        out.extend_from_slice(b"</cross-domain-policy>\0");
    }
}

fn is_host(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':' | b'[' | b']' | b'_'))
}

impl Codec for Door {
    const DOOR: &'static str = "tora";
    const AHEAD: bool = true;
    /// mod_tora reads no answer before it has sent all of a form, however long that is.
    const PATIENCE: (Duration, usize) = (Duration::from_secs(60), 256 << 20);
    const MOST_PIECE: usize = MOST_PRINT;

    fn decode(&mut self, input: &[u8], replies: &mut Vec<u8>) -> Result<(usize, Option<cgi::Event>), Reject> {
        let (used, event) = self.decoder.decode(input)?;
        let event = event.map(|event| match event {
            Event::Request => cgi::Event::Request,
            Event::Data(range) => cgi::Event::Data(range),
            Event::Made => cgi::Event::Made,
            Event::End => cgi::Event::End,
            Event::Close => cgi::Event::Close,
            Event::Policy => {
                self.policy(replies);
                cgi::Event::Close
            }
        });
        Ok((used, event))
    }

    fn door(&self) -> &'static str {
        match self.role {
            Role::Front => "tora",
            Role::Direct => "tora-direct",
        }
    }

    fn take_made(&mut self) -> Vec<u8> {
        self.decoder.take_made()
    }

    fn pull(&mut self, out: &mut Vec<u8>) {
        self.decoder.pull(out);
    }

    fn read_head(&mut self, rules: Rules<'_>, headers: &mut Headers) -> Result<Head, Reject> {
        self.answers = true;
        let request = self.decoder.take_request();
        request.read(self.role, &self.hosts.names, rules, headers)
    }

    fn has_begun(&self) -> bool {
        self.decoder.has_begun()
    }

    fn is_asked(&self) -> bool {
        self.decoder.is_asked()
    }

    fn keeps(&self) -> bool {
        self.listening
    }

    fn listens(&self) -> bool {
        self.listening && !self.answers && !self.decoder.has_begun()
    }

    fn refuse(&mut self, why: &str, out: &mut Vec<u8>) -> bool {
        // To a client of its own a status is a message that it does not know.
        if self.role == Role::Direct {
            wire::push(out, Code::Error, why.as_bytes());
            (self.answers, self.listening) = (false, false);
            self.decoder.finish(false);
        }
        self.role == Role::Direct
    }

    fn head(&self, head: &ResponseHead<'_>, out: &mut Vec<u8>) -> usize {
        answer::head(head, out);
        self.open(out)
    }

    fn piece(&self, length: usize, out: &mut Vec<u8>) {
        wire::header(out, Code::Print, length);
    }

    fn open(&self, out: &mut Vec<u8>) -> usize {
        self.piece(0, out);
        out.len()
    }

    fn close(&self, opened: usize, out: &mut Vec<u8>) {
        let length = out.len() - opened;
        if length == 0 {
            out.truncate(opened - HEADER);
        } else {
            out[opened - HEADER + 1..opened].copy_from_slice(&(length as u32).to_le_bytes()[..3]);
        }
    }

    /// A stream without an end is one that parks: the connection stays, and mod_tora passes on at once what is printed
    /// from now on, and looks whether its client is there. It may be one of what a form brings, which is not left behind.
    fn pause(&mut self, endless: bool, out: &mut Vec<u8>) {
        if endless && self.answers && !self.decoder.has_form() {
            self.listen(out);
        } else if self.answers && self.role == Role::Front {
            wire::push(out, Code::Flush, b"");
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.answers && self.listening {
            return self.listen(out);
        }
        wire::push(out, Code::Execute, b"");
        (self.answers, self.listening) = (false, false);
        self.decoder.finish(false);
    }

    fn note(&self, text: &str, out: &mut Vec<u8>) {
        if self.role == Role::Front {
            wire::push(out, Code::Log, text.as_bytes());
        }
    }
}

impl Door {
    fn listen(&mut self, out: &mut Vec<u8>) {
        wire::push(out, Code::Listen, b"");
        (self.answers, self.listening) = (false, true);
        self.decoder.finish(true);
    }
}
