//! How large the head of a request may be.

/// The longest method; the longest registered one has 17 bytes.
pub(crate) const LONGEST_METHOD: usize = 32;

/// How large the head of a request may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the request line with its CRLF; a longer one is answered with 414.
    pub request_line: usize,
    /// Bytes of all field lines with their CRLFs and the empty line; more are answered with 431.
    pub header_bytes: usize,
    /// Number of fields, at most 128; more are answered with 431.
    pub fields: usize,
}

impl Default for HeadLimits {
    /// 8 KiB, 32 KiB, 100 fields.
    fn default() -> Self {
        HeadLimits { request_line: 8 * 1024, header_bytes: 32 * 1024, fields: 100 }
    }
}
