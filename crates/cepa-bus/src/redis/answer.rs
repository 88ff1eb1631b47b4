//! What Redis answers, read as what it was asked for.

use std::{str::FromStr, vec};

use ::redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use bytes::Bytes;

use crate::BackendError;

/// A list that Redis has answered, read from its beginning.
pub(super) struct Answer(vec::IntoIter<Value>);

impl Answer {
    /// The list; one value is a list of one.
    pub(super) fn new(value: Value) -> Self {
        let list = match value {
            Value::Array(list) => list,
            one => vec![one],
        };
        Self(list.into_iter())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// The next value as a list.
    pub(super) fn list(&mut self) -> Result<Self, BackendError> {
        match self.0.next() {
            Some(Value::Array(list)) => Ok(Self(list.into_iter())),
            // So HSCAN may answer.
            Some(Value::Map(pairs)) => {
                Ok(Self(pairs.into_iter().flat_map(<[Value; 2]>::from).collect::<Vec<_>>().into_iter()))
            }
            _ => Err(nonsense()),
        }
    }

    /// The next value as bytes; `None` where there is no value.
    pub(super) fn bytes_or_none(&mut self) -> Result<Option<Bytes>, BackendError> {
        match self.0.next() {
            None | Some(Value::Nil) => Ok(None),
            Some(Value::BulkString(bytes)) => Ok(Some(bytes.into())),
            Some(Value::SimpleString(text)) => Ok(Some(text.into())),
            Some(Value::Int(number)) => Ok(Some(number.to_string().into())),
            Some(_) => Err(nonsense()),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, BackendError> {
        self.bytes_or_none()?.ok_or_else(nonsense)
    }

    pub(super) fn text(&mut self) -> Result<String, BackendError> {
        String::from_utf8(self.bytes()?.into()).map_err(|_| nonsense())
    }

    pub(super) fn number<T: FromStr>(&mut self) -> Result<T, BackendError> {
        self.text()?.parse().map_err(|_| nonsense())
    }
}

/// What comes of an answer that is none to the question.
pub(super) fn nonsense() -> BackendError {
    BackendError::Refused("Redis has answered something that is no answer".into())
}

/// What has failed, and whether the connection is of no more use.
pub(super) fn failure(error: &RedisError) -> (BackendError, bool) {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, NoScript, ReadOnly, TryAgain};
    let text = || error.to_string().into();
    match error.kind() {
        // It has said that nothing was done, and would of all that is asked now.
        ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | NoScript | ReadOnly | TryAgain) => {
            (BackendError::Away(text()), true)
        }
        _ if error.is_unrecoverable_error() => (BackendError::Unanswered, true),
        ErrorKind::Server(_) | ErrorKind::Extension => (BackendError::Refused(text()), false),
        _ => (BackendError::Unanswered, true),
    }
}
