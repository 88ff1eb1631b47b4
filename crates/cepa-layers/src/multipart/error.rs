//! What can be wrong with a multipart body.

/// Why a multipart body is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError {
    /// The type is another one: 415.
    #[error("the body is not multipart/form-data")]
    NotMultipart,
    /// `boundary` is not given exactly once, or is none (RFC 2046, section 5.1.1): 400.
    #[error("the boundary of the multipart body is missing or malformed")]
    Boundary,
    /// More than 1 KiB comes before the first part: 400.
    #[error("the multipart body does not begin with a part")]
    Preamble,
    /// A line begins with the boundary and goes on with something else: 400.
    #[error("a boundary line of the multipart body is malformed")]
    Delimiter,
    /// A header of a part is malformed or given twice: 400.
    #[error("a header of a part is malformed")]
    Header,
    /// A part does not say `form-data` with a name: 400.
    #[error("the Content-Disposition of a part is missing or malformed")]
    Disposition,
    /// A part is encoded in a way that RFC 7578, section 4.7, has done away with: 415.
    #[error("a part has a Content-Transfer-Encoding")]
    Encoding,
    /// The body ends within a part: 400.
    #[error("the multipart body is cut off")]
    CutOff,
    /// More fields or files than are allowed: 413.
    #[error("more than {most} {what}")]
    TooMany {
        /// `fields` or `files`.
        what: &'static str,
        /// How many are allowed.
        most: usize,
    },
    /// A header, name, field or file is larger than allowed: 413.
    #[error("{what} larger than {most} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How many bytes are allowed.
        most: u64,
    },
    /// The name of a file ends in none of the allowed extensions: 400.
    #[error("files such as {0:?} are not taken")]
    Extension(String),
    /// A field is not UTF-8: 400.
    #[error("a field is not UTF-8")]
    NotText,
}

impl MultipartError {
    /// The status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotMultipart | Self::Encoding => 415,
            Self::TooMany { .. } | Self::TooLarge { .. } => 413,
            _ => 400,
        }
    }

    /// The error that the client gets, with this one as its cause.
    #[track_caller]
    pub(super) fn public(self) -> cepa_core::Error {
        cepa_core::Error::new(self.status(), self.to_string()).with_cause(self)
    }
}
