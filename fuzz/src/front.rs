//! What front servers send by FastCGI and SCGI: it comes to the same however the bytes are cut, and what is made of it is a
//! request that an app can be given.
//!
//! The first byte of an input says in pieces of how many bytes the rest arrives.

use cepa_core::Headers;
use cepa_server::{
    cgi::{Reject, Rules},
    fastcgi,
    limits::Limits,
    scgi,
};

/// Bytes of all variables of a request.
const MOST: usize = 4096;

/// What has come, and what has ended it.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    events: Vec<String>,
    body: Vec<u8>,
    fault: Option<Reject>,
}

/// Records come to the same events however they are cut, and variables to a request or a refusal.
pub fn fastcgi(input: &[u8]) {
    let Some((step, bytes)) = input.split_first() else { return };
    assert_eq!(records(bytes, usize::from(*step) + 1), records(bytes, bytes.len().max(1)));
    // Any bytes are also the variables of a request.
    variables(fastcgi::Pairs::new(bytes));
}

fn records(bytes: &[u8], step: usize) -> Seen {
    let (mut decoder, mut seen) = (fastcgi::Decoder::new(MOST), Seen::default());
    for piece in bytes.chunks(step) {
        let mut at = 0;
        loop {
            let (used, event) = match decoder.decode(&piece[at..]) {
                Ok(decoded) => decoded,
                Err(reject) => {
                    seen.fault = Some(reject);
                    return seen;
                }
            };
            match event {
                None => break assert_eq!(at + used, piece.len()),
                Some(fastcgi::Event::Data(range)) => seen.body.extend_from_slice(&piece[at..][range]),
                Some(fastcgi::Event::Request) => {
                    let text = decoder.take_variables();
                    assert!(text.len() <= MOST && decoder.request().is_some());
                    variables(fastcgi::Pairs::new(&text));
                    seen.events.push(format!("{:?} {text:?}", decoder.request()));
                }
                Some(event) => {
                    // As the door does: the next request may come.
                    if matches!(event, fastcgi::Event::End | fastcgi::Event::Abort) {
                        decoder.finish();
                    }
                    seen.events.push(format!("{} {event:?}", seen.body.len()));
                }
            }
            at += used;
        }
    }
    seen
}

/// The same of SCGI.
pub fn scgi(input: &[u8]) {
    let Some((step, bytes)) = input.split_first() else { return };
    assert_eq!(netstring(bytes, usize::from(*step) + 1), netstring(bytes, bytes.len().max(1)));
    variables(scgi::Pairs::new(bytes));
}

fn netstring(bytes: &[u8], step: usize) -> Seen {
    let (mut decoder, mut seen) = (scgi::Decoder::new(MOST), Seen::default());
    for piece in bytes.chunks(step) {
        let mut at = 0;
        loop {
            match decoder.decode(&piece[at..]) {
                Err(reject) => {
                    seen.fault = Some(reject);
                    return seen;
                }
                Ok((_, None)) => break,
                Ok((used, Some(event))) => {
                    match event {
                        scgi::Event::Data(range) => seen.body.extend_from_slice(&piece[at..][range]),
                        scgi::Event::Request => {
                            let text = decoder.take_variables();
                            assert!(text.len() <= MOST);
                            variables(scgi::Pairs::new(&text));
                            seen.events.push(format!("{text:?}"));
                        }
                        scgi::Event::End => seen.events.push("end".to_owned()),
                    }
                    at += used;
                }
            }
        }
    }
    seen
}

/// What is made of variables is a request in order.
fn variables<'a>(pairs: impl Iterator<Item = Result<(&'a [u8], &'a [u8]), Reject>>) {
    let (limits, mut headers) = (Limits::default(), Headers::new());
    let Ok(head) = (Rules { limits: &limits, script_is_mount: true }).read(pairs, &mut headers) else {
        return;
    };
    assert!(head.target.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(head.target.path().starts_with(&head.mount));
    assert!(headers.get("proxy").is_none() && headers.get("transfer-encoding").is_none());
    assert!(headers.map().get_all("host").iter().count() <= 1);
    let length = headers.get("content-length").map(|length| String::from_utf8_lossy(length).into_owned());
    assert_eq!(length, head.length.map(|length| length.to_string()));
}
