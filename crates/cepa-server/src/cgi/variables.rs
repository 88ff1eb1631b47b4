//! From CGI variables to the head of a request (RFC 3875, section 4.1).

use std::net::{IpAddr, SocketAddr};

use cepa_core::{Headers, Peer, Target, TlsInfo};
use http::{Method, Version};

use super::{
    Reject,
    target::{Asked, Located},
};
use crate::{
    http1::{Form, LONGEST_METHOD, TargetInPlace, is_valid_host},
    limits::Limits,
};

/// The head of a request as its variables say it.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The target, the prefix that the front server has mounted the app at included.
    pub target: Target,
    /// That prefix; empty where there is none.
    pub mount: String,
    /// The version of HTTP between the client and the front server.
    pub version: Version,
    /// Bytes of the body, if that is said.
    pub length: Option<u64>,
    /// A body follows although nobody knows how long it is.
    pub streamed: bool,
    /// What the front server says of the client; to be believed of a front server only.
    pub client: Client,
}

/// What a front server says of the connection of its client.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Client {
    /// `REMOTE_ADDR` and `REMOTE_PORT`; [`Peer::None`] where they are no address.
    pub peer: Peer,
    /// `SERVER_ADDR` and `SERVER_PORT`.
    pub local: Option<SocketAddr>,
    /// Of TLS, if `HTTPS` or `REQUEST_SCHEME` say so.
    pub tls: Option<Box<TlsInfo>>,
}

/// Bytes of the headers of most requests.
const USUAL: usize = 1024;

/// How variables are read.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'l> {
    /// `request_line`, `headers` and `header_bytes` hold.
    pub limits: &'l Limits,
    /// `SCRIPT_NAME` is where the app is mounted also when there is no `PATH_INFO`, as for a CGI program. Servers in
    /// front of FastCGI and SCGI often name the whole path so.
    pub script_is_mount: bool,
}

/// Of a variable that comes twice the last value counts, the host among them: nginx sends both its own and those that its
/// configuration puts behind them. Two lengths are refused.
#[derive(Default)]
struct Slots<'a> {
    method: &'a [u8],
    asked: Asked<'a>,
    protocol: &'a [u8],
    host: Option<&'a [u8]>,
    server_name: &'a [u8],
    server_port: &'a [u8],
    server_addr: &'a [u8],
    remote_addr: &'a [u8],
    remote_port: &'a [u8],
    https: &'a [u8],
    scheme: &'a [u8],
    ssl_protocol: &'a [u8],
    ssl_cipher: &'a [u8],
    length: &'a [u8],
    kind: &'a [u8],
    streamed: bool,
}

impl Rules<'_> {
    /// Reads the variables of one request, its headers into `headers`.
    ///
    /// `HTTP_NAME` is the header `name`. Those that speak of the connection between the client and the front server are
    /// left out, and `Proxy`, which a program further down could take for a variable `HTTP_PROXY`; so are names with small
    /// letters or `-`.
    ///
    /// # Errors
    /// What is malformed, repeated or past a limit; the request deserves [`Reject::status`].
    pub fn read<'a>(
        self,
        variables: impl Iterator<Item = Result<(&'a [u8], &'a [u8]), Reject>>,
        headers: &mut Headers,
    ) -> Result<Head, Reject> {
        let mut slots = Slots::default();
        let mut fields = Fields {
            most: self.limits.headers,
            bytes: self.limits.header_bytes,
            text: Vec::with_capacity(USUAL),
        };
        headers.begin();
        for variable in variables {
            let (name, value) = variable?;
            match name.strip_prefix(b"HTTP_") {
                Some(name) => slots.take_header(name, value, headers, &mut fields)?,
                None => slots.take(name, value)?,
            }
        }
        slots.finish(self, headers, fields)
    }
}

impl<'a> Slots<'a> {
    fn take(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Reject> {
        match name {
            b"REQUEST_METHOD" => self.method = value,
            b"REQUEST_URI" => self.asked.uri = Some(value).filter(|uri| !uri.is_empty()),
            b"SCRIPT_NAME" => self.asked.script = value,
            b"PATH_INFO" => self.asked.info = Some(value),
            b"QUERY_STRING" => self.asked.query = value,
            b"CONTENT_LENGTH" => {
                if !self.length.is_empty() && self.length != value {
                    return Err(Reject::ContentLength);
                }
                self.length = value;
            }
            b"CONTENT_TYPE" => self.kind = value,
            b"SERVER_PROTOCOL" => self.protocol = value,
            b"SERVER_NAME" => self.server_name = value,
            b"SERVER_PORT" => self.server_port = value,
            b"SERVER_ADDR" => self.server_addr = value,
            b"REMOTE_ADDR" => self.remote_addr = value,
            b"REMOTE_PORT" => self.remote_port = value,
            b"HTTPS" => self.https = value,
            b"REQUEST_SCHEME" => self.scheme = value,
            b"SSL_PROTOCOL" => self.ssl_protocol = value,
            b"SSL_CIPHER" => self.ssl_cipher = value,
            _ => {}
        }
        Ok(())
    }

    fn take_header(
        &mut self,
        name: &[u8],
        value: &'a [u8],
        headers: &mut Headers,
        fields: &mut Fields,
    ) -> Result<(), Reject> {
        // Front servers write no others (RFC 3875, section 4.1.18), and these would get past the names below.
        if name.iter().any(|byte| byte.is_ascii_lowercase() || *byte == b'-') {
            return Ok(());
        }
        match name {
            b"HOST" => self.host = Some(trim(value)),
            b"TRANSFER_ENCODING" => self.streamed |= !value.is_empty(),
            // The first two are variables of their own; the rest is of the connection to the front server.
            b"CONTENT_LENGTH" | b"CONTENT_TYPE" | b"CONNECTION" | b"KEEP_ALIVE" | b"PROXY_CONNECTION"
            | b"UPGRADE" | b"EXPECT" | b"TE" | b"TRAILER" | b"PROXY" => {}
            _ => return fields.push(name, value, headers),
        }
        Ok(())
    }

    fn finish(self, rules: Rules<'_>, headers: &mut Headers, mut fields: Fields) -> Result<Head, Reject> {
        if self.method.is_empty() || self.method.len() > LONGEST_METHOD {
            return Err(Reject::Method);
        }
        let method = Method::from_bytes(self.method).map_err(|_| Reject::Method)?;
        let mut asked = self.asked;
        if rules.script_is_mount && !asked.script.is_empty() {
            asked.info = asked.info.or(Some(b""));
        }
        let Located { text, mount } = asked.locate();
        if text.len() > rules.limits.request_line {
            return Err(Reject::TargetTooLong);
        }
        let target = TargetInPlace::parse(&text, 0, &method).map_err(|_| Reject::Target)?;
        let mount = String::from_utf8(text[mount].to_vec()).map_err(|_| Reject::Target)?;
        let length = match self.length {
            [] => None,
            digits => Some(decimal(digits).ok_or(Reject::ContentLength)?),
        };
        let authority = target.authority().filter(|_| target.form() == Form::Absolute);
        self.add_host(authority, headers, &mut fields)?;
        if !self.kind.is_empty() {
            fields.push(b"CONTENT_TYPE", self.kind, headers)?;
        }
        if length.is_some() {
            fields.push(b"CONTENT_LENGTH", self.length, headers)?;
        }
        headers.end(&fields.text);
        let (streamed, version, client) = (self.streamed && length.is_none(), self.version(), self.client());
        Ok(Head { method, target: target.to_core(), mount, version, length, streamed, client })
    }

    /// The host of the target, that of the client, or the name of the server.
    fn add_host(
        &self,
        authority: Option<&[u8]>,
        headers: &mut Headers,
        fields: &mut Fields,
    ) -> Result<(), Reject> {
        if let Some(host) = authority.or(self.host).filter(|host| !host.is_empty()) {
            if !is_valid_host(host) {
                return Err(Reject::Host);
            }
            return fields.push(b"HOST", host, headers);
        }
        let usual = if self.is_https() { &b"443"[..] } else { b"80" };
        let port = if self.server_port == usual { b"" } else { self.server_port };
        let host =
            if port.is_empty() { self.server_name.to_vec() } else { [self.server_name, b":", port].concat() };
        // What a server calls itself is often no host at all, such as nginx's `_`.
        if is_valid_host(&host) { fields.push(b"HOST", &host, headers) } else { Ok(()) }
    }

    fn is_https(&self) -> bool {
        [&b"on"[..], b"1", b"yes"].iter().any(|yes| self.https.eq_ignore_ascii_case(yes))
            || self.scheme.eq_ignore_ascii_case(b"https")
    }

    fn version(&self) -> Version {
        match self.protocol {
            b"HTTP/1.0" => Version::HTTP_10,
            b"HTTP/2" | b"HTTP/2.0" => Version::HTTP_2,
            b"HTTP/3" | b"HTTP/3.0" => Version::HTTP_3,
            _ => Version::HTTP_11,
        }
    }

    fn client(&self) -> Client {
        let peer = match self.remote_addr {
            // As nginx writes a client on a Unix socket.
            b"unix:" => Peer::Unix(None),
            address => socket_address(address, self.remote_port).map_or(Peer::None, Peer::Ip),
        };
        let local = socket_address(self.server_addr, self.server_port);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok().filter(|text| !text.is_empty());
        let tls = self.is_https().then(|| {
            Box::new(TlsInfo {
                version: match self.ssl_protocol {
                    b"TLSv1.3" => Some("TLSv1.3"),
                    b"TLSv1.2" => Some("TLSv1.2"),
                    _ => None,
                },
                cipher: text(self.ssl_cipher),
                ..TlsInfo::default()
            })
        });
        Client { peer, local, tls }
    }
}

fn socket_address(address: &[u8], port: &[u8]) -> Option<SocketAddr> {
    let address = std::str::from_utf8(address).ok()?;
    let address = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    let port = decimal(port).and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
    Some(SocketAddr::new(address.parse::<IpAddr>().ok()?.to_canonical(), port))
}

/// A value without the spaces and tabs around it.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// A plain decimal number without sign, white space or superfluous zeros.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    match digits {
        [] | [b'0', _, ..] => None,
        digits => digits.iter().try_fold(0u64, |number, byte| {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number.checked_mul(10)?.checked_add(digit.into())
        }),
    }
}

/// The headers on their way, with what is left of their limits.
struct Fields {
    most: usize,
    bytes: usize,
    text: Vec<u8>,
}

impl Fields {
    fn push(&mut self, name: &[u8], value: &[u8], headers: &mut Headers) -> Result<(), Reject> {
        let value = trim(value);
        // As they would have stood in a head: a colon, a space, the end of a line.
        let bytes = name.len() + value.len() + 4;
        self.most = self.most.checked_sub(1).ok_or(Reject::TooManyHeaders)?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Reject::HeadersTooLarge)?;
        let start = self.text.len();
        self.text.reserve(bytes);
        self.text.extend(name.iter().map(|&byte| NAME[usize::from(byte)]));
        let end = self.text.len();
        if start == end || self.text[start..].contains(&0) {
            return Err(Reject::HeaderName);
        }
        if !value.iter().all(|&byte| byte >= b' ' && byte != 0x7f || byte == b'\t') {
            return Err(Reject::HeaderValue);
        }
        self.text.extend_from_slice(value);
        headers.push(start..end, end..self.text.len());
        Ok(())
    }
}

/// What becomes of the bytes of a variable's name in that of a header: lower case, and dashes for underscores; 0 is what
/// no header can be named with (RFC 9110, section 5.6.2).
static NAME: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let char = byte as u8;
        table[byte] = match char {
            b'_' => b'-',
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'`' | b'|'
            | b'~' => char,
            _ if char.is_ascii_alphanumeric() => char.to_ascii_lowercase(),
            _ => 0,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests;
