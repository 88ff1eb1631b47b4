//! Jobs on disk: what is done with them, as transactions that are whole or not at all.
//!
//! A job waits, is leased to whoever works on it, or is dead; a table of each says which, in the order in which it is
//! asked for. What changes any of them goes through [`Tables::replace`], so that they agree. There is no clock here.

mod ask;
mod tables;

use std::{
    fs::{DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use redb::{Builder, Database, ReadableTableMetadata as _, backends::FileBackend};

pub(crate) use self::ask::{Answer, Ask, Slots, Taken};
pub use self::ask::{DeadJob, JobCounts, JobId};
use self::tables::{Record, State, Tables};

/// Bytes that the file is cached with.
const CACHE: usize = 8 << 20;

/// Bytes of payloads in one answer, besides the first: what is left is there for the next.
pub(super) const ANSWER: usize = 2 << 20;

/// The file of the jobs.
pub(super) struct Store {
    database: Database,
}

impl Store {
    /// Opens the file, or makes it. What was leased is so until this time at most: whoever works on it may be gone.
    pub(super) fn open(path: &Path, until: u64) -> Result<Self, redb::Error> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            // What jobs know is nobody else's business.
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut open = OpenOptions::new();
        let file = open.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let backend = FileBackend::new(file)?;
        let database = Builder::new().set_cache_size(CACHE).create_with_backend(backend)?;
        let this = Self { database };
        this.write(|tables| {
            // The tables are there from now on.
            tables.changed = true;
            for id in tables.leased(until..=u64::MAX)? {
                if let Some(old) = tables.get(id)? {
                    let new = Record { state: State::Leased(until), ..old.clone() };
                    tables.replace(id, Some(&old), Some(new))?;
                }
            }
            Ok(())
        })?;
        Ok(this)
    }

    /// Does all that is asked, in one transaction: once this returns, it is on disk.
    pub(super) fn apply(&self, asks: Vec<Ask>) -> Result<Vec<Answer>, redb::Error> {
        self.write(|tables| asks.into_iter().map(|ask| answer(tables, ask)).collect())
    }

    fn write<T>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        let transaction = self.database.begin_write()?;
        let mut tables = Tables::open(&transaction)?;
        let done = change(&mut tables)?;
        let changed = tables.changed;
        drop(tables);
        // The disk has nothing to do with those that only look, such as for what is due.
        if changed {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        Ok(done)
    }
}

fn answer(tables: &mut Tables<'_>, ask: Ask) -> Result<Answer, redb::Error> {
    match ask {
        Ask::Add { kind, payload, due, now, most } => {
            let error = String::new();
            let (attempt, holder, state) = (0, 0, State::Waiting(due));
            add(tables, Record { kind, payload, due, added: now, attempt, holder, error, state }, most)
        }
        Ask::Take { slots, holder, now, until } => take(tables, &slots, holder, now, until),
        Ask::Recover { holder, held, now } => recover(tables, holder, &held, now),
        Ask::Release { leases, now } => {
            for (id, attempt) in leases {
                end(tables, id, attempt, |old| Some(Record { state: State::Waiting(now), ..old }))?;
            }
            Ok(Answer::Noted)
        }
        Ask::Extend { leases, until, .. } => {
            let mut lost = Vec::new();
            for (id, attempt) in leases {
                match held(tables, id, attempt)? {
                    Some(old) => {
                        let new = Record { state: State::Leased(until), ..old.clone() };
                        tables.replace(id, Some(&old), Some(new))?;
                    }
                    None => lost.push(id),
                }
            }
            Ok(Answer::Lost(lost))
        }
        Ask::Done { id, attempt } => end(tables, id, attempt, |_| None),
        Ask::Retry { id, attempt, error, due, .. } => {
            end(tables, id, attempt, |old| Some(Record { state: State::Waiting(due), error, ..old }))
        }
        Ask::Bury { id, attempt, error } => {
            end(tables, id, attempt, |old| Some(Record { state: State::Dead, error, ..old }))
        }
        // It was not its fault.
        Ask::Return { id, attempt, now } => end(tables, id, attempt, |old| {
            let attempt = old.attempt.saturating_sub(1);
            Some(Record { state: State::Waiting(now), attempt, ..old })
        }),
        Ask::Dead { kind, after, most } => Ok(Answer::Dead(tables.dead(&kind, after, most)?)),
        Ask::Revive { id, now } => {
            let revived = |old: Record| Record { state: State::Waiting(now), attempt: 0, ..old };
            of_dead(tables, id, |old| Some(revived(old)))
        }
        Ask::Discard { id } => of_dead(tables, id, |_| None),
        Ask::Count => Ok(Answer::Counts(tables.counts()?)),
    }
}

/// Adds a job, if there is room.
fn add(tables: &mut Tables<'_>, record: Record, most: u64) -> Result<Answer, redb::Error> {
    if tables.jobs.len()? >= most {
        return Ok(Answer::Full(most));
    }
    let id = tables.next_id()?;
    tables.replace(id, None, Some(record))?;
    Ok(Answer::Added(JobId(id)))
}

/// Leases what is due.
fn take(
    tables: &mut Tables<'_>,
    slots: &[Slots],
    holder: u64,
    now: u64,
    until: u64,
) -> Result<Answer, redb::Error> {
    for id in tables.leased(0..=now)? {
        give_back(tables, id, now)?;
    }
    let (mut jobs, mut bytes) = (Vec::new(), 0);
    for Slots { kind, free, attempts } in slots {
        for id in tables.due(kind, now, *free)? {
            if bytes >= ANSWER {
                // The one who asks looks again at once.
                return Ok(Answer::Taken { jobs, next: Some(now) });
            }
            let Some(old) = tables.get(id)? else { continue };
            if old.attempt >= *attempts {
                let error = format!("it was lost at work {} times: the process ended, or hung", old.attempt);
                tables.replace(id, Some(&old), Some(Record { state: State::Dead, error, ..old.clone() }))?;
                continue;
            }
            let attempt = old.attempt + 1;
            let new = Record { state: State::Leased(until), attempt, holder, ..old.clone() };
            tables.replace(id, Some(&old), Some(new))?;
            let Record { kind, payload, due, .. } = old;
            bytes += payload.len();
            jobs.push(Taken { id, kind, payload, due, attempt });
        }
    }
    let next = tables.next_due(slots.iter().map(|slots| &*slots.kind), now)?;
    Ok(Answer::Taken { jobs, next })
}

/// Takes away what a holder does not know that it has.
fn recover(
    tables: &mut Tables<'_>,
    holder: u64,
    held: &[(u64, u32)],
    now: u64,
) -> Result<Answer, redb::Error> {
    for id in tables.leased(0..=u64::MAX)? {
        let is_unknown = |old: &Record| old.holder == holder && !held.contains(&(id, old.attempt));
        if tables.get(id)?.is_some_and(|old| is_unknown(&old)) {
            give_back(tables, id, now)?;
        }
    }
    Ok(Answer::Noted)
}

/// Takes a lease away.
fn give_back(tables: &mut Tables<'_>, id: u64, now: u64) -> Result<(), redb::Error> {
    match tables.get(id)? {
        Some(old) => {
            let new = Record { state: State::Waiting(now), ..old.clone() };
            tables.replace(id, Some(&old), Some(new))
        }
        None => Ok(()),
    }
}

/// A job, if this attempt still has it.
fn held(tables: &Tables<'_>, id: u64, attempt: u32) -> Result<Option<Record>, redb::Error> {
    let is_held = |record: &Record| matches!(record.state, State::Leased(_)) && record.attempt == attempt;
    Ok(tables.get(id)?.filter(is_held))
}

/// Ends an attempt; `None` is the end of the job.
fn end(
    tables: &mut Tables<'_>,
    id: u64,
    attempt: u32,
    become_: impl FnOnce(Record) -> Option<Record>,
) -> Result<Answer, redb::Error> {
    let Some(old) = held(tables, id, attempt)? else { return Ok(Answer::Unknown) };
    tables.replace(id, Some(&old), become_(old.clone()))?;
    Ok(Answer::Noted)
}

/// Changes a dead job.
fn of_dead(
    tables: &mut Tables<'_>,
    id: u64,
    become_: impl FnOnce(Record) -> Option<Record>,
) -> Result<Answer, redb::Error> {
    let Some(old) = tables.get(id)?.filter(|record| record.state == State::Dead) else {
        return Ok(Answer::Unknown);
    };
    tables.replace(id, Some(&old), become_(old.clone()))?;
    Ok(Answer::Noted)
}

/// Why a file cannot be used, for the operator.
pub(super) fn reason(error: &redb::Error) -> String {
    match error {
        redb::Error::DatabaseAlreadyOpen => "another process uses it".to_owned(),
        redb::Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock => {
            "another process uses it".to_owned()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
