//! Content negotiation: which of the offered types, encodings, charsets or languages a client likes best.
//!
//! Each kind has two functions: one chooses among what the server offers, one lists all that the client accepts.
//! The rules are RFC 9110, section 12.5, with the tie-breaks Koa's users know: the best offer has the highest
//! weight, then the most specific match, then stands first in the *header*, then first among the *offers*. The
//! weight of an offer is that of the most specific entry matching it; weight 0 excludes it.
//!
//! At most 64 entries of a header are read, the rest is ignored. Weights count to three decimals and to 1; a
//! weight that is no number is 0. Choosing allocates nothing.

mod language;
mod media;
mod token;

use std::cmp::Reverse;

pub use language::{all_languages, languages};
pub use media::{all_types, types};
pub use token::{all_charsets, all_encodings, charsets, encodings, preferred_encoding};

const MAX_ENTRIES: usize = 64;

/// How many offers are weighed in one walk through the header.
const LANE: usize = 16;

/// A weight in thousandths, 0 to 1000.
type Weight = u16;

const FULL_WEIGHT: Weight = 1000;

/// How well an entry fits an offer: the larger one applies to the offer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    specificity: u8,
    weight: Weight,
    position: usize,
}

impl Fit {
    /// The order among offers: the larger one is preferred.
    fn rank(self) -> (Weight, u8, Reverse<usize>) {
        (self.weight, self.specificity, Reverse(self.position))
    }
}

/// The offer that `entries` like best.
///
/// `read` parses an offer, `None` when it can never match; `specificity` says how closely an entry names it.
fn choose<'o, E, O: Copy>(
    entries: &(impl Iterator<Item = (E, Weight)> + Clone),
    offers: &[&'o str],
    read: impl Fn(&'o str) -> Option<O>,
    specificity: impl Fn(&E, &O) -> Option<u8>,
) -> Option<&'o str> {
    choose_by(entries, offers, read, specificity, Fit::rank)
}

/// The same with an order of its own: of the offers whose entries rank the highest, the first.
fn choose_by<'o, E, O: Copy, R: PartialOrd>(
    entries: &(impl Iterator<Item = (E, Weight)> + Clone),
    offers: &[&'o str],
    read: impl Fn(&'o str) -> Option<O>,
    specificity: impl Fn(&E, &O) -> Option<u8>,
    rank: impl Fn(Fit) -> R,
) -> Option<&'o str> {
    let mut best: Option<(Fit, &'o str)> = None;
    for lane in offers.chunks(LANE) {
        let mut parsed = [None; LANE];
        let mut fits = [None; LANE];
        for (slot, offer) in parsed.iter_mut().zip(lane) {
            *slot = read(offer);
        }
        for (position, (entry, weight)) in entries.clone().enumerate() {
            for (fit, offer) in fits.iter_mut().zip(&parsed) {
                if let Some(specificity) = offer.as_ref().and_then(|offer| specificity(&entry, offer)) {
                    *fit = (*fit).max(Some(Fit { specificity, weight, position }));
                }
            }
        }
        for (fit, offer) in fits.into_iter().zip(lane) {
            let Some(fit) = fit.filter(|fit| fit.weight > 0) else { continue };
            if best.is_none_or(|(best, _)| rank(fit) > rank(best)) {
                best = Some((fit, offer));
            }
        }
    }
    best.map(|(_, offer)| offer)
}

/// The names of `entries` that are not excluded, the best first; equal ones keep their order.
fn ranked<'h>(entries: impl Iterator<Item = (&'h str, Weight)>) -> Vec<&'h str> {
    let mut entries: Vec<_> = entries.filter(|&(_, weight)| weight > 0).collect();
    entries.sort_by_key(|&(_, weight)| Reverse(weight));
    entries.into_iter().map(|(name, _)| name).collect()
}

/// The entries of a plain list (`a;q=0.5, b`): the value before the parameters, and its weight.
fn plain_entries(header: &str) -> impl Iterator<Item = (&str, Weight)> + Clone {
    header.split(',').take(MAX_ENTRIES).filter_map(|entry| {
        let (value, parameters) = entry.split_once(';').unwrap_or((entry, ""));
        let value = value.trim();
        let valid = !value.is_empty() && !value.contains(char::is_whitespace);
        valid.then(|| (value, weight(parameters.split(';').map(parameter))))
    })
}

/// Name and value of a parameter; a value that is not there is empty.
fn parameter(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    (name, unquoted.unwrap_or(value))
}

/// The weight among an entry's parameters: that of the first `q`.
fn weight<'h>(mut parameters: impl Iterator<Item = (&'h str, &'h str)>) -> Weight {
    parameters.find(|(name, _)| is_weight(name)).map_or(FULL_WEIGHT, |(_, value)| quality(value))
}

fn is_weight(name: &str) -> bool {
    name.eq_ignore_ascii_case("q")
}

/// The number `text` starts with, in thousandths.
fn quality(text: &str) -> Weight {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let text = text.trim_start();
    let (whole, rest) = text.split_at(digits(text));
    if whole.bytes().any(|digit| digit != b'0') {
        return FULL_WEIGHT;
    }
    let Some(fraction) = rest.strip_prefix('.') else { return 0 };
    let fraction = &fraction.as_bytes()[..digits(fraction)];
    (0..3).fold(0, |sum, at| sum * 10 + fraction.get(at).map_or(0, |digit| Weight::from(digit - b'0')))
}

#[cfg(test)]
mod tests;
