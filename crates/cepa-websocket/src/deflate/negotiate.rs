//! What client and server agree on (RFC 7692, section 7.1).

use std::fmt::Write;

use super::{Deflate, WINDOW};

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Whether our messages may refer to the ones before.
    pub server_takeover: bool,
    /// Whether the client's may.
    pub client_takeover: bool,
    /// The size of our window, a power of two.
    pub server_bits: u8,
    /// The size of the client's.
    pub client_bits: u8,
    /// How hard we try, from 1 to 9.
    pub level: u32,
    /// Messages with fewer bytes are sent as they are.
    pub from: usize,
}

/// The most offers that are looked at.
const OFFERS: usize = 16;

/// Takes the first offer that we can keep out of the values of `Sec-WebSocket-Extensions`: what is agreed, and what
/// the answer's `Sec-WebSocket-Extensions` says. Offers that are malformed are not taken (section 7.1).
pub fn negotiate<'v>(
    offers: impl IntoIterator<Item = &'v str>,
    deflate: &Deflate,
) -> Option<(Agreed, String)> {
    let offers = offers.into_iter().flat_map(|value| value.split(',')).take(OFFERS);
    offers.filter_map(|offer| take(offer, deflate)).next()
}

/// What an offer asks for.
#[derive(Default)]
struct Offer {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    /// `Some(None)`: the client can, and leaves it to us.
    client_bits: Option<Option<u8>>,
}

fn take(offer: &str, deflate: &Deflate) -> Option<(Agreed, String)> {
    let offer = parse(offer)?;
    let most = deflate.window_bits.clamp(9, WINDOW);
    let server_bits = most.min(offer.server_bits.unwrap_or(WINDOW));
    // The compressor has no window of 256 bytes.
    if server_bits < 9 {
        return None;
    }
    let agreed = Agreed {
        server_takeover: deflate.context_takeover && !offer.server_no_takeover,
        client_takeover: deflate.context_takeover && !offer.client_no_takeover,
        server_bits,
        // A window larger than the client's inflates all the same, and the decompressor has none of 256 bytes either.
        client_bits: offer.client_bits.map_or(WINDOW, |bits| most.min(bits.unwrap_or(WINDOW)).max(9)),
        level: deflate.level.clamp(1, 9),
        from: deflate.from,
    };
    let mut answer = "permessage-deflate".to_owned();
    if !agreed.server_takeover {
        answer.push_str("; server_no_context_takeover");
    }
    if !agreed.client_takeover {
        answer.push_str("; client_no_context_takeover");
    }
    if offer.server_bits.is_some() || server_bits < WINDOW {
        let _ = write!(answer, "; server_max_window_bits={server_bits}");
    }
    // Only a client that has said it can may be told (section 7.1.2.2), and no more than it has offered.
    if let Some(bits) = offer.client_bits {
        let told = most.min(bits.unwrap_or(WINDOW));
        if told < WINDOW {
            let _ = write!(answer, "; client_max_window_bits={told}");
        }
    }
    Some((agreed, answer))
}

fn parse(offer: &str) -> Option<Offer> {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next()? != "permessage-deflate" {
        return None;
    }
    let mut parsed = Offer::default();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim_start().trim_matches('"'))),
            None => (part, None),
        };
        match (name, value) {
            ("server_no_context_takeover", None) if !parsed.server_no_takeover => {
                parsed.server_no_takeover = true;
            }
            ("client_no_context_takeover", None) if !parsed.client_no_takeover => {
                parsed.client_no_takeover = true;
            }
            ("server_max_window_bits", Some(value)) if parsed.server_bits.is_none() => {
                parsed.server_bits = Some(bits(value)?);
            }
            ("client_max_window_bits", value) if parsed.client_bits.is_none() => {
                parsed.client_bits = Some(match value {
                    Some(value) => Some(bits(value)?),
                    None => None,
                });
            }
            _ => return None,
        }
    }
    Some(parsed)
}

/// `8` to `15`, without a zero before it.
fn bits(value: &str) -> Option<u8> {
    let bits: u8 = value.parse().ok()?;
    ((8..=WINDOW).contains(&bits) && !value.starts_with(['0', '+'])).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(offer: &str, deflate: &Deflate) -> Option<String> {
        negotiate([offer], deflate).map(|(_, answer)| answer)
    }

    #[test]
    fn offers_are_answered_as_far_as_we_can_keep_them() {
        let kept = Deflate { context_takeover: true, ..Deflate::default() };
        let small = Deflate { context_takeover: true, window_bits: 10, ..Deflate::default() };
        // (offer, with context takeover, with small windows)
        let table = [
            ("permessage-deflate", "", "; server_max_window_bits=10"),
            (
                "permessage-deflate; client_max_window_bits",
                "",
                "; server_max_window_bits=10; client_max_window_bits=10",
            ),
            (
                "permessage-deflate; server_no_context_takeover; client_max_window_bits=9",
                "; server_no_context_takeover; client_max_window_bits=9",
                "; server_no_context_takeover; server_max_window_bits=10; client_max_window_bits=9",
            ),
            (
                "permessage-deflate;server_max_window_bits=\"12\" , x",
                "; server_max_window_bits=12",
                "; server_max_window_bits=10",
            ),
            (
                "x, permessage-deflate; server_max_window_bits=8, permessage-deflate",
                "",
                "; server_max_window_bits=10",
            ),
            (
                "permessage-deflate; client_no_context_takeover",
                "; client_no_context_takeover",
                "; client_no_context_takeover; server_max_window_bits=10",
            ),
        ];
        for (offer, with, with_small) in table {
            assert_eq!(answer(offer, &kept), Some(format!("permessage-deflate{with}")), "{offer}");
            assert_eq!(answer(offer, &small), Some(format!("permessage-deflate{with_small}")), "{offer}");
        }
        let none = answer("permessage-deflate; client_max_window_bits", &Deflate::default());
        let expected = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        assert_eq!(none.as_deref(), Some(expected));
    }

    #[test]
    fn offers_that_are_none() {
        for offer in [
            "",
            "deflate",
            "permessage-deflate; other",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=09",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=9; client_max_window_bits=9",
        ] {
            assert_eq!(answer(offer, &Deflate::default()), None, "{offer}");
        }
    }
}
