//! What a client sends of the Digest scheme (RFC 7616, section 3.4).

/// The parameters of `Authorization: Digest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authorization {
    pub(super) username: String,
    pub(super) realm: String,
    pub(super) nonce: String,
    pub(super) uri: String,
    pub(super) response: String,
    pub(super) cnonce: String,
    /// `nc`: the how-many-eth request with this nonce.
    pub(super) count: u32,
}

/// Why a header of the Digest scheme is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// Bytes of the longest header that is read: it repeats the URI.
const LONGEST: usize = 16 << 10;
const LONGEST_CNONCE: usize = 256;

impl Authorization {
    /// Reads `Authorization`; `None` when its scheme is another, or its algorithm, or what is protected.
    pub(super) fn parse(header: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some((scheme, rest)) = header.split_at_checked(7) else { return Ok(None) };
        if !scheme.eq_ignore_ascii_case(b"digest ") {
            return Ok(None);
        }
        if header.len() > LONGEST {
            return Err(Malformed("the digest is too long"));
        }
        let text = std::str::from_utf8(rest).map_err(|_| Malformed("the digest is not UTF-8"))?;
        let given = Given::read(text)?;
        let is =
            |value: &Option<String>, name| value.as_deref().is_some_and(|v| v.eq_ignore_ascii_case(name));
        if !is(&given.algorithm, "SHA-256") || !is(&given.qop, "auth") || is(&given.userhash, "true") {
            return Ok(None);
        }
        let missing = || Malformed("a parameter of the digest is missing");
        let cnonce = given.cnonce.ok_or_else(missing)?;
        let is_plain = |byte: u8| matches!(byte, b'!'..=b'~') && byte != b'"' && byte != b'\\';
        if !(1..=LONGEST_CNONCE).contains(&cnonce.len()) || !cnonce.bytes().all(is_plain) {
            return Err(Malformed("cnonce must be 1 to 256 visible characters"));
        }
        Ok(Some(Self {
            username: given.username.ok_or_else(missing)?,
            realm: given.realm.ok_or_else(missing)?,
            nonce: given.nonce.ok_or_else(missing)?,
            uri: given.uri.ok_or_else(missing)?,
            response: given.response.ok_or_else(missing)?,
            cnonce,
            count: count(&given.nc.ok_or_else(missing)?)
                .ok_or(Malformed("nc must be 8 hexadecimal digits"))?,
        }))
    }
}

/// Exactly eight digits, as they go into the digest.
fn count(text: &str) -> Option<u32> {
    let is_hex = text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u32::from_str_radix(text, 16).ok().filter(|_| is_hex)
}

/// The parameters that are known, each at most once.
#[derive(Default)]
struct Given {
    username: Option<String>,
    realm: Option<String>,
    nonce: Option<String>,
    uri: Option<String>,
    response: Option<String>,
    algorithm: Option<String>,
    cnonce: Option<String>,
    qop: Option<String>,
    nc: Option<String>,
    userhash: Option<String>,
}

impl Given {
    fn read(text: &str) -> Result<Self, Malformed> {
        let mut given = Self::default();
        let mut rest = text.trim_ascii_start();
        while !rest.is_empty() {
            let (name, value, after) = parameter(rest).ok_or(Malformed("the digest breaks its grammar"))?;
            rest = after;
            let Some(slot) = given.slot(name) else { continue };
            if slot.replace(value).is_some() {
                return Err(Malformed("a parameter of the digest is there twice"));
            }
        }
        Ok(given)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name.to_ascii_lowercase().as_str() {
            "username" => &mut self.username,
            "realm" => &mut self.realm,
            "nonce" => &mut self.nonce,
            "uri" => &mut self.uri,
            "response" => &mut self.response,
            "algorithm" => &mut self.algorithm,
            "cnonce" => &mut self.cnonce,
            "qop" => &mut self.qop,
            "nc" => &mut self.nc,
            "userhash" => &mut self.userhash,
            _ => return None,
        })
    }
}

/// The first parameter of a list: its name, its value without quotes, and the text behind its comma.
fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = text.split_once('=')?;
    let name = name.trim_ascii();
    if name.is_empty()
        || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'*' || byte == b'-')
    {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => {
            let (value, rest) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            (value.trim_ascii().to_owned(), rest)
        }
    };
    let rest = rest.trim_ascii_start();
    let after = match rest.strip_prefix(',') {
        Some(after) => after,
        None => rest.is_empty().then_some(rest)?,
    };
    Some((name, value, after.trim_ascii_start()))
}

/// The text up to the closing quote, and what is behind it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOUND: &str = r#"Digest username="a \"b\"", realm="r", nonce=n, uri="/a,b", algorithm=SHA-256, qop=auth, nc=0000000a, cnonce="c", response="d""#;

    #[test]
    fn reads() {
        let read = Authorization::parse(SOUND.as_bytes()).unwrap().unwrap();
        assert_eq!((read.username.as_str(), read.uri.as_str(), read.count), ("a \"b\"", "/a,b", 10));
        let loud = SOUND.replace("Digest", "DIGEST").replace("qop=auth", "QOP=\"auth\" , x-other=1");
        assert_eq!(Authorization::parse(loud.as_bytes()), Ok(Some(read)));
    }

    #[test]
    fn refuses() {
        for (from, to) in [
            ("nonce=n", "nonce=n, nonce=n"),
            ("nonce=n, ", ""),
            ("nc=0000000a", "nc=a"),
            ("nc=0000000a", "nc=+000000a"),
            ("nc=0000000a", "nc=0000000A"),
            ("cnonce=\"c\"", "cnonce=\"\""),
            ("cnonce=\"c\"", "cnonce=\"a b\""),
            ("response=\"d\"", "response=\"d"),
            ("response=\"d\"", "response=\"d\" e"),
            ("realm=\"r\"", "=\"r\""),
            ("realm=\"r\"", "realm"),
        ] {
            let header = SOUND.replace(from, to);
            assert!(Authorization::parse(header.as_bytes()).is_err(), "{header}");
        }
        for (from, to) in [
            ("Digest", "Basic"),
            ("algorithm=SHA-256", "algorithm=MD5"),
            ("algorithm=SHA-256", "algorithm=SHA-256-sess"),
            ("algorithm=SHA-256, ", ""),
            ("qop=auth", "qop=auth-int"),
            ("qop=auth", "qop=auth, userhash=true"),
        ] {
            let header = SOUND.replace(from, to);
            assert_eq!(Authorization::parse(header.as_bytes()), Ok(None), "{header}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(any in any::<Vec<u8>>(), near in "[a-z=\",\\\\ é]{0,40}") {
            let _ = Authorization::parse(&any);
            let _ = Authorization::parse(format!("Digest {near}").as_bytes());
        }
    }
}
