//! Why a WebSocket ends: codes and reasons (RFC 6455, section 7.4).

use std::{borrow::Cow, fmt};

use crate::ProtocolError;

/// The longest reason, so that code and reason fit in a control frame.
const REASON: usize = 123;

/// A code of section 7.4, or of the registry that it founds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: it has done what it was for.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down, or the page was left.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer breaks the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// 1003: a kind of message that is not taken, such as binary ones where text is spoken.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1007: text that is not UTF-8, or what does not inflate.
    pub const INVALID: Self = Self(1007);
    /// 1008: the peer does what it may not.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message is larger than what is taken.
    pub const TOO_BIG: Self = Self(1009);
    /// 1011: the handler has failed.
    pub const INTERNAL: Self = Self(1011);
    /// 1012: the server starts anew, come again.
    pub const RESTART: Self = Self(1012);
    /// 1013: too much to do, come again later.
    pub const AGAIN_LATER: Self = Self(1013);

    /// The code with this number; `None` for one that a Close frame must not carry: outside of 1000 to 4999, not
    /// assigned (1004, 1016 to 2999), or a name for an end without one (1005, 1006, 1015).
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a Close frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code; `None` where the frame has none.
    pub code: Option<CloseCode>,
    /// For people who look into logs; may be empty.
    pub reason: Cow<'static, str>,
}

impl Close {
    /// A reason is cut at 123 bytes, on a character's border.
    pub fn new(code: CloseCode, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut reason = reason.into();
        if reason.len() > REASON {
            let end = reason.floor_char_boundary(REASON);
            reason = Cow::Owned(reason[..end].to_owned());
        }
        Self { code: Some(code), reason }
    }

    /// Reads the payload of a Close frame.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, ProtocolError> {
        match payload {
            [] => Ok(Self { code: None, reason: Cow::Borrowed("") }),
            [_] => Err(ProtocolError::CloseCode),
            [high, low, reason @ ..] => {
                let code = CloseCode::new(u16::from_be_bytes([*high, *low]));
                let code = code.ok_or(ProtocolError::CloseCode)?;
                let reason = std::str::from_utf8(reason).map_err(|_| ProtocolError::Utf8)?;
                Ok(Self { code: Some(code), reason: Cow::Owned(reason.to_owned()) })
            }
        }
    }

    /// The payload that says this.
    pub(crate) fn payload(&self) -> Vec<u8> {
        let Some(code) = self.code else { return Vec::new() };
        [&code.0.to_be_bytes(), self.reason.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_a_frame_may_carry() {
        let carried = |code| CloseCode::new(code).is_some();
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4999]
        {
            assert!(carried(code), "{code}");
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert!(!carried(code), "{code}");
        }
    }

    #[test]
    fn payloads_are_strict_and_come_back() {
        for close in [Close::new(CloseCode::POLICY, "nö"), Close::parse(b"").unwrap()] {
            assert_eq!(Close::parse(&close.payload()), Ok(close));
        }
        assert_eq!(Close::parse(b"\x03"), Err(ProtocolError::CloseCode));
        assert_eq!(Close::parse(b"\x03\xed"), Err(ProtocolError::CloseCode));
        assert_eq!(Close::parse(b"\x03\xe8\xff"), Err(ProtocolError::Utf8));
        let long = Close::new(CloseCode::NORMAL, "ö".repeat(100));
        assert_eq!((long.reason.len(), long.payload().len()), (122, 124));
    }
}
