//! The variables of a request (RFC 3875, section 4.1).

use cepa_core::{Ctx, Peer, percent};
use http::Version;

/// What is asked for, and how long its body is.
pub(crate) struct Asked<'a> {
    /// `SCRIPT_NAME`, the prefix that the app is mounted at included.
    pub(crate) script: &'a str,
    /// `PATH_INFO`, decoded.
    pub(crate) info: &'a [u8],
    pub(crate) length: Option<u64>,
    /// Whether the program gets the password that the client has sent.
    pub(crate) authorization: bool,
}

/// Names and values, in no order that matters.
pub(crate) type Variables = Vec<(String, Vec<u8>)>;

/// The variables that every program gets.
///
/// A header whose name has an underscore is left out, as a program would take it for one with a dash; so is `Proxy`, that
/// would become a variable by which programs find their own proxy (CVE-2016-5385), and what speaks of the connection.
pub(crate) fn variables(ctx: &Ctx, asked: &Asked<'_>) -> Variables {
    let mut all: Variables = Vec::with_capacity(32);
    let mut add = |name: &str, value: &[u8]| all.push((name.to_owned(), value.to_vec()));
    let original = ctx.request.original_target();
    let (uri, query) = (format!("{}{}", original.path(), original.search()), ctx.querystring());
    add("GATEWAY_INTERFACE", b"CGI/1.1");
    add("SERVER_SOFTWARE", b"cepa");
    add("SERVER_PROTOCOL", protocol(ctx.request.version()));
    add("REQUEST_METHOD", ctx.method().as_str().as_bytes());
    add("REQUEST_SCHEME", ctx.protocol().as_bytes());
    add("REQUEST_URI", uri.as_bytes());
    add("SCRIPT_NAME", &percent::decode(asked.script));
    add("PATH_INFO", asked.info);
    add("QUERY_STRING", query.as_bytes());
    add("SERVER_NAME", ctx.hostname().as_bytes());
    let length = asked.length.filter(|length| *length > 0 || ctx.request.length().is_some());
    if let Some(length) = length {
        add("CONTENT_LENGTH", length.to_string().as_bytes());
    }
    if let Some(kind) = ctx.request.fields().get("content-type") {
        add("CONTENT_TYPE", kind);
    }
    if ctx.secure() {
        add("HTTPS", b"on");
    }
    if let Some(ip) = ctx.ip() {
        add("REMOTE_ADDR", ip.to_string().as_bytes());
        // The port is that of the connection, and says nothing of a client behind a proxy.
        if let Peer::Ip(peer) = ctx.connection().peer()
            && peer.ip().to_canonical() == ip
        {
            add("REMOTE_PORT", peer.port().to_string().as_bytes());
        }
    }
    let port = if ctx.secure() { 443 } else { 80 };
    let local = ctx.connection().local();
    add("SERVER_PORT", local.map_or(port, |local| local.port()).to_string().as_bytes());
    if let Some(local) = local {
        add("SERVER_ADDR", local.ip().to_string().as_bytes());
    }
    add_headers(ctx, asked, &mut all);
    all
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2.0",
        Version::HTTP_3 => b"HTTP/3.0",
        _ => b"HTTP/1.1",
    }
}

fn add_headers(ctx: &Ctx, asked: &Asked<'_>, all: &mut Variables) {
    let headers = ctx.request.headers();
    for name in headers.keys() {
        let text = name.as_str();
        if text.contains('_') || is_left_out(text) || text == "authorization" && !asked.authorization {
            continue;
        }
        let between: &[u8] = if text == "cookie" { b"; " } else { b", " };
        let mut value = Vec::new();
        for (at, line) in headers.get_all(name).iter().enumerate() {
            if at > 0 {
                value.extend_from_slice(between);
            }
            value.extend_from_slice(line.as_bytes());
        }
        let variable =
            text.bytes().map(|byte| if byte == b'-' { '_' } else { byte.to_ascii_uppercase() as char });
        all.push(("HTTP_".chars().chain(variable).collect(), value));
    }
}

fn is_left_out(name: &str) -> bool {
    matches!(
        name,
        "proxy"
            | "content-length"
            | "content-type"
            | "transfer-encoding"
            | "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authorization"
            | "upgrade"
            | "expect"
            | "te"
            | "trailer"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::{App, test::block_on};

    #[test]
    fn what_a_program_learns_of_a_request() {
        let app = App::new().get("/a/{*rest}", async |ctx: &mut Ctx| {
            let asked = Asked { script: "/a/%20b", info: b"/c", length: Some(0), authorization: false };
            let mut lines: Vec<_> = variables(ctx, &asked)
                .into_iter()
                .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(&value)))
                .collect();
            lines.sort();
            lines.join("\n")
        });
        let client = app.test();
        let call =
            client.get("/a/%20b/c?x=%201").header("x-one", "1").header("x-one", "2").header("x_one", "3");
        let call = call.header("proxy", "evil").header("authorization", "Basic x").header("cookie", "a=1");
        let answer = block_on(call.header("cookie", "b=2"));
        let expected = "\
GATEWAY_INTERFACE=CGI/1.1
HTTP_COOKIE=a=1; b=2
HTTP_HOST=localhost
HTTP_X_ONE=1, 2
PATH_INFO=/c
QUERY_STRING=x=%201
REMOTE_ADDR=127.0.0.1
REMOTE_PORT=50000
REQUEST_METHOD=GET
REQUEST_SCHEME=http
REQUEST_URI=/a/%20b/c?x=%201
SCRIPT_NAME=/a/ b
SERVER_NAME=localhost
SERVER_PORT=80
SERVER_PROTOCOL=HTTP/1.1
SERVER_SOFTWARE=cepa";
        assert_eq!(answer.text(), expected);
    }
}
