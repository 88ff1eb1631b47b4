//! The formats that texts may have, as Egg's patterns describe them.

/// How Egg writes what a password is made of; the message about it shows it.
pub(super) const PASSWORD: &str =
    r#"/^[\w\`\~\!\@\#\$\%\^\&\*\(\)\-\_\=\+\[\]\{\}\|\;\:\'\"\,\<\.\>\/\?]+$/"#;

pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && is_digits(text)
}

/// `2020-01-02`; whether there is such a day is not looked at.
pub(super) fn is_date(text: &str) -> bool {
    fits(text, "0000-00-00")
}

/// `2020-01-02 03:04:05`.
pub(super) fn is_date_time(text: &str) -> bool {
    fits(text, "0000-00-00 00:00:00")
}

/// Printable ASCII apart from space and backslash.
pub(super) fn is_password(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// A dotted name, `@`, and a host name of two labels or more.
pub(super) fn is_email(text: &str) -> bool {
    let is_atom = |atom: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte);
        !atom.is_empty() && atom.bytes().all(is_part)
    };
    let Some((name, host)) = text.split_once('@') else { return false };
    name.split('.').all(is_atom)
        && host.contains('.')
        && host.split('.').all(|label| is_label(label, |c| c.is_ascii_alphanumeric()))
}

/// An absolute http, https or ftp URL whose host is a public IPv4 address or a name with a top-level domain.
pub(super) fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let is_scheme = ["http", "https", "ftp"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if !is_scheme || text.contains(char::is_whitespace) {
        return false;
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once('@') {
        Some(("", _)) => return false,
        Some((_, host)) => host,
        None => authority,
    };
    let (host, port) = host.split_once(':').unwrap_or((host, "80"));
    (2..=5).contains(&port.len()) && is_digits(port) && (is_public_address(host) || is_domain(host))
}

fn is_domain(host: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c >= '\u{a1}';
    let Some((labels, top)) = host.rsplit_once('.') else { return false };
    labels.split('.').all(|label| is_label(label, |c| is_letter(c) || c.is_ascii_digit()))
        && top.chars().count() >= 2
        && top.chars().all(is_letter)
}

/// A class A to C address outside of the private and link-local ranges, written without leading zeros.
fn is_public_address(host: &str) -> bool {
    let mut octets = [0u8; 4];
    let mut parts = host.split('.');
    for octet in &mut octets {
        let Some(Ok(number)) = parts.next().filter(|part| is_digits(part)).map(str::parse) else {
            return false;
        };
        *octet = number;
    }
    parts.next().is_none()
        && !host.split('.').any(|part| part.len() > 1 && part.starts_with('0'))
        && match octets {
            [10 | 127, ..] | [169, 254, ..] | [192, 168, ..] | [172, 16..=31, ..] => false,
            [first, .., last] => (1..=223).contains(&first) && (1..=254).contains(&last),
        }
}

/// Letters and digits with hyphens between them.
fn is_label(label: &str, is_inner: impl Fn(char) -> bool) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c == '-' || is_inner(c))
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text has digits where the shape has zeros, and is the same elsewhere.
fn fits(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            _ => byte == shape,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_know_their_texts() {
        type Table = (fn(&str) -> bool, &'static [&'static str], &'static [&'static str]);
        let table: [Table; 6] = [
            (is_id, &["0", "123"], &["", "-1", "1 ", "١"]),
            (is_date, &["2020-01-02", "0000-99-99"], &["2020-1-2", "2020-01-02 ", "2020/01/02", "é20-01-02"]),
            (is_date_time, &["2026-01-01 10:00:00"], &["2026-01-01T10:00:00", "2026-01-01 10:00"]),
            (is_password, &["aB3!~`\"'<>/?"], &["", "a b", "a\\b", "pä"]),
            (
                is_email,
                &["a@b.co", "a.b+c@x-y.example.com", "A!#$%&'*+/=?^_`{|}~-@b.c"],
                &[
                    "",
                    "a",
                    "@b.co",
                    "a@b",
                    "a@b.",
                    "a@.co",
                    "a..b@c.de",
                    ".a@b.co",
                    "a@-b.co",
                    "a@b@c.de",
                    "a b@c.de",
                ],
            ),
            (
                is_url,
                &[
                    "http://example.com",
                    "HTTPS://a.b-c.example.com:8080/x?y#z",
                    "ftp://u:p@example.com/",
                    "http://8.8.8.8/",
                    "http://bücher.example",
                    "http://223.255.255.254",
                ],
                &[
                    "",
                    "http://",
                    "http://localhost",
                    "http://10.0.0.1",
                    "http://127.0.0.1",
                    "http://192.168.1.1",
                    "http://172.20.0.1",
                    "http://169.254.169.254/",
                    "http://0.1.2.3",
                    "http://224.1.1.1",
                    "http://1.2.3.0",
                    "http://01.2.3.4",
                    "http://1.2.3",
                    "http://example.com?x",
                    "http://a b.com",
                    "javascript://example.com",
                    "//example.com",
                    "http://@example.com",
                    "http://example.c",
                    "http://example.com:1",
                    "http://example.com:123456",
                    "http://-a.com",
                    "http://a..com",
                    "http://evil.test@10.0.0.1/",
                    "http://10.0.0.1/@example.com",
                    "http://[::1]/",
                ],
            ),
        ];
        for (is_one, yes, no) in table {
            for text in yes {
                assert!(is_one(text), "{text}");
            }
            for text in no {
                assert!(!is_one(text), "{text}");
            }
        }
    }
}
