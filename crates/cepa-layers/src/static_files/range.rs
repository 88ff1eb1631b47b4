//! Ranges of bytes (RFC 9110, section 14).

/// More ranges than this are not worth their answer: the whole file is sent.
const MAX_RANGES: usize = 16;

/// Two ranges with less than this between them are sent as one: the head of a part takes as much.
const GAP: u64 = 80;

/// From the first byte to the one after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// What of a file a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ranges {
    /// All of it: also where the header cannot be read, or asks for too much at once.
    Whole,
    /// Nothing that there is: 416.
    None,
    /// Some of it, in order, not overlapping, at least one.
    Some(Vec<Span>),
}

/// Reads a `Range` header for a file of so many bytes.
pub(super) fn read(header: &str, len: u64) -> Ranges {
    let Some((unit, list)) = header.split_once('=') else { return Ranges::Whole };
    // Of an empty file every range is all there is.
    if !unit.trim().eq_ignore_ascii_case("bytes") || len == 0 {
        return Ranges::Whole;
    }
    let mut spans = Vec::new();
    let mut count = 0;
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        count += 1;
        match span(item, len) {
            Some(span) if count <= MAX_RANGES => spans.extend(span),
            _ => return Ranges::Whole,
        }
    }
    match (count, spans.is_empty()) {
        (0, _) => Ranges::Whole,
        (_, true) => Ranges::None,
        (_, false) => Ranges::Some(merge(spans)),
    }
}

/// One range: `None` where it cannot be read, `Some(None)` where it lies beyond the end.
fn span(item: &str, len: u64) -> Option<Option<Span>> {
    let (first, last) = item.split_once('-')?;
    let (first, last) = (first.trim_end(), last.trim_start());
    if first.is_empty() {
        let suffix = number(last)?;
        return Some((suffix > 0).then(|| Span { start: len.saturating_sub(suffix), end: len }));
    }
    let start = number(first)?;
    let end = match last {
        "" => len,
        last => number(last)?.saturating_add(1),
    };
    if !last.is_empty() && end <= start {
        return None;
    }
    Some((start < len).then(|| Span { start, end: end.min(len) }))
}

/// A number; one that is too large is past the end of every file.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Sorted, and as one what overlaps or nearly touches, so that no byte is sent twice.
fn merge(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable_by_key(|span| span.start);
    spans.dedup_by(|next, span| {
        let touches = next.start <= span.end.saturating_add(GAP);
        if touches {
            span.end = span.end.max(next.end);
        }
        touches
    });
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some(spans: &[(u64, u64)]) -> Ranges {
        Ranges::Some(spans.iter().map(|&(start, end)| Span { start, end }).collect())
    }

    #[test]
    fn ranges_are_cut_to_the_file_and_merged() {
        for (header, expected) in [
            ("bytes=0-0", some(&[(0, 1)])),
            ("bytes=0-", some(&[(0, 1000)])),
            ("BYTES = 5 - 9", some(&[(5, 10)])),
            ("bytes=-1", some(&[(999, 1000)])),
            ("bytes=-5000", some(&[(0, 1000)])),
            ("bytes=990-99999999999999999999999", some(&[(990, 1000)])),
            ("bytes=0-9,500-509", some(&[(0, 10), (500, 510)])),
            ("bytes=500-509, 0-9,", some(&[(0, 10), (500, 510)])),
            ("bytes=0-99,50-149,200-299", some(&[(0, 300)])),
            ("bytes=0-9,2000-", some(&[(0, 10)])),
            ("bytes=1000-", Ranges::None),
            ("bytes=99999999999999999999999-", Ranges::None),
            ("bytes=-0", Ranges::None),
            ("bytes=9-5", Ranges::Whole),
            ("bytes=0-9,x", Ranges::Whole),
            ("bytes=", Ranges::Whole),
            ("bytes=-", Ranges::Whole),
            ("bytes=+1-2", Ranges::Whole),
            ("bytes=1-2-3", Ranges::Whole),
            ("lines=1-2", Ranges::Whole),
            ("bytes", Ranges::Whole),
        ] {
            assert_eq!(read(header, 1000), expected, "{header}");
        }
        assert_eq!(read("bytes=0-", 0), Ranges::Whole);
        assert_eq!(read("bytes=0-18446744073709551615", u64::MAX), some(&[(0, u64::MAX)]));
    }

    #[test]
    fn a_bomb_of_ranges_is_the_whole_file() {
        let many = format!("bytes={}", "0-0,".repeat(MAX_RANGES + 1));
        assert_eq!(read(&many, 1000), Ranges::Whole);
        let overlapping = format!("bytes={}0-", "0-,".repeat(MAX_RANGES - 1));
        assert_eq!(read(&overlapping, 1000), some(&[(0, 1000)]));
    }

    proptest! {
        #[test]
        fn no_byte_is_sent_twice(header in "bytes=([0-9]{0,4}-[0-9]{0,4}[, ]{0,2}){0,20}", len in 0u64..5000) {
            if let Ranges::Some(spans) = read(&header, len) {
                prop_assert!(!spans.is_empty());
                let mut last = 0;
                for span in spans {
                    prop_assert!(last <= span.start && span.start < span.end && span.end <= len);
                    last = span.end;
                }
            }
        }

        #[test]
        fn never_panics(header in any::<String>(), len: u64) {
            let _ = read(&header, len);
        }
    }
}
