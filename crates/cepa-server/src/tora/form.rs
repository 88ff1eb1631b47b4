//! A form of parts as mod_tora sends it once it is asked, made a body of `multipart/form-data` again (RFC 7578), so that
//! an app reads it as it reads any other.

use std::hash::{BuildHasher, RandomState};

use super::wire::Code;
use crate::cgi::Reject;

/// The most bytes of the name of a field or a file.
const MOST_NAME: usize = 16 * 1024;

/// A form on its way. The boundary is one that whoever has sent the form could not know.
#[derive(Debug)]
pub(super) struct Form {
    boundary: String,
    stage: Stage,
    /// The file name of the part that comes next.
    file: Option<Vec<u8>>,
    text: Vec<u8>,
    made: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Unasked,
    Between,
    Part,
    Over,
}

/// What becomes of the text of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// It is kept for [`Form::end`].
    Kept,
    /// It is a piece of the body.
    Data,
}

impl Form {
    pub(super) fn new() -> Self {
        let [one, two] = [0; 2].map(|_| RandomState::new().hash_one(0));
        let boundary = format!("tora-{one:016x}{two:016x}");
        Self { boundary, stage: Stage::Unasked, file: None, text: Vec::new(), made: Vec::new() }
    }

    /// The type of the body that it makes.
    pub(super) fn content_type(&self) -> Vec<u8> {
        format!("multipart/form-data; boundary={}", self.boundary).into_bytes()
    }

    /// Asks for the form, once.
    pub(super) fn pull(&mut self, out: &mut Vec<u8>) {
        if self.stage == Stage::Unasked {
            self.stage = Stage::Between;
            super::wire::push(out, Code::QueryMultipart, b"65536");
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// A message begins.
    pub(super) fn begin(&mut self, code: Code, length: usize) -> Result<Text, Reject> {
        self.text.clear();
        match (self.stage, code) {
            (Stage::Part, Code::PartData) => Ok(Text::Data),
            (Stage::Part, Code::PartDone) | (Stage::Between, Code::Execute) if length == 0 => Ok(Text::Kept),
            (Stage::Between, Code::PartFilename | Code::PartKey) if length <= MOST_NAME => Ok(Text::Kept),
            _ => Err(Reject::Message),
        }
    }

    /// Keeps a piece of its text.
    pub(super) fn keep(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    /// It ends.
    pub(super) fn end(&mut self, code: Code) {
        match code {
            Code::PartFilename => self.file = Some(std::mem::take(&mut self.text)),
            Code::PartKey => {
                self.begin_part();
                self.stage = Stage::Part;
            }
            Code::PartDone => {
                self.made.extend_from_slice(b"\r\n");
                self.stage = Stage::Between;
            }
            Code::Execute => {
                for part in ["--", &self.boundary, "--\r\n"] {
                    self.made.extend_from_slice(part.as_bytes());
                }
                self.stage = Stage::Over;
            }
            _ => {}
        }
    }

    /// Takes what stands in the body before, between and behind the pieces of its parts.
    pub(super) fn take_made(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.made)
    }

    pub(super) fn has_made(&self) -> bool {
        !self.made.is_empty()
    }

    fn begin_part(&mut self) {
        let made = &mut self.made;
        for part in ["--", &self.boundary, "\r\nContent-Disposition: form-data; name=\""] {
            made.extend_from_slice(part.as_bytes());
        }
        quote(&self.text, made);
        if let Some(file) = self.file.take() {
            made.extend_from_slice(b"\"; filename=\"");
            quote(&file, made);
        }
        made.extend_from_slice(b"\"\r\n\r\n");
    }
}

/// Writes a name as browsers do (HTML, section 4.10.21.8).
fn quote(name: &[u8], out: &mut Vec<u8>) {
    for &byte in name {
        match byte {
            b'"' => out.extend_from_slice(b"%22"),
            b'\r' => out.extend_from_slice(b"%0D"),
            b'\n' => out.extend_from_slice(b"%0A"),
            byte => out.push(byte),
        }
    }
}
