//! What a handshake has settled, and whether a request belongs on that connection.

use super::Protocol;
use rustls::{CipherSuite, ProtocolVersion};
use tokio_rustls::server::TlsStream;

/// What the handshake of a connection has settled; borrowed from it, and cheap to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerInfo<'a> {
    /// The server name that the client has asked for (SNI), in lower case.
    pub server_name: Option<&'a str>,
    /// The protocol that ALPN has chosen.
    pub protocol: Option<Protocol>,
    /// The version as it is written in logs and CGI variables: `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite by its name in the IANA registry, such as `TLS_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
}

/// What the handshake of `stream` has settled.
#[must_use]
pub fn peer_info<IO>(stream: &TlsStream<IO>) -> PeerInfo<'_> {
    let connection = stream.get_ref().1;
    PeerInfo {
        server_name: connection.server_name(),
        protocol: connection.alpn_protocol().and_then(Protocol::of_id),
        version: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "",
        },
        cipher: connection.negotiated_cipher_suite().map_or("", |suite| cipher_name(suite.suite())),
    }
}

fn cipher_name(suite: CipherSuite) -> &'static str {
    match suite {
        // rustls has names of its own for those of TLS 1.3.
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        suite => suite.as_str().unwrap_or(""),
    }
}

/// Whether a request for `authority` (a valid `Host` or `:authority`, with or without a port) belongs on a connection
/// whose client has asked for `server_name`; if not, the answer is 421 (RFC 9110, sections 7.4 and 15.5.20).
///
/// A client that has sent no server name may ask for any authority. Case, port and one final dot make no difference.
/// An IP address never equals a server name. HTTP/2 clients may try another name of the same certificate on a
/// connection they have; the 421 sends them to a new one (RFC 9113, section 9.1.1).
///
/// ```
/// use cepa_server::tls::authority_matches;
///
/// assert!(authority_matches(Some("example.com"), "Example.com:8443"));
/// assert!(!authority_matches(Some("example.com"), "admin.example.com"));
/// assert!(authority_matches(None, "admin.example.com"));
/// ```
#[must_use]
pub fn authority_matches(server_name: Option<&str>, authority: &str) -> bool {
    let Some(server_name) = server_name else { return true };
    // In `[::1]:443` this cuts at the wrong colon, and what is left equals no server name either.
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    undotted(host).eq_ignore_ascii_case(undotted(server_name))
}

fn undotted(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_matches_its_server_name() {
        for (server_name, authority, matches) in [
            (Some("a.test"), "a.test", true),
            (Some("a.test"), "A.TEST:443", true),
            (Some("a.test"), "a.test.", true),
            (Some("a.test"), "a.test.:443", true),
            (Some("a.test."), "a.test", true),
            (Some("a.test"), "a.test..", false),
            (Some("a.test"), "b.test", false),
            (Some("a.test"), "x.a.test", false),
            (Some("a.test"), "a.test.evil", false),
            (Some("a.test"), "", false),
            (Some("a.test"), ":443", false),
            (Some("a.test"), "127.0.0.1", false),
            (Some("a.test"), "[::1]:443", false),
            (None, "b.test", true),
            (None, "[::1]", true),
        ] {
            assert_eq!(authority_matches(server_name, authority), matches, "{server_name:?} {authority}");
        }
    }
}
