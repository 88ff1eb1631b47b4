//! From a text to tags, as browsers find them (WHATWG HTML, section 13.2.5), each byte looked at a few times at most.

/// No more attributes of one tag are looked at.
const MAX_ATTRIBUTES: usize = 64;

/// A name and, after `=`, a value as it stands there.
pub(super) type Attribute<'h> = (&'h str, Option<&'h str>);

#[derive(Debug, PartialEq)]
pub(super) enum Scanned<'h> {
    /// What is no tag, or none that is known.
    Text(&'h str),
    /// `<tag …>`, or `<tag …/>`.
    Start { tag: usize, attributes: Vec<Attribute<'h>>, is_closed: bool },
    /// `</tag>`
    End { tag: usize },
}

pub(super) struct Scan<'h> {
    html: &'h str,
    at: usize,
    /// Where the last `-->` is. A comment that begins after it has no end.
    last_comment_end: usize,
}

impl<'h> Scan<'h> {
    pub(super) fn new(html: &'h str) -> Self {
        Self { html, at: 0, last_comment_end: html.rfind("-->").unwrap_or(0) }
    }

    /// The next piece; `find` knows the places of tags by their names.
    pub(super) fn next(&mut self, find: impl Fn(&str) -> Option<usize>) -> Option<Scanned<'h>> {
        loop {
            let rest = &self.html[self.at..];
            match rest.find('<') {
                Some(0) => {}
                Some(len) => return Some(self.text(len)),
                None if rest.is_empty() => return None,
                None => return Some(self.text(rest.len())),
            }
            if !rest.starts_with("<!--") || self.last_comment_end < self.at + 2 {
                return Some(self.tag(find));
            }
            // `<!-->` is a whole comment.
            let end = rest[2..].find("-->").expect("the last one is not before this place");
            self.at += 2 + end + 3;
        }
    }

    fn text(&mut self, len: usize) -> Scanned<'h> {
        let text = &self.html[self.at..self.at + len];
        self.at += len;
        Scanned::Text(text)
    }

    /// A tag, or the `<` that begins none.
    fn tag(&mut self, find: impl Fn(&str) -> Option<usize>) -> Scanned<'h> {
        let rest = &self.html[self.at..];
        let is_end = rest.as_bytes().get(1) == Some(&b'/');
        let start = if is_end { 2 } else { 1 };
        let name = until(&rest[start..], |byte| is_space(byte) || matches!(byte, b'/' | b'>' | b'<'));
        let Some(tag) = find(name) else { return self.text(1) };
        let mut attributes = Vec::new();
        let mut at = start + name.len();
        loop {
            match next_attribute(rest, at) {
                Next::Attribute(attribute, after) => {
                    if attributes.len() < MAX_ATTRIBUTES && !is_end {
                        attributes.push(attribute);
                    }
                    at = after;
                }
                Next::End(end) => {
                    self.at += end + 1;
                    let is_closed = rest.as_bytes()[end - 1] == b'/';
                    return if is_end {
                        Scanned::End { tag }
                    } else {
                        Scanned::Start { tag, attributes, is_closed }
                    };
                }
                // Never looked at again as a tag, or many of them would take quadratic time.
                Next::None(at) => return self.text(at),
            }
        }
    }
}

enum Next<'h> {
    /// With the place after it.
    Attribute(Attribute<'h>, usize),
    /// The place of the `>`.
    End(usize),
    /// There is no `>` before the next tag begins, or the text ends.
    None(usize),
}

/// The attribute that begins at or after `at`.
fn next_attribute(html: &str, at: usize) -> Next<'_> {
    let skip = |at: usize, what: fn(u8) -> bool| at + until(&html[at..], |byte| !what(byte)).len();
    let byte = |at: usize| html.as_bytes().get(at).copied();
    let start = skip(at, |byte| is_space(byte) || byte == b'/');
    match byte(start) {
        None | Some(b'<') => return Next::None(start),
        Some(b'>') => return Next::End(start),
        Some(_) => {}
    }
    // A `=` in the first place is a part of the name.
    let ends = |byte: u8| is_space(byte) || matches!(byte, b'/' | b'>' | b'<' | b'=');
    let first = html[start..].chars().next().map_or(0, char::len_utf8);
    let end = start + first + until(&html[start + first..], ends).len();
    let name = &html[start..end];
    let equals = skip(end, is_space);
    if byte(equals) != Some(b'=') {
        return Next::Attribute((name, None), end);
    }
    let value = skip(equals + 1, is_space);
    match byte(value) {
        None => Next::None(value),
        Some(quote @ (b'"' | b'\'')) => {
            let text = until(&html[value + 1..], |byte| byte == quote);
            match value + 1 + text.len() {
                end if end == html.len() => Next::None(end),
                end => Next::Attribute((name, Some(text)), end + 1),
            }
        }
        Some(_) => {
            let text = until(&html[value..], |byte| is_space(byte) || matches!(byte, b'>' | b'<'));
            Next::Attribute((name, Some(text)), value + text.len())
        }
    }
}

/// The text before the first such byte, which is ASCII.
fn until(text: &str, is_end: impl Fn(u8) -> bool) -> &str {
    let len = text.bytes().position(|byte| byte.is_ascii() && is_end(byte)).unwrap_or(text.len());
    &text[..len]
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}
