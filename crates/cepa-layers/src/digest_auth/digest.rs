//! The sums that prove who knows a password (RFC 7616, section 3.4).

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::header::Authorization;

/// The hash of a name, realm and password, in hexadecimal digits.
pub(super) type Hash = [u8; 64];

/// What is asked with a digest.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) uri: &'a str,
}

/// A user's secret, joined to what a request has chosen for its proof.
pub(super) struct Digest {
    sum: Sha256,
}

impl Digest {
    pub(super) fn new(secret: &Hash, given: &Authorization) -> Self {
        let mut sum = Sha256::new();
        sum.update(secret);
        sum.update(format!(":{}:{:08x}:{}:auth:", given.nonce, given.count, given.cnonce));
        Self { sum }
    }

    fn of(&self, asked: &Asked<'_>) -> Hash {
        let mut sum = self.sum.clone();
        sum.update(hash(&[asked.method, asked.uri]));
        hex(&sum.finalize().into())
    }

    /// Whether a response is the right one. It takes the same time wherever they differ.
    pub(super) fn is_right(&self, asked: &Asked<'_>, response: &str) -> bool {
        self.of(asked).ct_eq(response.as_bytes()).into()
    }

    /// What tells the client that the server knows the secret, too (section 3.5).
    pub(super) fn info(&self, given: &Authorization) -> String {
        let proof = self.of(&Asked { method: "", uri: &given.uri });
        let proof = std::str::from_utf8(&proof).unwrap_or_default();
        format!("rspauth=\"{proof}\", qop=auth, nc={:08x}, cnonce=\"{}\"", given.count, given.cnonce)
    }
}

/// The hash of parts joined by colons.
pub(super) fn hash(parts: &[&str]) -> Hash {
    hex(&Sha256::digest(parts.join(":")).into())
}

pub(super) fn hex(bytes: &[u8; 32]) -> Hash {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xF)]]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7616, section 3.9.1.
    #[test]
    fn the_example_of_the_rfc() {
        let given = Authorization {
            username: "Mufasa".into(),
            realm: "http-auth@example.org".into(),
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v".into(),
            uri: "/dir/index.html".into(),
            response: "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1".into(),
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ".into(),
            count: 1,
        };
        let secret = hash(&["Mufasa", "http-auth@example.org", "Circle of Life"]);
        let digest = Digest::new(&secret, &given);
        let asked = Asked { method: "GET", uri: &given.uri };
        assert!(digest.is_right(&asked, &given.response));
        assert!(!digest.is_right(&Asked { method: "PUT", ..asked }, &given.response));
        assert!(!digest.is_right(&Asked { method: "GET", uri: "/dir" }, &given.response));
    }
}
