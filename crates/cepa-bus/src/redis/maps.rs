//! Counters and maps in Redis.

use std::{collections::HashMap, sync::Arc};

use ::redis::{Cmd, Value};
use bytes::Bytes;

use super::{
    Redis,
    answer::{Answer, nonsense},
    keys::{Kind, name},
    scripts,
    shares::wish,
};
use crate::{
    BackendError, NameError, ShareError,
    far::{Change, Put, Versioned, When},
    names::Key,
};

/// Most bytes of all entries of a map at once.
const MAP_MOST: usize = 256 << 20;

/// An entry as it is kept, `version JSON`.
fn entry(bytes: &Bytes) -> Result<Versioned, BackendError> {
    let end = bytes.iter().position(|byte| *byte == b' ').ok_or_else(nonsense)?;
    let version = std::str::from_utf8(&bytes[..end]).ok().and_then(|version| version.parse().ok());
    Ok(Versioned { version: version.ok_or_else(nonsense)?, json: bytes.slice(end + 1..) })
}

fn number(bytes: Bytes) -> Result<i64, BackendError> {
    Answer::new(Value::BulkString(bytes.into())).number()
}

impl Redis {
    fn too_many_names(&self) -> ShareError {
        NameError::TooMany(self.settings.limits.names).into()
    }

    fn command(&self, name: &str, kind: Kind, key: &Key) -> Cmd {
        let mut command = ::redis::cmd(name);
        command.arg(self.settings.keys.of(kind, key));
        command
    }

    /// Does something to a counter, in one step.
    pub(super) async fn change(&self, counter: &Key, change: Change) -> Result<i64, ShareError> {
        let command = |name| self.command(name, Kind::Counter, counter);
        match change {
            Change::Get => {
                let present = self.look(command("GET")).await?.bytes_or_none()?;
                Ok(present.map_or(Ok(0), number)?)
            }
            Change::Swap(expected, number) => self.swap(counter, expected, number).await,
            Change::Set(new) => {
                let mut set = command("SET");
                set.arg(new).arg("GET");
                match self.call(0, move |_| set).await?.bytes_or_none()? {
                    Some(before) => Ok(number(before)?),
                    None => self.enter(counter).await.map(|()| 0),
                }
            }
            Change::Add(by) => {
                let mut add = command("INCRBY");
                add.arg(by);
                let sum = match self.call(0, move |_| add).await {
                    Err(BackendError::Refused(why)) if why.contains("overflow") => {
                        return self.wrap_around(counter, by).await;
                    }
                    answer => answer?.number()?,
                };
                // It was zero, and may have been nothing.
                if sum == by {
                    self.enter(counter).await?;
                }
                Ok(sum)
            }
        }
    }

    /// Names a counter that may just have come into being, or takes it away again.
    async fn enter(&self, counter: &Key) -> Result<(), ShareError> {
        let keys = &self.settings.keys;
        let keys = [keys.of(Kind::Counter, counter), keys.names(Kind::Counter)];
        let mut call = scripts::call(&scripts::NAME, &[&keys[0], &keys[1]]);
        call.arg(name(counter)).arg(self.settings.limits.names);
        match self.call(0, move |_| call).await?.number()? {
            0u8 => Err(self.too_many_names()),
            _ => Ok(()),
        }
    }

    /// Adds where the sum is no number of Redis' any more: it wraps around, as in memory.
    async fn wrap_around(&self, counter: &Key, number: i64) -> Result<i64, ShareError> {
        let mut before: i64 = 0;
        loop {
            let sum = before.wrapping_add(number);
            let present = self.swap(counter, before, sum).await?;
            if present == before {
                return Ok(sum);
            }
            before = present;
        }
    }

    async fn swap(&self, counter: &Key, expected: i64, new: i64) -> Result<i64, ShareError> {
        let keys = &self.settings.keys;
        let keys = [keys.of(Kind::Counter, counter), keys.names(Kind::Counter)];
        let mut call = scripts::call(&scripts::SWAP, &[&keys[0], &keys[1]]);
        call.arg(name(counter)).arg(expected).arg(new).arg(self.settings.limits.names);
        match self.call(0, move |_| call).await?.bytes()? {
            full if full == "names" => Err(self.too_many_names()),
            before => Ok(number(before)?),
        }
    }

    /// An entry of a map.
    pub(super) async fn entry_of(&self, map: &Key, name: &str) -> Result<Option<Versioned>, BackendError> {
        let mut command = self.command("HGET", Kind::Map, map);
        command.arg(name);
        self.look(command).await?.bytes_or_none()?.as_ref().map(entry).transpose()
    }

    /// Replaces an entry of a map, or takes it out.
    pub(super) async fn put_once(
        &self,
        map: &Key,
        key: &str,
        when: When,
        json: Option<&Bytes>,
    ) -> Result<Put, ShareError> {
        let (keys, limits) = (&self.settings.keys, &self.settings.limits);
        let names = [keys.of(Kind::Map, map), keys.names(Kind::Map)];
        let mut call = scripts::call(&scripts::PUT, &[&names[0], &keys.clock, &names[1]]);
        call.arg(name(map)).arg(key).arg(wish(when)).arg(limits.map_entries).arg(limits.names);
        call.arg(u8::from(json.is_some())).arg(json.map(|json| &**json).unwrap_or_default());
        let mut answer = self.call(key.len() + json.map_or(0, Bytes::len), move |_| call).await?;
        let what = answer.text()?;
        let present = answer.bytes_or_none()?.as_ref().map(entry).transpose()?;
        match what.as_str() {
            "done" => Ok(Put::Done(present)),
            "not" => Ok(Put::Not(present)),
            "full" => Err(ShareError::Full(Arc::clone(&map.name))),
            "names" => Err(self.too_many_names()),
            _ => Err(nonsense().into()),
        }
    }

    /// The number of entries of a map.
    pub(super) async fn length_of(&self, map: &Key) -> Result<usize, BackendError> {
        self.look(self.command("HLEN", Kind::Map, map)).await?.number()
    }

    /// All entries of a map.
    pub(super) async fn entries_of(&self, map: &Key) -> Result<Vec<(Box<str>, Bytes)>, BackendError> {
        // Redis may say an entry twice.
        let (mut entries, mut bytes) = (HashMap::new(), 0);
        let mut cursor = "0".to_owned();
        loop {
            let mut scan = self.command("HSCAN", Kind::Map, map);
            scan.arg(&cursor).arg("COUNT").arg(256);
            let mut answer = self.look(scan).await?;
            cursor = answer.text()?;
            let mut page = answer.list()?;
            while !page.is_empty() {
                let (key, json) = (page.text()?, entry(&page.bytes()?)?.json);
                bytes += key.len() + json.len();
                entries.insert(key.into_boxed_str(), json);
            }
            if entries.len() > self.settings.limits.map_entries || bytes > MAP_MOST {
                return Err(BackendError::Refused("the map is larger than may be".into()));
            }
            if cursor == "0" {
                return Ok(entries.into_iter().collect());
            }
        }
    }

    /// Takes all entries out of a map.
    pub(super) async fn clear_map(&self, map: &Key) -> Result<(), BackendError> {
        let keys = &self.settings.keys;
        let mut call = scripts::call(&scripts::CLEAR, &[&keys.of(Kind::Map, map), &keys.names(Kind::Map)]);
        call.arg(name(map));
        self.call(0, move |_| call).await.map(drop)
    }
}
