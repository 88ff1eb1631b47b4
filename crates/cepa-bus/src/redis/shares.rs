//! Shares in Redis, as handles see them.

use std::{sync::Arc, time::Duration};

use ::redis::{Cmd, Value};
use bytes::Bytes;

use super::{
    Redis, Settings, VALUE_MOST,
    answer::{Answer, nonsense},
    connection::millis,
    jobs::Job,
    keys::Kind,
    locks::{self, Locking, Wish, Writing},
    scripts,
};
use crate::{
    BackendError, NameError, Party, ShareError,
    far::{Change, FarHold, FarShares, FarValue, Load, Put, Reply, Versioned, When, Written},
    names::Key,
};

/// What is to be written.
pub(super) struct Write {
    pub(super) when: When,
    pub(super) value: Option<FarValue>,
}

impl Write {
    /// The wish, the time to live and the JSON, as scripts take them.
    pub(super) fn add_to<'a>(&self, call: &'a mut Cmd) -> &'a mut Cmd {
        call.arg(wish(self.when));
        match &self.value {
            None => call.arg("-").arg(""),
            Some(FarValue { ttl: None, json, .. }) => call.arg(0).arg(&**json),
            Some(FarValue { ttl: Some(ttl), json, .. }) => call.arg(millis(*ttl)).arg(&**json),
        }
    }
}

/// As it is to be before, as scripts take it: empty for anything, `0` for nothing, else the version.
pub(super) fn wish(when: When) -> String {
    match when {
        When::Always => String::new(),
        When::Absent => "0".to_owned(),
        When::Version(version) => version.to_string(),
    }
}

fn known_text(known: Option<u64>) -> String {
    known.map_or(String::new(), |known| known.to_string())
}

/// What is at a share.
pub(super) fn read(answer: &mut Answer) -> Result<Load, BackendError> {
    match answer.text()?.as_str() {
        "none" => Ok(Load::Nothing),
        "same" => Ok(Load::Same),
        "value" => Ok(Load::Value(Versioned { version: answer.number()?, json: answer.bytes()? })),
        "long" => Err(too_long()),
        _ => Err(nonsense()),
    }
}

/// What has come of a write.
pub(super) fn written(
    what: &str,
    answer: &mut Answer,
    when: When,
    settings: &Settings,
) -> Result<Written, ShareError> {
    match what {
        "done" => Ok(Written::Done(answer.number()?)),
        "not" if when == When::Absent => {
            Ok(Written::Not(Some(Versioned { version: answer.number()?, json: answer.bytes()? })))
        }
        "not" => {
            let version = answer
                .bytes_or_none()?
                .map(|version| Answer::new(Value::BulkString(version.into())).number());
            Ok(Written::Not(version.transpose()?.map(|version| Versioned { version, json: Bytes::new() })))
        }
        "names" => Err(NameError::TooMany(settings.limits.names).into()),
        "long" => Err(too_long().into()),
        _ => Err(nonsense().into()),
    }
}

fn too_long() -> BackendError {
    BackendError::Refused("a value that is there is longer than may be".into())
}

impl Redis {
    /// Whether a value is as long as may be.
    pub(super) fn check_length(json: Option<&Bytes>) -> Result<(), BackendError> {
        match json {
            Some(json) if json.len() > VALUE_MOST => Err(BackendError::TooLong(VALUE_MOST)),
            _ => Ok(()),
        }
    }

    async fn write_once(
        &self,
        share: &Key,
        when: When,
        value: Option<FarValue>,
        wait: Duration,
    ) -> Result<Written, ShareError> {
        let permit = self.permit(value.as_ref().map_or(0, |value| value.json.len()))?;
        let party = Party::new("a write");
        let place = Wish { share: share.clone(), party: party.id(), label: party.label().into(), wait };
        let write = Write { when, value };
        self.ask(|reply| Job::Write(Writing { place, write, reply, permit })).await
    }

    async fn store_once(
        &self,
        share: &Key,
        token: u64,
        value: Option<FarValue>,
        and_release: bool,
    ) -> Result<u64, ShareError> {
        let bytes = value.as_ref().map_or(0, |value| value.json.len());
        let mut call = self.settings.keys.lock(&scripts::STORE, share);
        Write { when: When::Always, value }
            .add_to(call.arg(token))
            .arg(VALUE_MOST)
            .arg(self.settings.limits.names);
        call.arg(u8::from(and_release)).arg(self.settings.keys.sessions_channel());
        let mut answer = self.call(bytes, move |_| call).await?;
        match answer.text()?.as_str() {
            "lost" => Err(ShareError::LockLost(Arc::clone(&share.name))),
            what => match written(what, &mut answer, When::Always, &self.settings)? {
                Written::Done(version) => Ok(version),
                Written::Not(_) => Err(nonsense().into()),
            },
        }
    }
}

impl FarShares for Redis {
    fn load<'a>(&'a self, share: &'a Key, known: Option<u64>) -> Reply<'a, Load, ShareError> {
        Box::pin(async move {
            let mut call = scripts::call(&scripts::LOAD, &[&self.settings.keys.of(Kind::Share, share)]);
            call.arg(known_text(known)).arg(VALUE_MOST);
            Ok(read(&mut self.look(call).await?)?)
        })
    }

    fn write<'a>(
        &'a self,
        share: &'a Key,
        when: When,
        value: Option<FarValue>,
        wait: Duration,
    ) -> Reply<'a, Written, ShareError> {
        Box::pin(async move {
            Self::check_length(value.as_ref().map(|value| &value.json))?;
            self.with_room(Kind::Share, || self.write_once(share, when, value.clone(), wait)).await
        })
    }

    fn hold<'a>(
        &'a self,
        share: &'a Key,
        party: &'a Party,
        wait: Duration,
        known: Option<u64>,
    ) -> Reply<'a, FarHold, ShareError> {
        Box::pin(async move {
            let place = Wish { share: share.clone(), party: party.id(), label: party.label().into(), wait };
            let permit = self.permit(0)?;
            let mut granted = self.ask(|reply| Job::Lock(Locking { place, known, reply, permit })).await?;
            Ok(granted.hold.take().expect("a lock is taken out once, here"))
        })
    }

    fn store<'a>(
        &'a self,
        share: &'a Key,
        token: u64,
        value: Option<FarValue>,
        and_release: bool,
    ) -> Reply<'a, u64, ShareError> {
        Box::pin(async move {
            Self::check_length(value.as_ref().map(|value| &value.json))?;
            self.with_room(Kind::Share, || self.store_once(share, token, value.clone(), and_release)).await
        })
    }

    fn release(&self, share: &Key, token: u64) {
        self.send(locks::release(&self.settings, share, token));
    }

    fn count<'a>(&'a self, counter: &'a Key, change: Change) -> Reply<'a, i64, ShareError> {
        Box::pin(self.with_room(Kind::Counter, move || self.change(counter, change)))
    }

    fn entry<'a>(&'a self, map: &'a Key, entry: &'a str) -> Reply<'a, Option<Versioned>, ShareError> {
        Box::pin(async move { Ok(self.entry_of(map, entry).await?) })
    }

    fn put<'a>(
        &'a self,
        map: &'a Key,
        entry: &'a str,
        when: When,
        json: Option<Bytes>,
    ) -> Reply<'a, Put, ShareError> {
        Box::pin(async move {
            Self::check_length(json.as_ref())?;
            self.with_room(Kind::Map, || self.put_once(map, entry, when, json.as_ref())).await
        })
    }

    fn len<'a>(&'a self, map: &'a Key) -> Reply<'a, usize, ShareError> {
        Box::pin(async move { Ok(self.length_of(map).await?) })
    }

    fn entries<'a>(&'a self, map: &'a Key) -> Reply<'a, Vec<(Box<str>, Bytes)>, ShareError> {
        Box::pin(async move { Ok(self.entries_of(map).await?) })
    }

    fn clear<'a>(&'a self, map: &'a Key) -> Reply<'a, (), ShareError> {
        Box::pin(async move { Ok(self.clear_map(map).await?) })
    }
}
