//! Heads that a hostile, a careless and a polite client sends, and what becomes of them in every cut.

use super::*;
use crate::http1::Form;
use Reject as R;
use proptest::prelude::*;

const LIMITS: HeadLimits = HeadLimits { request_line: 64, header_bytes: 256, fields: 8 };

type Decoded = Result<Option<(Head, usize)>, Reject>;

fn decode(bytes: &[u8], limits: &HeadLimits) -> (Decoded, Headers) {
    let mut headers = Headers::new();
    (decode_head(bytes, &mut HeadScan::default(), limits, &mut headers), headers)
}

/// Feeds the bytes in pieces that end at the cuts, as long as more are asked for.
fn decode_in_cuts(
    bytes: &[u8],
    cuts: impl IntoIterator<Item = usize>,
    limits: &HeadLimits,
) -> (Decoded, Headers) {
    let (mut scan, mut headers) = (HeadScan::default(), Headers::new());
    for end in cuts.into_iter().chain([bytes.len()]) {
        let decoded = decode_head(&bytes[..end], &mut scan, limits, &mut headers);
        if decoded != Ok(None) {
            return (decoded, headers);
        }
    }
    (Ok(None), headers)
}

/// Checks that the pieces come to the same as the whole. Of a head that is not complete the whole may show a
/// fault that the pieces do not show yet; then one more byte, which no head survives, must bring it out.
fn assert_same(bytes: &[u8], cuts: impl IntoIterator<Item = usize> + Clone, limits: &HeadLimits) {
    let whole = decode(bytes, limits);
    let mut pieces = decode_in_cuts(bytes, cuts.clone(), limits);
    if whole.0.is_err() && pieces.0 == Ok(None) {
        let cuts = cuts.into_iter().chain([bytes.len()]);
        pieces = decode_in_cuts(&[bytes, b"\0"].concat(), cuts, limits);
    }
    assert_eq!(pieces.0, whole.0, "{}", bytes.escape_ascii());
    if matches!(whole.0, Ok(Some(_))) {
        assert_eq!(pieces.1, whole.1, "{}", bytes.escape_ascii());
    }
}

/// The whole in one piece, byte by byte and in two pieces must come to the same.
fn decode_every_way(bytes: &[u8], limits: &HeadLimits) -> Decoded {
    assert_same(bytes, 1..bytes.len(), limits);
    for cut in 1..bytes.len() {
        assert_same(bytes, [cut], limits);
    }
    decode(bytes, limits).0
}

/// Complete heads that are refused, and the fault that is named.
const REFUSED: &[(&[u8], Reject)] = &[
    // Line ends.
    (b"GET / HTTP/1.1\nHost: a\n\n", R::BareLf),
    (b"GET / HTTP/1.1\r\nHost: a\n\r\n", R::BareLf),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\n", R::BareLf),
    (b"GET / HTTP/1.1\nHost: a\r\n\r\n", R::BareLf),
    (b"GET / HTTP/1.1\n\r\n", R::BareLf),
    (b"GET / HTTP/1.0\n\n", R::BareLf),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n", R::BareLf),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX:\nY: c\r\n\r\n", R::BareLf),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX:\n\r\n", R::BareLf),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: \n\r\n", R::BareLf),
    (b"GET / HTTP/1.1\rHost: a\r\n\r\n", R::BareCr),
    (b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", R::FieldValue),
    (b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", R::FieldValue),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", R::FieldValue),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n", R::BareCr),
    (b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", R::BareCr),
    // Empty lines before the request.
    (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::BareLf),
    (b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::BareLf),
    (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::BareCr),
    (b"\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::BareCr),
    (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::EmptyLines),
    // What some readers take for something else.
    (b"GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET /%0d%0aX:%20y HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET /%0A HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:  1\r\n\r\n", R::ContentLength),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\t1\r\n\r\n", R::ContentLength),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 \r\n\r\n", R::ContentLength),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\ncontent-type: a/c\r\n\r\n", R::ContentTypeRepeated),
    // Method.
    (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", R::Method),
    (b"\r\n GET / HTTP/1.1\r\nHost: a\r\n\r\n", R::Method),
    (b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", R::Method),
    (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", R::Method),
    (b"GE\0T / HTTP/1.1\r\nHost: a\r\n\r\n", R::Method),
    (b"G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n", R::Method),
    (b"GET\r\n\r\n", R::Method),
    (b"GET(/ HTTP/1.1\r\nHost: a\r\n\r\n", R::Method),
    (b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\nHost: a\r\n\r\n", R::MethodTooLong),
    (b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n", R::MethodTooLong),
    (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", R::Method),
    (b"\x80\x2e\x01\x03\x01", R::Method),
    (b"{\"json\": 1}\r\n\r\n", R::Method),
    // Target.
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", R::Version),
    (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", R::Version),
    (b"GET \t/ HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET /\t HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET /\x0b HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET # HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET \\a HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"POST * HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"CONNECT u@a:1 HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET a:443 HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    (b"GET gopher://b/ HTTP/1.1\r\nHost: a\r\n\r\n", R::Target),
    // Version.
    (b"GET /\r\n\r\n", R::Version),
    (b"GET / \r\n\r\n", R::Version),
    (b"GET / HTTP/0.9\r\n\r\n", R::VersionUnsupported),
    (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", R::VersionUnsupported),
    (b"GET / HTTP/1.9\r\nHost: a\r\n\r\n", R::VersionUnsupported),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", R::VersionUnsupported),
    (b"GET / HTTP/3.0\r\n\r\n", R::VersionUnsupported),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", R::VersionUnsupported),
    (b"GET / HTTP/2\r\nHost: a\r\n\r\n", R::Version),
    (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", R::Version),
    (b"GET / HTTP/11.1\r\nHost: a\r\n\r\n", R::Version),
    (b"GET / HTTP/1,1\r\nHost: a\r\n\r\n", R::Version),
    (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", R::Version),
    (b"GET / HTTP/1.1\t\r\nHost: a\r\n\r\n", R::Version),
    (b"GET / HTTP/ 1.1\r\nHost: a\r\n\r\n", R::Version),
    (b"GET / http/1.1\r\nHost: a\r\n\r\n", R::Version),
    (b"GET / HTTPS/1.1\r\nHost: a\r\n\r\n", R::Version),
    (b"GET / HTTP/-1.1\r\nHost: a\r\n\r\n", R::Version),
    (b"GET / HTTP/2.0\nHost: a\r\n\r\n", R::Version),
    (b"GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n", R::Version),
    // Field names.
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", R::SpaceBeforeColon),
    (b"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", R::SpaceBeforeColon),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n", R::SpaceBeforeColon),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\n", R::SpaceBeforeColon),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", R::SpaceBeforeColon),
    (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", R::FoldedLine),
    (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", R::FoldedLine),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n", R::FoldedLine),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n c\r\n\r\n", R::FoldedLine),
    (b"GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n", R::FoldedLine),
    (b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", R::FieldName),
    (b"GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n", R::FieldName),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n", R::FieldName),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX\x0b: b\r\n\r\n", R::FieldName),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX\x7f: b\r\n\r\n", R::FieldName),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX\xe9: b\r\n\r\n", R::FieldName),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\xef\xbb\xbfX: b\r\n\r\n", R::FieldName),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n", R::FieldName),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\"X\": b\r\n\r\n", R::FieldName),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX;y: b\r\n\r\n", R::FieldName),
    (b"GET / HTTP/1.1\r\nHost: a\r\nGET / HTTP/1.1\r\n\r\n", R::SpaceBeforeColon),
    // Field values.
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", R::FieldValue),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", R::FieldValue),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x08b\r\n\r\n", R::FieldValue),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x1b[2Jb\r\n\r\n", R::FieldValue),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", R::FieldValue),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX:\x0bb\r\n\r\n", R::FieldValue),
    // Host.
    (b"GET / HTTP/1.1\r\n\r\n", R::HostMissing),
    (b"GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", R::HostMissing),
    (b"GET http://b/ HTTP/1.1\r\n\r\n", R::HostMissing),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", R::HostRepeated),
    (b"GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", R::HostRepeated),
    (b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", R::HostRepeated),
    (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", R::Host),
    (b"GET / HTTP/1.1\r\nHost:  \t \r\n\r\n", R::Host),
    (b"GET / HTTP/1.0\r\nHost:\r\n\r\n", R::Host),
    (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", R::Host),
    (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", R::Host),
    (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", R::Host),
    (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", R::Host),
    (b"GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", R::Host),
    (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", R::Host),
    (b"GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", R::Host),
    (b"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", R::Host),
    (b"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", R::Host),
    (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", R::Host),
    (b"GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n", R::Host),
    (b"GET http://b/ HTTP/1.1\r\nHost: a/b\r\n\r\n", R::Host),
    // Content-Length.
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", R::ContentLength),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", R::ContentLength),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", R::ContentLength),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 01\r\n\r\n", R::ContentLength),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 00\r\n\r\n", R::ContentLength),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 2\r\n\r\n", R::ContentLength),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", R::ContentLength),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1,\r\n\r\n", R::ContentLength),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", R::ContentLength),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n", R::ContentLength),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1.0\r\n\r\n", R::ContentLength),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \"1\"\r\n\r\n", R::ContentLength),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \xb2\r\n\r\n", R::ContentLength),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n", R::ContentLength),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        R::ContentLengthRepeated,
    ),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\n",
        R::ContentLengthRepeated,
    ),
    (b"POST / HTTP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", R::ContentLengthRepeated),
    // Transfer-Encoding.
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        R::LengthWithEncoding,
    ),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        R::LengthWithEncoding,
    ),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
        R::LengthWithEncoding,
    ),
    (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", R::TransferEncodingIn10),
    (b"POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n", R::TransferEncodingIn10),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", R::TransferEncoding),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n", R::TransferEncoding),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n", R::TransferEncoding),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", R::TransferEncoding),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", R::TransferEncoding),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", R::TransferEncoding),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n", R::TransferEncoding),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", R::TransferEncoding),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked chunked\r\n\r\n", R::TransferEncoding),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\xa0\r\n\r\n", R::TransferEncoding),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        R::TransferEncoding,
    ),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n",
        R::TransferEncoding,
    ),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", R::FieldValue),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", R::FoldedLine),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", R::TransferEncodingUnsupported),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", R::TransferEncodingUnsupported),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", R::TransferEncodingUnsupported),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunke\r\n\r\n", R::TransferEncodingUnsupported),
    // Expect.
    (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", R::Expectation),
    (b"POST / HTTP/1.1\r\nHost: a\r\nExpect:\r\n\r\n", R::Expectation),
    (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\n\r\n", R::Expectation),
    (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n\r\n", R::Expectation),
    // Limits: 64 bytes of request line, 256 of fields, 8 fields.
    (b"GET /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx HTTP/1.1\r\nHost: a\r\n\r\n", R::TargetTooLong),
    (
        b"GET / HTTP/1.1\r\nHost: a\r\n1: \r\n2: \r\n3: \r\n4: \r\n5: \r\n6: \r\n7: \r\n8: \r\n\r\n",
        R::TooManyFields,
    ),
];

#[test]
fn refused_heads() {
    for &(bytes, reject) in REFUSED {
        assert_eq!(decode_every_way(bytes, &LIMITS), Err(reject), "{}", bytes.escape_ascii());
    }
}

/// Heads that are accepted: bytes, method, path, body, keep-alive.
const ACCEPTED: &[(&[u8], &str, &str, BodyLength, bool)] = &[
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", BodyLength::None, true),
    (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", BodyLength::None, true),
    (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", BodyLength::None, true),
    (b"GET /?\\%00%0a HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", BodyLength::None, true),
    (b"GET /%20%0 HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/%20%0", BodyLength::None, true),
    (b"GET / HTTP/1.1\r\nhost:a\r\n\r\n", "GET", "/", BodyLength::None, true),
    (b"GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n", "GET", "/", BodyLength::None, true),
    (b"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "GET", "/", BodyLength::None, true),
    (b"GET / HTTP/1.1\r\nHost: [::1]:3000\r\n\r\n", "GET", "/", BodyLength::None, true),
    (b"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", "BREW", "/pot", BodyLength::None, true),
    (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", "get", "/", BodyLength::None, true),
    (b"!#$%&'*+-.^_`|~0 / HTTP/1.1\r\nHost: a\r\n\r\n", "!#$%&'*+-.^_`|~0", "/", BodyLength::None, true),
    (
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\nHost: a\r\n\r\n",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF",
        "/",
        BodyLength::None,
        true,
    ),
    (b"GET /a/../%2e%01?b HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/a/../%2e%01", BodyLength::None, true),
    (b"GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/c", BodyLength::None, true),
    (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS", "*", BodyLength::None, true),
    (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "CONNECT", "/", BodyLength::None, true),
    (b"GET / HTTP/1.0\r\n\r\n", "GET", "/", BodyLength::None, false),
    (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET", "/", BodyLength::None, true),
    (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET", "/", BodyLength::None, true),
    (b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET", "/", BodyLength::None, false),
    (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET", "/", BodyLength::None, false),
    (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x ,, CLOSE\r\n\r\n", "GET", "/", BodyLength::None, false),
    (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n",
        "GET",
        "/",
        BodyLength::None,
        false,
    ),
    (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", "GET", "/", BodyLength::None, true),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "POST", "/", BodyLength::Length(0), true),
    (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length:7\r\n\r\n", "GET", "/", BodyLength::Length(7), true),
    (b"POST / HTTP/1.0\r\nContent-Length: 7\r\n\r\n", "POST", "/", BodyLength::Length(7), false),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n",
        "POST",
        "/",
        BodyLength::Length(u64::MAX),
        true,
    ),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:CHUNKED \r\n\r\n",
        "POST",
        "/",
        BodyLength::Chunked,
        true,
    ),
    // Names that only look like framing are names like any other.
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n", "POST", "/", BodyLength::None, true),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n",
        "POST",
        "/",
        BodyLength::None,
        true,
    ),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encodin: chunked\r\n\r\n", "POST", "/", BodyLength::None, true),
    (b"POST / HTTP/1.1\r\nHost: a\r\nX: \r\nY:\r\nZ: \xe9\t~\r\n\r\n", "POST", "/", BodyLength::None, true),
    // Just within the limits.
    (
        b"GET /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET",
        "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        BodyLength::None,
        true,
    ),
    (
        b"GET / HTTP/1.1\r\nHost: a\r\n1: \r\n2: \r\n3: \r\n4: \r\n5: \r\n6: \r\n7: \r\n\r\n",
        "GET",
        "/",
        BodyLength::None,
        true,
    ),
];

#[test]
fn accepted_heads() {
    for &(bytes, method, path, body, keep_alive) in ACCEPTED {
        let more = [bytes, b"\r\nGET smuggled"].concat();
        let Ok(Some((head, consumed))) = decode_every_way(bytes, &LIMITS) else {
            panic!("refused: {}", bytes.escape_ascii());
        };
        assert_eq!((head.method.as_str(), head.target.path()), (method, path));
        assert_eq!((head.body, head.keep_alive), (body, keep_alive), "{}", bytes.escape_ascii());
        assert_eq!(consumed, bytes.len());
        assert_eq!(decode_every_way(&more, &LIMITS), Ok(Some((head, consumed))));
    }
}

#[test]
fn incomplete_heads_ask_for_more() {
    for &(bytes, ..) in ACCEPTED {
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end], &LIMITS).0, Ok(None), "{}", bytes[..end].escape_ascii());
        }
    }
}

#[test]
fn clear_faults_are_answered_before_the_head_ends() {
    for (bytes, reject) in [
        (&b"\x16"[..], R::Method),
        (b"\0", R::Method),
        (b"GET / HTTX", R::Version),
        (b"GET / HTTP/2.x", R::Version),
        (b"GET / HTTP/1.1\n", R::BareLf),
        (b"GET / HTTP/1.1\r\nHost :", R::SpaceBeforeColon),
        (b"GET / HTTP/1.1\r\n ", R::FoldedLine),
        (b"GET / HTTP/1.1\r\nX: \0", R::FieldValue),
    ] {
        assert_eq!(decode(bytes, &LIMITS).0, Err(reject), "{}", bytes.escape_ascii());
    }
    assert_eq!(decode(b"GET / HTTP/2.0", &LIMITS).0, Ok(None));
    assert_eq!(decode(b"GET / HTTP/2.0\r", &LIMITS).0, Ok(None));
}

#[test]
fn values_keep_their_order_and_bytes() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-b:\t \r\nX-a:  2 3\t\r\nCookie: k=\xff\r\n\r\n";
    let headers = decode(bytes, &LIMITS).1;
    let fields: Vec<_> =
        headers.map().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let expected: [(&str, &[u8]); 5] =
        [("host", b"a"), ("x-a", b"1"), ("x-a", b"2 3"), ("x-b", b""), ("cookie", b"k=\xff")];
    assert_eq!(fields, expected);
}

#[test]
fn what_is_accepted_fits_a_header_map() {
    for byte in 0..=255u8 {
        let head = |name: &[u8], value: &[u8]| {
            let line = [name, b": ", value].concat();
            [b"GET / HTTP/1.1\r\nHost: a\r\n", &line[..], b"\r\n\r\n"].concat()
        };
        let (named, headers) = decode(&head(&[b'x', byte], b"v"), &LIMITS);
        if matches!(named, Ok(Some(_))) {
            assert_eq!(headers.map().len(), 2, "name {byte}");
        }
        let (valued, headers) = decode(&head(b"x", &[b'v', byte, b'v']), &LIMITS);
        if matches!(valued, Ok(Some(_))) {
            assert_eq!(headers.map()["x"].as_bytes(), [b'v', byte, b'v']);
        }
    }
}

#[test]
fn the_target_outranks_the_host() {
    let head = decode(b"GET http://b:1/ HTTP/1.1\r\nHost: a\r\n\r\n", &LIMITS).0.unwrap().unwrap().0;
    assert_eq!((head.target.form(), head.target.authority()), (Form::Absolute, Some("b:1")));
}

#[test]
fn expectations_and_upgrades() {
    let flags = |text: &str| {
        let head = decode(text.as_bytes(), &LIMITS).0.unwrap().unwrap().0;
        (head.expect_continue, head.upgrade)
    };
    let table = [
        ("1.1", "Expect: 100-Continue\r\nContent-Length: 1\r\n", (true, false)),
        ("1.1", "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", (true, false)),
        ("1.1", "Expect: 100-continue\r\n", (false, false)),
        ("1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n", (false, false)),
        ("1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n", (false, false)),
        ("1.1", "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n", (false, true)),
        ("1.1", "Connection: Upgrade\r\n", (false, false)),
        ("1.1", "Upgrade: websocket\r\n", (false, false)),
        ("1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n", (false, false)),
    ];
    for (version, fields, expected) in table {
        assert_eq!(flags(&format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n")), expected, "{fields}");
    }
}

#[test]
fn limits_are_exact_and_answered_as_soon_as_they_are_passed() {
    let fields = |bytes: usize| {
        let value = "x".repeat(bytes - "Host: a\r\nX: \r\n\r\n".len());
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n").into_bytes()
    };
    assert!(decode_every_way(&fields(256), &LIMITS).is_ok());
    assert_eq!(decode_every_way(&fields(257), &LIMITS), Err(R::FieldsTooLarge));
    assert_eq!(decode_every_way(&fields(4096), &LIMITS), Err(R::FieldsTooLarge));

    let endless = [&b"GET /"[..], &[b'x'; 59]].concat();
    assert_eq!(endless.len(), 64);
    assert_eq!(decode(&endless[..63], &LIMITS).0, Ok(None));
    assert_eq!(decode(&endless, &LIMITS).0, Err(R::TargetTooLong));
    assert_eq!(decode(&b"X".repeat(64), &LIMITS).0, Err(R::MethodTooLong));

    let many = HeadLimits { fields: usize::MAX, header_bytes: usize::MAX, request_line: usize::MAX };
    let head = |count| ["GET / HTTP/1.1\r\nHost: a\r\n", &"x: y\r\n".repeat(count), "\r\n"].concat();
    assert!(decode(head(127).as_bytes(), &many).0.is_ok());
    assert_eq!(decode(head(128).as_bytes(), &many).0, Err(R::TooManyFields));
    let none = HeadLimits { fields: 0, header_bytes: 0, request_line: 0 };
    assert_eq!(decode(b"G", &none).0, Err(R::MethodTooLong));
}

#[test]
fn a_scan_serves_one_head_after_the_other() {
    let bytes = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut scan, mut headers, mut start) = (HeadScan::default(), Headers::new(), 0);
    let mut paths = Vec::new();
    for end in 0..=bytes.len() {
        let decoded = decode_head(&bytes[start..end], &mut scan, &LIMITS, &mut headers).unwrap();
        if let Some((head, consumed)) = decoded {
            paths.push(head.target.as_str().to_owned());
            start += consumed;
        }
    }
    assert_eq!((paths, start), (vec!["/1".to_owned(), "/2".to_owned()], bytes.len()));
}

/// Pieces of heads, proper and broken, in any order.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            &b"GET "[..],
            b"/",
            b" ",
            b"HTTP/1.1",
            b"HTTP/1.0",
            b"HTTP/2.0",
            b"\r\n",
            b"\r",
            b"\n",
            b"Host: a",
            b"GET / HTTP/1.1\r\nHost: a\r\n",
            b"GET / HTTP/1.1\r\n",
            b"\r\n\r\n",
            b"\r\n\r\n",
            b": ",
            b"X",
            b"\t",
            b"Content-Length: 5",
            b"Transfer-Encoding: chunked",
            b"Expect: x",
            b"xxxxxxxxxxxxxxxxxxxxxxxxxxx",
            b"Connection: close\r\n",
            b"\0",
            b"\x7f",
            b"\xff",
            b"X: y\r\nX: y\r\nX: y\r\nX: y\r\n",
        ])
        .prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 1..3),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_cut_comes_to_the_same(bytes in pieces(), cuts in prop::collection::vec(0usize..200, 0..6)) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        assert_same(&bytes, cuts, &LIMITS);
        assert_same(&bytes, 0..bytes.len(), &LIMITS);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode_every_way(&bytes, &HeadLimits { request_line: 40, header_bytes: 60, fields: 2 });
    }

    #[test]
    fn one_changed_byte_never_panics(at in 0usize..80, byte: u8) {
        let mut bytes = b"POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nConnection: close\r\n\r\n".to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(Some((_, consumed))) = decode_every_way(&bytes, &LIMITS) {
            prop_assert!(consumed <= bytes.len());
            prop_assert!(bytes[..consumed].ends_with(b"\r\n\r\n"));
        }
    }
}
