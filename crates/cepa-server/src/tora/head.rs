//! What a request says of itself, as the variables that the doors behind front servers read.

use std::ops::Range;

use cepa_core::Headers;

use super::{
    decode::{Request, Role},
    wire::Code,
};
use crate::cgi::{Head, Reject, Rules};

/// Which variable a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Uri,
    ClientIp,
    Query,
    Host,
    Method,
    Resolve,
    HeaderKey,
    HeaderValue,
}

/// All texts of a request but its body, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Fields {
    text: Vec<u8>,
    list: Vec<(Name, Range<u32>)>,
    /// A value is to come next, to a key of this code.
    awaits: Option<Code>,
}

impl Fields {
    /// Whether a message may come here: a value behind its key, and nothing else.
    pub(super) fn fits(&self, code: Code) -> bool {
        match self.awaits {
            Some(Code::HeaderKey) => matches!(code, Code::HeaderValue | Code::HeaderAddValue),
            Some(_) => code == Code::ParamValue,
            None => !matches!(code, Code::HeaderValue | Code::HeaderAddValue | Code::ParamValue),
        }
    }

    pub(super) fn await_value(&mut self, of: Option<Code>) {
        self.awaits = of;
    }

    /// A text begins; all together take at most `most` bytes of memory.
    pub(super) fn begin(&mut self, name: Name, length: usize, most: usize) -> Result<(), Reject> {
        let entry = size_of::<(Name, Range<u32>)>();
        if (self.list.len() + 1) * entry + self.text.len() + length > most {
            return Err(Reject::VariablesTooLarge);
        }
        if name == Name::HeaderKey {
            // As a variable of CGI is called.
            self.text.extend_from_slice(b"HTTP_");
        }
        let from = self.text.len() as u32;
        self.list.push((name, from..from));
        Ok(())
    }

    pub(super) fn keep(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    pub(super) fn end(&mut self) {
        let end = self.text.len() as u32;
        let Some((name, range)) = self.list.last_mut() else { return };
        range.end = end;
        self.awaits = (*name == Name::HeaderKey).then_some(Code::HeaderKey);
        if *name == Name::HeaderKey {
            let key = &mut self.text[range.start as usize..];
            // With an underscore it could be taken for another one, and Apache passes none on to programs either.
            let is_plain = !key.contains(&b'_');
            for byte in key.iter_mut() {
                *byte = if *byte == b'-' { b'_' } else { byte.to_ascii_uppercase() };
            }
            range.start = if is_plain { range.start - 5 } else { range.end };
        }
    }

    fn texts(&self) -> impl Iterator<Item = (Name, &[u8])> {
        self.list.iter().map(|(name, range)| (*name, &self.text[range.start as usize..range.end as usize]))
    }

    /// The headers by their names as variables; those that cannot be variables are left out.
    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut key: &[u8] = b"";
        self.texts().filter_map(move |(name, text)| match name {
            Name::HeaderKey => {
                key = text;
                None
            }
            Name::HeaderValue if !key.is_empty() => Some((key, text)),
            _ => None,
        })
    }

    /// The last text of this name.
    fn last(&self, name: Name) -> Option<&[u8]> {
        self.texts().filter(|(found, _)| *found == name).map(|(_, text)| text).last()
    }

    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.headers().filter(|(found, _)| *found == name).map(|(_, value)| value).last()
    }

    /// Whether the body is a form of parts, which the front server keeps until it is asked for.
    pub(super) fn is_form(&self) -> bool {
        const KIND: &[u8] = b"multipart/form-data";
        let kind = self.header(b"HTTP_CONTENT_TYPE").unwrap_or_default();
        kind.windows(KIND.len()).any(|here| here.eq_ignore_ascii_case(KIND))
            && self.header(b"HTTP_CONTENT_LENGTH") != Some(b"0")
    }
}

impl Request {
    /// The head, its headers into `headers`.
    ///
    /// # Errors
    /// What is malformed, missing or past a limit; of a host that a direct client may not ask for, [`Reject::Host`].
    pub fn read(
        &self,
        role: Role,
        hosts: &[String],
        rules: Rules<'_>,
        headers: &mut Headers,
    ) -> Result<Head, Reject> {
        let asked = self.fields.last(Name::Resolve);
        if role == Role::Direct && !is_known(asked.unwrap_or_default(), hosts) {
            return Err(Reject::Host);
        }
        let length = self.length.map(|length| length.to_string());
        let is_chunked = self.fields.header(b"HTTP_TRANSFER_ENCODING").is_some();
        if is_chunked && self.form.is_none() && self.length.is_none() {
            return Err(Reject::LengthRequired);
        }
        let query = self.query()?;
        let mut path = self.fields.last(Name::Uri).unwrap_or(b"/").to_vec();
        if role == Role::Direct {
            path = target(&path, query);
        }
        let mut variables = self.variables(role, &path, query);
        if let Some(length) = &length
            && !variables.iter().any(|(name, _)| *name == b"CONTENT_LENGTH")
        {
            variables.push((b"CONTENT_LENGTH", length.as_bytes()));
        }
        variables.extend(asked.map(|host| (&b"HTTP_HOST"[..], host)));
        let mut head = rules.read(variables.into_iter().map(Ok), headers)?;
        head.streamed = self.form.is_some();
        Ok(head)
    }

    /// What came, by the names that CGI has for it.
    fn variables<'a>(&'a self, role: Role, path: &'a [u8], query: &'a [u8]) -> Vec<(&'a [u8], &'a [u8])> {
        let method: &[u8] = if self.length.is_some() || self.form.is_some() { b"POST" } else { b"GET" };
        let mut variables: Vec<(&[u8], &[u8])> = vec![
            (b"REQUEST_METHOD", self.fields.last(Name::Method).unwrap_or(method)),
            (b"QUERY_STRING", query),
            (if role == Role::Direct { b"REQUEST_URI" } else { b"SCRIPT_NAME" }, path),
            (b"REMOTE_ADDR", trim(self.fields.last(Name::ClientIp).unwrap_or_default())),
            (b"SERVER_NAME", self.fields.last(Name::Host).unwrap_or_default()),
        ];
        for (name, value) in self.fields.headers() {
            match name {
                b"HTTP_CONTENT_TYPE" => {
                    variables.push((b"CONTENT_TYPE", self.form.as_deref().unwrap_or(value)));
                }
                // That of a form counts what is not passed on.
                b"HTTP_CONTENT_LENGTH" if self.form.is_none() => variables.push((b"CONTENT_LENGTH", value)),
                b"HTTP_CONTENT_LENGTH" | b"HTTP_TRANSFER_ENCODING" => {}
                b"HTTP_HOST" if role == Role::Direct => {}
                name => variables.push((name, value)),
            }
        }
        variables
    }

    /// The query as it came, or as the parameters make it where no query and no body came that they could be of.
    fn query(&self) -> Result<&[u8], Reject> {
        let query = self.fields.last(Name::Query).filter(|query| !query.is_empty());
        match (query, &self.params) {
            (Some(query), _) => Ok(query),
            (None, _) if self.length.is_some() => Ok(b""),
            (None, Some(params)) => Ok(params),
            (None, None) => Err(Reject::TargetTooLong),
        }
    }
}

/// Whether a direct client may ask for this host.
fn is_known(host: &[u8], hosts: &[String]) -> bool {
    !host.is_empty()
        && (hosts.is_empty() || hosts.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(host)))
}

/// Without what mod_tora leaves of a list, when it takes the last address from it.
fn trim(mut address: &[u8]) -> &[u8] {
    while let [b' ' | b',', rest @ ..] = address {
        address = rest;
    }
    address
}

/// The path of a direct client, which is that of a URL, with its query.
fn target(path: &[u8], query: &[u8]) -> Vec<u8> {
    let mut target = Vec::with_capacity(path.len() + query.len() + 2);
    if path.first() != Some(&b'/') {
        target.push(b'/');
    }
    target.extend_from_slice(path);
    if !query.is_empty() {
        target.push(if path.contains(&b'?') { b'&' } else { b'?' });
        target.extend_from_slice(query);
    }
    target
}
