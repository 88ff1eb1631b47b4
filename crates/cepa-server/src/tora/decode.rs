//! Requests as messages, in whatever order they come: only [`Code::Execute`] is the last.

use std::ops::Range;

use super::{
    form::{self, Form},
    head::{Fields, Name},
    wire::{Code, MOST_TEXT, Messages, Piece, escape},
};
use crate::{cgi::Reject, limits::Limits};

/// What a Flash player asks before it opens a socket, in place of a message.
const POLICY: &[u8] = b"<policy-file-request/>\0";

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// mod_tora, which is believed what it says.
    Front,
    /// A client of its own, which can name neither a file nor an address, and asks for a host by
    /// [`Code::HostResolve`] only.
    Direct,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request: [`Decoder::take_request`].
    Request,
    /// A part of its body, which lies there in the input.
    Data(Range<usize>),
    /// A part of its body that was made: [`Decoder::take_made`].
    Made,
    /// The end of its body.
    End,
    /// The other end gives up, or has only looked whether somebody is here: nothing more is read.
    Close,
    /// A Flash player asks for the policy: nothing more is read.
    Policy,
}

/// Reads the requests of one connection.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    most: Most,
    stage: Stage,
    messages: Messages,
    /// The message whose text is on its way.
    open: Option<(Code, Take)>,
    request: Request,
    /// The form that belongs to the request at hand.
    form: Option<Form>,
}

#[derive(Debug, Clone, Copy)]
struct Most {
    text: usize,
    body: u64,
    query: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// So many messages of a request have come.
    Gathers(usize),
    /// In the question of a Flash player.
    Policy(usize),
    /// The body of a request that is there is still to be handed over.
    Body,
    End,
    /// A form is read while the request is answered.
    Form,
    /// The request is answered, and nothing of it is to come any more.
    Answers,
    Over,
}

/// What becomes of the text of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Take {
    Field,
    Body,
    Param,
    Form,
    Data,
    Skip,
}

/// A request that is gathered, or complete.
#[derive(Debug, Default)]
pub struct Request {
    pub(super) fields: Fields,
    /// The query that the parameters make; `None` once it is longer than a target may be.
    pub(super) params: Option<Vec<u8>>,
    body: Option<Vec<u8>>,
    /// Bytes of the body, if there is one.
    pub(super) length: Option<usize>,
    /// The type of the body that a form will be made.
    pub(super) form: Option<Vec<u8>>,
}

impl Decoder {
    /// A decoder of a connection from its start.
    ///
    /// Of `limits`, `variable_bytes` holds for all that is kept of a request but its body, of a direct client's for that
    /// too; `body` for the body; `request_line` for the parameters.
    #[must_use]
    pub fn new(role: Role, limits: &Limits) -> Self {
        let body =
            if role == Role::Direct { limits.body.min(limits.variable_bytes as u64) } else { limits.body };
        let most = Most { text: limits.variable_bytes, body, query: limits.request_line };
        let (messages, request) = (Messages::default(), Request::new());
        Self { role, most, stage: Stage::Gathers(0), messages, open: None, request, form: None }
    }

    /// Decodes up to the next event, and says how many bytes of the input it took; without an event that is all of them,
    /// or what comes next is the next request, and the one at hand is to be [finished](Self::finish) before.
    ///
    /// # Errors
    /// A request that is none, or is past a limit; nothing more may be decoded then.
    pub fn decode(&mut self, input: &[u8]) -> Result<(usize, Option<Event>), Reject> {
        let mut at = 0;
        loop {
            if let Some(event) = self.due() {
                return Ok((at, Some(event)));
            }
            let left = &input[at..];
            match (self.stage, left) {
                (Stage::Over, _) => return Ok((input.len(), None)),
                (Stage::Answers, _) | (_, []) => return Ok((at, None)),
                (Stage::Gathers(0), [b'<', ..]) if self.messages.is_between() => {
                    self.stage = Stage::Policy(0);
                }
                (Stage::Policy(seen), [byte, ..]) => {
                    at += 1;
                    if let Some(event) = self.take_policy(seen, *byte)? {
                        return Ok((at, Some(event)));
                    }
                }
                _ => {
                    let (used, piece) = self.messages.next(left);
                    let from = at;
                    at += used;
                    if let Some(event) = self.take(piece, &left[..used], from)? {
                        return Ok((at, Some(event)));
                    }
                }
            }
        }
    }

    /// What is known without reading on.
    fn due(&mut self) -> Option<Event> {
        match self.stage {
            Stage::Body => {
                self.stage = Stage::End;
                Some(Event::Made)
            }
            Stage::Form if self.form.as_ref().is_some_and(Form::is_over) => {
                self.stage = Stage::End;
                Some(Event::Made)
            }
            Stage::End => {
                self.stage = Stage::Answers;
                Some(Event::End)
            }
            _ => None,
        }
    }

    /// One byte of a Flash player's question.
    fn take_policy(&mut self, seen: usize, byte: u8) -> Result<Option<Event>, Reject> {
        if POLICY[seen] != byte {
            return Err(Reject::Message);
        }
        let over = seen + 1 == POLICY.len();
        self.stage = if over { Stage::Over } else { Stage::Policy(seen + 1) };
        Ok(over.then_some(Event::Policy))
    }

    /// Whether a part of a request has come.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.stage != Stage::Gathers(0) || !self.messages.is_between()
    }

    /// Whether there is a request, or enough of one to be answered that it is refused.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        !matches!(self.stage, Stage::Gathers(0) | Stage::Policy(_) | Stage::Over)
    }

    /// Whether a form is on its way, or can be asked for.
    #[must_use]
    pub fn has_form(&self) -> bool {
        self.stage == Stage::Form
    }

    /// Takes the request that has just come.
    #[must_use]
    pub fn take_request(&mut self) -> Request {
        let body = self.request.body.take();
        let request = std::mem::replace(&mut self.request, Request::new());
        let length = body.as_ref().map(Vec::len);
        // It stays here until it is handed over.
        self.request.body = body;
        Request { length, ..request }
    }

    /// Takes the part of the body that has just been made.
    #[must_use]
    pub fn take_made(&mut self) -> Vec<u8> {
        match &mut self.form {
            Some(form) => form.take_made(),
            None => self.request.body.take().unwrap_or_default(),
        }
    }

    /// The app waits for the body: asks for the form, if it is one.
    pub fn pull(&mut self, out: &mut Vec<u8>) {
        if let Some(form) = &mut self.form {
            form.pull(out);
        }
    }

    /// The request at hand is answered; `again` if another one may come.
    pub fn finish(&mut self, again: bool) {
        self.request = Request::new();
        self.form = None;
        self.stage = if again { Stage::Gathers(0) } else { Stage::Over };
    }

    /// What a piece of a message comes to.
    fn take(&mut self, piece: Option<Piece>, input: &[u8], at: usize) -> Result<Option<Event>, Reject> {
        match piece {
            None => return Ok(None),
            Some(Piece::Begin(code, length)) => {
                let code = Code::of(code).ok_or(Reject::Message)?;
                let take = self.begin(code, length)?;
                self.open = Some((code, take));
            }
            Some(Piece::Text(range)) => {
                let text = &input[range.clone()];
                match self.open {
                    Some((_, Take::Data)) => return Ok(Some(Event::Data(at + range.start..at + range.end))),
                    Some((_, Take::Field)) => self.request.fields.keep(text),
                    Some((_, Take::Body)) => {
                        self.request.body.get_or_insert_default().extend_from_slice(text);
                    }
                    Some((_, Take::Param)) => self.keep_param(text),
                    Some((_, Take::Form)) => {
                        if let Some(form) = &mut self.form {
                            form.keep(text);
                        }
                    }
                    Some((_, Take::Skip)) | None => {}
                }
            }
        }
        if !self.messages.is_text_over() {
            return Ok(None);
        }
        let Some((code, take)) = self.open.take() else { return Ok(None) };
        match (self.stage, &mut self.form) {
            (Stage::Form, Some(form)) => {
                form.end(code);
                Ok(form.has_made().then_some(Event::Made).filter(|_| !form.is_over()))
            }
            _ => self.end(code, take),
        }
    }

    /// A message begins; what is to become of its text.
    fn begin(&mut self, code: Code, length: usize) -> Result<Take, Reject> {
        if let (Stage::Form, Some(form)) = (self.stage, &mut self.form) {
            return Ok(match form.begin(code, length)? {
                form::Text::Kept => Take::Form,
                form::Text::Data => Take::Data,
            });
        }
        let fields = &mut self.request.fields;
        if !fields.fits(code) {
            return Err(Reject::Message);
        }
        let name = match code {
            Code::File => return Ok(Take::Skip),
            Code::ClientIp | Code::HostName if self.role == Role::Direct => return Ok(Take::Skip),
            Code::Uri => Name::Uri,
            Code::ClientIp => Name::ClientIp,
            Code::GetParams => Name::Query,
            Code::HostName => Name::Host,
            Code::HttpMethod => Name::Method,
            Code::HostResolve => Name::Resolve,
            Code::HeaderKey => Name::HeaderKey,
            Code::HeaderValue | Code::HeaderAddValue => Name::HeaderValue,
            Code::ParamKey | Code::ParamValue => {
                self.begin_param(code);
                return Ok(Take::Param);
            }
            Code::PostData => {
                self.begin_body(length)?;
                return Ok(Take::Body);
            }
            Code::Execute | Code::TestConnect if length == 0 => return Ok(Take::Skip),
            Code::Error => return Ok(Take::Skip),
            _ => return Err(Reject::Message),
        };
        fields.begin(name, length, self.most.text)?;
        Ok(Take::Field)
    }

    /// A message has ended.
    fn end(&mut self, code: Code, take: Take) -> Result<Option<Event>, Reject> {
        if let Stage::Gathers(count) = self.stage {
            self.stage = Stage::Gathers(count.saturating_add(1));
        }
        match code {
            Code::Execute => {
                let request = &mut self.request;
                let is_form = self.role == Role::Front && request.body.is_none() && request.fields.is_form();
                if is_form {
                    let form = Form::new();
                    request.form = Some(form.content_type());
                    self.form = Some(form);
                }
                self.stage = match &request.body {
                    _ if is_form => Stage::Form,
                    Some(body) if !body.is_empty() => Stage::Body,
                    _ => Stage::End,
                };
                return Ok(Some(Event::Request));
            }
            Code::TestConnect | Code::Error => {
                self.stage = Stage::Over;
                return Ok(Some(Event::Close));
            }
            Code::ParamKey => self.request.fields.await_value(Some(Code::ParamKey)),
            Code::ParamValue => self.request.fields.await_value(None),
            _ if take == Take::Field => self.request.fields.end(),
            _ => {}
        }
        Ok(None)
    }

    fn begin_body(&mut self, length: usize) -> Result<(), Reject> {
        if self.request.body.is_some() {
            return Err(Reject::Message);
        }
        if length as u64 > self.most.body {
            return Err(Reject::BodyTooLarge);
        }
        self.request.body = Some(Vec::new());
        Ok(())
    }

    fn begin_param(&mut self, code: Code) {
        let Some(params) = &mut self.request.params else { return };
        if params.len() >= self.most.query {
            self.request.params = None;
        } else if code == Code::ParamValue {
            params.push(b'=');
        } else if !params.is_empty() {
            params.push(b'&');
        }
    }

    /// What has become too long is forgotten: mostly nobody needs it, as the query and the body came as well.
    fn keep_param(&mut self, text: &[u8]) {
        let Some(params) = &mut self.request.params else { return };
        if params.len() + text.len() > self.most.query {
            self.request.params = None;
            return;
        }
        escape(text, params);
    }
}

impl Request {
    fn new() -> Self {
        Self { params: Some(Vec::new()), ..Self::default() }
    }
}

const _: () = assert!(MOST_TEXT <= u32::MAX as usize);

#[cfg(test)]
mod tests;
