//! Messages of the tora protocol: requests come to the same however the bytes are cut, and so do answers.
//!
//! The first byte of an input says in pieces of how many bytes the rest arrives, and its lowest bit whether a direct client
//! sends it.

use cepa_core::Headers;
use cepa_server::{
    cgi::Rules,
    limits::Limits,
    tora::{Decoder, Event, Role, client::Answers},
};

/// What has come, and what has ended it.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    events: Vec<String>,
    body: Vec<u8>,
    fault: Option<String>,
}

/// Messages come to the same events however they are cut, in both directions, and a request to a head or a refusal.
pub fn tora(input: &[u8]) {
    let Some((step, bytes)) = input.split_first() else { return };
    let role = if step % 2 == 1 { Role::Direct } else { Role::Front };
    let step = usize::from(*step) + 1;
    let whole = bytes.len().max(1);
    assert_eq!(requests(role, bytes, step), requests(role, bytes, whole));
    assert_eq!(answers(bytes, step), answers(bytes, whole));
}

fn requests(role: Role, bytes: &[u8], step: usize) -> Seen {
    let limits = Limits { variable_bytes: 4096, body: 4096, request_line: 512, ..Limits::default() };
    let (mut decoder, mut seen) = (Decoder::new(role, &limits), Seen::default());
    for piece in bytes.chunks(step) {
        let mut at = 0;
        loop {
            let (used, event) = match decoder.decode(&piece[at..]) {
                Ok(decoded) => decoded,
                Err(reject) => {
                    seen.fault = Some(reject.to_string());
                    return seen;
                }
            };
            match event {
                None => break assert_eq!(at + used, piece.len()),
                Some(Event::Data(range)) => seen.body.extend_from_slice(&piece[at..][range]),
                Some(Event::Made) => {
                    // The boundary of a form is another one each time.
                    let made = decoder.take_made();
                    seen.body.extend(made.into_iter().filter(|byte| !byte.is_ascii_hexdigit()));
                }
                Some(Event::Request) => {
                    let request = decoder.take_request();
                    let (rules, mut headers) =
                        (Rules { limits: &limits, script_is_mount: false }, Headers::new());
                    let head = request.read(role, &[], rules, &mut headers);
                    if let Ok(head) = &head {
                        assert!(head.target.to_string().len() <= limits.request_line);
                    }
                    seen.events.push(format!("{head:?}"));
                    decoder.pull(&mut Vec::new());
                }
                Some(event) => {
                    seen.events.push(format!("{} {event:?}", seen.body.len()));
                    // As the door does for who listens: the next request may come.
                    if event == Event::End {
                        decoder.finish(true);
                    }
                }
            }
            at += used;
        }
    }
    seen
}

fn answers(bytes: &[u8], step: usize) -> Seen {
    let (mut answers, mut seen) = (Answers::default(), Seen::default());
    for piece in bytes.chunks(step) {
        let mut at = 0;
        while at < piece.len() {
            match answers.decode(&piece[at..]) {
                Ok((used, said)) => {
                    assert!(said.is_some() || at + used == piece.len());
                    seen.events.extend(said.map(|said| format!("{said:?}")));
                    at += used;
                }
                Err(error) => {
                    seen.fault = Some(error.to_string());
                    return seen;
                }
            }
        }
    }
    seen
}
