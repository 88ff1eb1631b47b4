//! Shares, counters and maps in Redis.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ::redis::{Cmd, Value};
use bytes::Bytes;

use super::{
    Redis, VALUE_MOST,
    answer::{Answer, nonsense},
    connection::millis,
    jobs::Job,
    keys::Kind,
    locks::{self, Locking, Wish, Writing},
    scripts,
};
use crate::{
    BackendError, Party, ShareError,
    far::{Change, FarHold, FarShares, FarValue, Load, Put, Reply, Versioned, When, Written},
    names::Key,
};

/// Most bytes of all entries of a map at once.
const MAP_MOST: usize = 256 << 20;

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

fn wish(when: When) -> String {
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
pub(super) fn written(what: &str, answer: &mut Answer, when: When) -> Result<Written, ShareError> {
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
        "long" => Err(too_long().into()),
        _ => Err(nonsense().into()),
    }
}

fn too_long() -> BackendError {
    BackendError::Refused("a value that is there is longer than may be".into())
}

/// An entry of a map, `version JSON`.
fn entry(bytes: &Bytes) -> Result<Versioned, BackendError> {
    let end = bytes.iter().position(|byte| *byte == b' ').ok_or_else(nonsense)?;
    let version = std::str::from_utf8(&bytes[..end]).ok().and_then(|version| version.parse().ok());
    Ok(Versioned { version: version.ok_or_else(nonsense)?, json: bytes.slice(end + 1..) })
}

impl Redis {
    fn key(&self, kind: Kind, key: &Key) -> String {
        self.settings.keys.of(kind, key)
    }

    fn check_length(json: Option<&Bytes>) -> Result<(), BackendError> {
        match json {
            Some(json) if json.len() > VALUE_MOST => Err(BackendError::TooLong(VALUE_MOST)),
            _ => Ok(()),
        }
    }

    /// Adds where the sum is no number of Redis' any more: it wraps around, as in memory.
    async fn wrap_around(&self, key: &str, number: i64) -> Result<i64, BackendError> {
        let mut before: i64 = 0;
        loop {
            let sum = before.wrapping_add(number);
            let present = self.swap(key, before, sum).await?;
            if present == before {
                return Ok(sum);
            }
            before = present;
        }
    }

    async fn swap(&self, key: &str, expected: i64, number: i64) -> Result<i64, BackendError> {
        let mut call = scripts::call(&scripts::SWAP, &[key]);
        call.arg(expected).arg(number);
        self.call(0, move |_| call).await?.number()
    }

    async fn change(&self, key: &str, change: Change) -> Result<i64, BackendError> {
        let command = |name: &str| {
            let mut command = ::redis::cmd(name);
            command.arg(key);
            command
        };
        let mut answer = match change {
            Change::Get => self.look(command("GET")).await?,
            Change::Swap(expected, number) => return self.swap(key, expected, number).await,
            Change::Set(number) => {
                let mut set = command("SET");
                set.arg(number).arg("GET");
                self.call(0, move |_| set).await?
            }
            Change::Add(number) => {
                let mut add = command("INCRBY");
                add.arg(number);
                match self.call(0, move |_| add).await {
                    Err(BackendError::Refused(why)) if why.contains("overflow") => {
                        return self.wrap_around(key, number).await;
                    }
                    answer => answer?,
                }
            }
        };
        match answer.bytes_or_none()? {
            None => Ok(0),
            Some(number) => Answer::new(Value::BulkString(number.into())).number(),
        }
    }

    async fn scan(&self, map: &Key) -> Result<Vec<(Box<str>, Bytes)>, BackendError> {
        let key = self.key(Kind::Map, map);
        // Redis may say an entry twice.
        let (mut entries, mut bytes) = (HashMap::new(), 0);
        let mut cursor = "0".to_owned();
        loop {
            let mut scan = ::redis::cmd("HSCAN");
            scan.arg(&key).arg(&cursor).arg("COUNT").arg(256);
            let mut answer = self.look(scan).await?;
            cursor = answer.text()?;
            let mut page = answer.list()?;
            while !page.is_empty() {
                let (name, json) = (page.text()?, entry(&page.bytes()?)?.json);
                bytes += name.len() + json.len();
                entries.insert(name.into_boxed_str(), json);
            }
            if entries.len() > self.settings.limits.map_entries || bytes > MAP_MOST {
                return Err(BackendError::Refused("the map is larger than may be".into()));
            }
            if cursor == "0" {
                return Ok(entries.into_iter().collect());
            }
        }
    }
}

impl FarShares for Redis {
    fn load<'a>(&'a self, share: &'a Key, known: Option<u64>) -> Reply<'a, Load, ShareError> {
        Box::pin(async move {
            let mut call = scripts::call(&scripts::LOAD, &[&self.key(Kind::Share, share)]);
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
            let json = value.as_ref().map(|value| &value.json);
            Self::check_length(json)?;
            let permit = self.permit(json.map_or(0, Bytes::len))?;
            let party = Party::new("a write");
            let place = Wish { share: share.clone(), party: party.id(), label: party.label().into(), wait };
            let write = Write { when, value };
            self.ask(|reply| Job::Write(Writing { place, write, reply, permit })).await
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
            let json = value.as_ref().map(|value| &value.json);
            Self::check_length(json)?;
            let bytes = json.map_or(0, Bytes::len);
            let mut call = self.settings.keys.lock(&scripts::STORE, share);
            Write { when: When::Always, value }.add_to(call.arg(token)).arg(VALUE_MOST);
            call.arg(u8::from(and_release)).arg(self.settings.keys.sessions_channel());
            let mut answer = self.call(bytes, move |_| call).await?;
            match answer.text()?.as_str() {
                "done" => Ok(answer.number()?),
                "lost" => Err(ShareError::LockLost(Arc::clone(&share.name))),
                _ => Err(nonsense().into()),
            }
        })
    }

    fn release(&self, share: &Key, token: u64) {
        self.send(locks::release(&self.settings, share, token));
    }

    fn count<'a>(&'a self, counter: &'a Key, change: Change) -> Reply<'a, i64, ShareError> {
        Box::pin(async move { Ok(self.change(&self.key(Kind::Counter, counter), change).await?) })
    }

    fn entry<'a>(&'a self, map: &'a Key, name: &'a str) -> Reply<'a, Option<Versioned>, ShareError> {
        Box::pin(async move {
            let mut command = ::redis::cmd("HGET");
            command.arg(self.key(Kind::Map, map)).arg(name);
            let found = self.look(command).await?.bytes_or_none()?;
            Ok(found.as_ref().map(entry).transpose()?)
        })
    }

    fn put<'a>(
        &'a self,
        map: &'a Key,
        name: &'a str,
        when: When,
        json: Option<Bytes>,
    ) -> Reply<'a, Put, ShareError> {
        Box::pin(async move {
            Self::check_length(json.as_ref())?;
            let bytes = name.len() + json.as_ref().map_or(0, Bytes::len);
            let mut call =
                scripts::call(&scripts::PUT, &[&self.key(Kind::Map, map), &self.settings.keys.clock]);
            call.arg(name).arg(wish(when)).arg(self.settings.limits.map_entries);
            call.arg(u8::from(json.is_some())).arg(json.as_deref().unwrap_or_default());
            let mut answer = self.call(bytes, move |_| call).await?;
            let what = answer.text()?;
            let present = answer.bytes_or_none()?.as_ref().map(entry).transpose()?;
            match what.as_str() {
                "done" => Ok(Put::Done(present)),
                "not" => Ok(Put::Not(present)),
                "full" => Err(ShareError::Full(Arc::clone(&map.name))),
                _ => Err(nonsense().into()),
            }
        })
    }

    fn len<'a>(&'a self, map: &'a Key) -> Reply<'a, usize, ShareError> {
        Box::pin(async move {
            let mut command = ::redis::cmd("HLEN");
            command.arg(self.key(Kind::Map, map));
            Ok(self.look(command).await?.number()?)
        })
    }

    fn entries<'a>(&'a self, map: &'a Key) -> Reply<'a, Vec<(Box<str>, Bytes)>, ShareError> {
        Box::pin(async move { Ok(self.scan(map).await?) })
    }

    fn clear<'a>(&'a self, map: &'a Key) -> Reply<'a, (), ShareError> {
        Box::pin(async move {
            let mut command = ::redis::cmd("UNLINK");
            command.arg(self.key(Kind::Map, map));
            Ok(self.call(0, move |_| command).await.map(drop)?)
        })
    }
}
