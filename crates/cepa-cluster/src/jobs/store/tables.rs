//! The tables of a store, in one transaction.

use std::ops::RangeInclusive;

use redb::{ReadableTable as _, Table, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{ANSWER, DeadJob, JobCounts, JobId};

/// Jobs as JSON.
const JOBS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("jobs");
/// Those that wait: kind, when due, number.
const WAITING: TableDefinition<'_, (&str, u64, u64), ()> = TableDefinition::new("waiting");
/// Those that are worked on: until when, number.
const LEASED: TableDefinition<'_, (u64, u64), ()> = TableDefinition::new("leased");
/// Those that have failed for good: kind, number.
const DEAD: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("dead");
/// How many of a kind wait, are worked on, are dead.
const COUNTS: TableDefinition<'_, &str, (u64, u64, u64)> = TableDefinition::new("counts");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// The key of the next number.
const NEXT: &str = "next";

/// A job as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) kind: String,
    pub(super) payload: String,
    /// When it was first due.
    pub(super) due: u64,
    pub(super) added: u64,
    pub(super) attempt: u32,
    /// Who has it, or had it last.
    #[serde(default)]
    pub(super) holder: u64,
    /// What the last attempt failed with.
    pub(super) error: String,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Until when.
    Waiting(u64),
    /// Until when.
    Leased(u64),
    Dead,
}

pub(super) struct Tables<'t> {
    pub(super) jobs: Table<'t, u64, &'static [u8]>,
    waiting: Table<'t, (&'static str, u64, u64), ()>,
    leased: Table<'t, (u64, u64), ()>,
    dead: Table<'t, (&'static str, u64), ()>,
    counts: Table<'t, &'static str, (u64, u64, u64)>,
    numbers: Table<'t, &'static str, u64>,
    /// Whether anything is to be written.
    pub(super) changed: bool,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            jobs: transaction.open_table(JOBS)?,
            waiting: transaction.open_table(WAITING)?,
            leased: transaction.open_table(LEASED)?,
            dead: transaction.open_table(DEAD)?,
            counts: transaction.open_table(COUNTS)?,
            numbers: transaction.open_table(NUMBERS)?,
            changed: false,
        })
    }

    pub(super) fn next_id(&mut self) -> Result<u64, redb::Error> {
        let next = self.numbers.get(NEXT)?.map_or(1, |next| next.value());
        self.numbers.insert(NEXT, next.saturating_add(1))?;
        Ok(next)
    }

    pub(super) fn get(&self, id: u64) -> Result<Option<Record>, redb::Error> {
        let Some(bytes) = self.jobs.get(id)? else { return Ok(None) };
        let record = serde_json::from_slice(bytes.value());
        record.map(Some).map_err(|error| redb::Error::Corrupted(format!("job {id}: {error}")))
    }

    /// Puts a job in the place of what it was; `None` is that it is not there.
    pub(super) fn replace(
        &mut self,
        id: u64,
        old: Option<&Record>,
        new: Option<Record>,
    ) -> Result<(), redb::Error> {
        self.changed = true;
        if let Some(old) = old {
            match old.state {
                State::Waiting(due) => drop(self.waiting.remove((&*old.kind, due, id))?),
                State::Leased(until) => drop(self.leased.remove((until, id))?),
                State::Dead => drop(self.dead.remove((&*old.kind, id))?),
            }
            self.count(old, |count| count.saturating_sub(1))?;
        }
        let Some(new) = new else {
            self.jobs.remove(id)?;
            return Ok(());
        };
        match new.state {
            State::Waiting(due) => drop(self.waiting.insert((&*new.kind, due, id), ())?),
            State::Leased(until) => drop(self.leased.insert((until, id), ())?),
            State::Dead => drop(self.dead.insert((&*new.kind, id), ())?),
        }
        self.count(&new, |count| count + 1)?;
        let bytes = serde_json::to_vec(&new).map_err(|error| redb::Error::Corrupted(error.to_string()))?;
        self.jobs.insert(id, &*bytes)?;
        Ok(())
    }

    fn count(&mut self, record: &Record, change: impl FnOnce(u64) -> u64) -> Result<(), redb::Error> {
        let kind = &*record.kind;
        let mut counts = self.counts.get(kind)?.map_or((0, 0, 0), |counts| counts.value());
        let count = match record.state {
            State::Waiting(_) => &mut counts.0,
            State::Leased(_) => &mut counts.1,
            State::Dead => &mut counts.2,
        };
        *count = change(*count);
        match counts {
            (0, 0, 0) => drop(self.counts.remove(kind)?),
            counts => drop(self.counts.insert(kind, counts)?),
        }
        Ok(())
    }

    /// Leases that end at these times.
    pub(super) fn leased(&self, until: RangeInclusive<u64>) -> Result<Vec<u64>, redb::Error> {
        let leases = self.leased.range((*until.start(), 0)..=(*until.end(), u64::MAX))?;
        leases.map(|lease| Ok(lease?.0.value().1)).collect()
    }

    /// The first of a kind that are due.
    pub(super) fn due(&self, kind: &str, now: u64, most: usize) -> Result<Vec<u64>, redb::Error> {
        let due = self.waiting.range((kind, 0, 0)..=(kind, now, u64::MAX))?;
        due.take(most).map(|due| Ok(due?.0.value().2)).collect()
    }

    /// When something of these kinds is due after this time, or a lease ends.
    pub(super) fn next_due<'k>(
        &self,
        kinds: impl Iterator<Item = &'k str>,
        now: u64,
    ) -> Result<Option<u64>, redb::Error> {
        let mut first = self.leased.first()?.map(|(lease, _)| lease.value().0);
        for kind in kinds {
            let later =
                self.waiting.range((kind, now.saturating_add(1), 0)..=(kind, u64::MAX, u64::MAX))?.next();
            if let Some(later) = later.transpose()? {
                let due = later.0.value().1;
                first = Some(first.map_or(due, |first| first.min(due)));
            }
        }
        Ok(first)
    }

    pub(super) fn dead(
        &self,
        kind: &str,
        after: Option<JobId>,
        most: usize,
    ) -> Result<Vec<DeadJob>, redb::Error> {
        let from = after.map_or(0, |JobId(id)| id.saturating_add(1));
        let (mut all, mut bytes) = (Vec::new(), 0);
        for dead in self.dead.range((kind, from)..=(kind, u64::MAX))?.take(most) {
            if bytes >= ANSWER {
                break;
            }
            let id = dead?.0.value().1;
            if let Some(Record { kind, payload, added, attempt, error, .. }) = self.get(id)? {
                bytes += payload.len() + error.len();
                all.push(DeadJob { id: JobId(id), kind, payload, added, attempts: attempt, error });
            }
        }
        Ok(all)
    }

    pub(super) fn counts(&self) -> Result<Vec<JobCounts>, redb::Error> {
        let counts = self.counts.iter()?.map(|entry| {
            let (kind, counts) = entry?;
            let (waiting, running, dead) = counts.value();
            Ok(JobCounts { kind: kind.value().to_owned(), waiting, running, dead })
        });
        counts.collect()
    }
}
