//! The headers of a request: the text they came in, and a map once somebody asks for one.

use std::{cell::OnceCell, fmt, ops::Range};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::spare::{Field, Lines, reuse_lines, reuse_map, spare_lines, spare_map};

/// The headers of a request.
///
/// Most requests are answered after a look at a few headers. So a door hands over the text of all fields and
/// where each lies in it; [`get`](Self::get) searches there, and a [`HeaderMap`] is made only for who
/// [asks](Self::map) for it.
///
/// Names compare without regard to case. Fields keep their order.
#[derive(Default)]
pub struct Headers {
    lines: Lines,
    map: OnceCell<Box<HeaderMap>>,
}

impl Headers {
    /// No headers.
    #[inline]
    pub fn new() -> Self {
        Self { lines: spare_lines(), map: OnceCell::new() }
    }

    /// Begins anew: fields are [pushed](Self::push) from here on, until their text is given to [`end`](Self::end).
    #[inline]
    pub fn begin(&mut self) {
        self.lines.clear();
        if let Some(map) = self.map.take() {
            reuse_map(map);
        }
    }

    /// Adds the field whose name and value will lie there in the text.
    #[inline]
    pub fn push(&mut self, name: Range<usize>, value: Range<usize>) {
        let range = |range: Range<usize>| (range.start as u32, range.end as u32);
        self.lines.fields.push(Field { name: range(name), value: range(value) });
    }

    /// Copies the text that the fields lie in, as a door has checked it: a name is a token (RFC 9110, section 5.6.2),
    /// a value has no control characters but tabs and no white space around it.
    ///
    /// # Panics
    /// In debug builds, when that is not so.
    #[inline]
    pub fn end(&mut self, text: &[u8]) {
        self.lines.text.extend_from_slice(text);
        debug_assert!(
            self.lines.fields.iter().all(|field| HeaderName::from_bytes(self.slice(field.name)).is_ok()
                && HeaderValue::from_bytes(self.slice(field.value)).is_ok()),
            "names are tokens and values are clean"
        );
    }

    /// The value of the first field of this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        match self.map.get() {
            Some(map) => map.get(name).map(HeaderValue::as_bytes),
            None => self.in_text(name).next(),
        }
    }

    /// The values of all fields of this name, in their order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let map = self.map.get();
        let mapped = map.into_iter().flat_map(move |map| map.get_all(name).iter().map(HeaderValue::as_bytes));
        let in_text = map.is_none().then(|| self.in_text(name));
        mapped.chain(in_text.into_iter().flatten())
    }

    /// Whether there is a field of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All of them as a map; made when first asked for.
    pub fn map(&self) -> &HeaderMap {
        self.map.get_or_init(|| self.to_map())
    }

    /// All of them as a map, to change them.
    pub fn map_mut(&mut self) -> &mut HeaderMap {
        if self.map.get().is_none() {
            let map = self.to_map();
            self.map = OnceCell::from(map);
        }
        self.lines.clear();
        self.map.get_mut().expect("the map was made above")
    }

    fn in_text(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let same = move |field: &&Field| self.slice(field.name).eq_ignore_ascii_case(name.as_bytes());
        self.lines.fields.iter().filter(same).map(|field| self.slice(field.value))
    }

    fn slice(&self, (start, end): (u32, u32)) -> &[u8] {
        // There is no text before `end` was called.
        self.lines.text.get(start as usize..end as usize).unwrap_or_default()
    }

    fn to_map(&self) -> Box<HeaderMap> {
        let mut map = spare_map();
        map.reserve(self.lines.fields.len());
        // The values share one copy of the text.
        let text = Bytes::copy_from_slice(&self.lines.text);
        for field in &self.lines.fields {
            let name = HeaderName::from_bytes(self.slice(field.name));
            let value = text.slice(field.value.0 as usize..field.value.1 as usize);
            // Neither fails: whoever pushed the field had checked it.
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(value)) {
                map.append(name, value);
            }
        }
        map
    }

    /// Gives the memory back for the next request.
    pub(crate) fn reuse(&mut self) {
        reuse_lines(std::mem::take(&mut self.lines));
        if let Some(map) = self.map.take() {
            reuse_map(map);
        }
    }
}

impl From<HeaderMap> for Headers {
    fn from(map: HeaderMap) -> Self {
        Self { lines: Lines::default(), map: OnceCell::from(Box::new(map)) }
    }
}

impl Clone for Headers {
    fn clone(&self) -> Self {
        self.map().clone().into()
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.map() == other.map()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.map().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers() -> Headers {
        let text = "Host: a\r\nX-A: 1\r\nx-a: 2\r\n";
        let mut headers = Headers::new();
        headers.begin();
        for (name, value) in [(0..4, 6..7), (9..12, 14..15), (17..20, 22..23)] {
            headers.push(name, value);
        }
        headers.end(text.as_bytes());
        headers
    }

    #[test]
    fn text_and_map_say_the_same() {
        let headers = headers();
        let check = |headers: &Headers| {
            assert_eq!(headers.get("host"), Some(&b"a"[..]));
            assert_eq!(headers.get("HOST"), Some(&b"a"[..]));
            assert_eq!(headers.get("x-a"), Some(&b"1"[..]));
            assert_eq!(headers.get_all("X-A").collect::<Vec<_>>(), [b"1", b"2"]);
            assert_eq!((headers.contains("x-b"), headers.get_all("x-b").count()), (false, 0));
        };
        check(&headers);
        assert_eq!(headers.map().len(), 3);
        check(&headers);
        assert!(headers.clone() == headers);
    }

    #[test]
    fn a_change_counts() {
        let mut headers = headers();
        headers.map_mut().insert("x-a", HeaderValue::from_static("3"));
        assert_eq!(headers.get_all("x-a").collect::<Vec<_>>(), [b"3"]);
        headers.begin();
        assert_eq!((headers.get("x-a"), headers.map().len()), (None, 0));
    }
}
