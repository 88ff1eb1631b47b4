//! Records: eight bytes of header, content, padding (FastCGI 1.0, sections 3.3 and 5).

/// The version of the protocol, the first byte of each record.
pub const VERSION: u8 = 1;
/// Bytes of a header.
pub const HEADER: usize = 8;
/// The most content that a record has.
pub const MOST_CONTENT: usize = 0xffff;

/// The role of a responder, the one that is played here.
pub const RESPONDER: u16 = 1;
/// The flag of a request after which the connection is to be kept.
pub const KEEP_CONN: u8 = 1;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A request begins: `FCGI_BEGIN_REQUEST`.
    Begin = 1,
    /// The request is given up: `FCGI_ABORT_REQUEST`.
    Abort = 2,
    /// The request is answered, or was refused: `FCGI_END_REQUEST`.
    End = 3,
    /// A part of the variables: `FCGI_PARAMS`.
    Params = 4,
    /// A part of the body: `FCGI_STDIN`.
    Stdin = 5,
    /// A part of the answer: `FCGI_STDOUT`.
    Stdout = 6,
    /// Text for the log of the front server: `FCGI_STDERR`.
    Stderr = 7,
    /// What only filters get: `FCGI_DATA`.
    Data = 8,
    /// A question about this server: `FCGI_GET_VALUES`.
    GetValues = 9,
    /// The answer to it: `FCGI_GET_VALUES_RESULT`.
    GetValuesResult = 10,
    /// The answer to a question that is not known: `FCGI_UNKNOWN_TYPE`.
    UnknownType = 11,
}

impl Kind {
    pub(super) fn of(byte: u8) -> Option<Self> {
        use Kind::*;
        let known =
            [Begin, Abort, End, Params, Stdin, Stdout, Stderr, Data, GetValues, GetValuesResult, UnknownType];
        known.get(usize::from(byte).checked_sub(1)?).copied()
    }
}

/// How a request has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Ending {
    /// It was answered, or given up as was asked: `FCGI_REQUEST_COMPLETE`.
    Complete = 0,
    /// There is a request on this connection already: `FCGI_CANT_MPX_CONN`.
    CannotMultiplex = 1,
    /// The role is not that of a responder: `FCGI_UNKNOWN_ROLE`.
    UnknownRole = 3,
}

/// Appends the header of a record whose content, of at most [`MOST_CONTENT`] bytes, comes behind it, without padding.
pub fn header(out: &mut Vec<u8>, kind: Kind, request: u16, length: u16) {
    let ([id1, id0], [length1, length0]) = (request.to_be_bytes(), length.to_be_bytes());
    out.extend_from_slice(&[VERSION, kind as u8, id1, id0, length1, length0, 0, 0]);
}

/// Appends the end of a request: `FCGI_END_REQUEST`, with an application status of 0.
pub fn end(out: &mut Vec<u8>, request: u16, ending: Ending) {
    header(out, Kind::End, request, 8);
    out.extend_from_slice(&[0, 0, 0, 0, ending as u8, 0, 0, 0]);
}

/// Appends text for the log of the front server, cut to what fits one record: `FCGI_STDERR`.
pub fn stderr(out: &mut Vec<u8>, request: u16, text: &str) {
    let text = &text.as_bytes()[..text.len().min(MOST_CONTENT)];
    header(out, Kind::Stderr, request, text.len() as u16);
    out.extend_from_slice(text);
}

/// Appends the answer to a record of an unknown type: `FCGI_UNKNOWN_TYPE`.
pub fn unknown_type(out: &mut Vec<u8>, kind: u8) {
    header(out, Kind::UnknownType, 0, 8);
    out.extend_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
}
