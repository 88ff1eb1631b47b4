//! When a file is rolled, and what becomes of the old ones; decides, and touches nothing.

pub(crate) mod names;
#[cfg(test)]
mod tests;

use jiff::{ToSpan, civil::Date};

use self::names::Names;
use crate::{date::Stamp, time::Moment};

/// The rules by which a file and those before it are kept.
#[derive(Clone, Debug)]
pub(crate) struct Rotation {
    pub(crate) names: Names,
    /// Bytes from which on a file is rolled.
    pub(crate) max_size: Option<u64>,
    /// Old files that are kept.
    pub(crate) backups: usize,
    /// Days for which an old file is kept, by the date in its name.
    pub(crate) max_days: Option<u32>,
}

/// What is to be done in the folder of the files, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Delete(String),
    /// Gives a file another name. What is there already under that name comes first in it.
    Move(String, String),
    /// Compresses a file into another, and deletes it. What is there already comes first.
    Pack(String, String),
}

/// An old file, as it will be.
struct Old {
    /// Its name now.
    source: String,
    /// What it will be called, without what says that it is compressed.
    target: String,
    stamp: Stamp,
    index: u32,
    packed: bool,
}

impl Rotation {
    /// The name of the file that is written to in a period.
    pub(crate) fn live(&self, period: Option<&str>) -> String {
        self.names.name(period, 0)
    }

    /// The period of a moment, which is its date; `None` if files are rolled by size alone.
    pub(crate) fn period(&self, moment: &Moment) -> Option<String> {
        self.names.date.as_ref().map(|date| date.text(moment))
    }

    /// Whether a file of that size must be rolled before more is written to it.
    pub(crate) fn is_full(&self, size: u64) -> bool {
        self.max_size.is_some_and(|max| size >= max)
    }

    /// What rolls the live file of a period, and then keeps what is to be kept. `found` is what is in the folder.
    pub(crate) fn roll(&self, period: Option<&str>, found: &[String], now: &Moment) -> Vec<Step> {
        let live = self.live(period);
        let mut old = self.old(found, &live);
        // Without a live file a roll that failed half way has moved it already: moving on would only lose the oldest.
        let shifts = found.contains(&live) && (self.names.has_index || period.is_none());
        if shifts {
            for file in old.iter_mut().filter(|file| self.is_of(&file.source, period)) {
                file.index = file.index.saturating_add(1);
                file.target = self.names.name(period, file.index);
            }
        }
        if found.contains(&live) {
            let stamp = period.zip(self.names.date.as_ref()).and_then(|(text, date)| date.read(text));
            let stamp = stamp.map_or_else(Stamp::default, |(stamp, _)| stamp);
            let target = self.names.name(period, 1);
            old.push(Old { source: live, target, stamp, index: u32::from(shifts), packed: false });
        }
        self.keep(old, now)
    }

    /// What brings the old files into order when the live one stays.
    pub(crate) fn tidy(&self, period: Option<&str>, found: &[String], now: &Moment) -> Vec<Step> {
        self.keep(self.old(found, &self.live(period)), now)
    }

    /// The old files among what is found.
    fn old(&self, found: &[String], live: &str) -> Vec<Old> {
        let names = found.iter().filter(|name| *name != live);
        let old = names.filter_map(|name| {
            let read = self.names.read(name)?;
            let target = name.strip_suffix(names::PACKED).filter(|_| read.packed).unwrap_or(name).to_owned();
            let (stamp, index, packed) = (read.stamp, read.index, read.packed);
            Some(Old { source: name.clone(), target, stamp, index, packed })
        });
        old.collect()
    }

    /// Whether a name is that of an old file of the period.
    fn is_of(&self, name: &str, period: Option<&str>) -> bool {
        self.names.read(name).is_some_and(|read| read.date == period)
    }

    /// Deletes what is too much or too old, and gives the rest their names.
    fn keep(&self, mut old: Vec<Old>, now: &Moment) -> Vec<Step> {
        // The newest first. The sort is stable, so that of those of one name the live one stays the last.
        old.sort_by(|a, b| b.stamp.cmp(&a.stamp).then(a.index.cmp(&b.index)).then(b.packed.cmp(&a.packed)));
        let mut steps = Vec::new();
        let mut kept: Vec<Old> = Vec::new();
        let mut count = 0;
        for file in old {
            // Of one name, compressed or not, they are the parts of one old file.
            let is_part = kept.last().is_some_and(|last| last.target == file.target);
            if (!is_part && count >= self.backups) || self.is_too_old(file.stamp, now) {
                steps.push(Step::Delete(file.source));
            } else {
                count += usize::from(!is_part);
                kept.push(file);
            }
        }
        // The highest number first, so that each finds its new name free.
        for file in kept.iter().rev() {
            let suffix = if file.packed { names::PACKED } else { "" };
            let target = [&file.target, suffix].concat();
            if file.source != target {
                steps.push(Step::Move(file.source.clone(), target));
            }
        }
        if self.names.compress {
            kept.retain(|file| !file.packed);
            kept.dedup_by(|next, file| next.target == file.target);
            for file in kept {
                let packed = [&file.target, names::PACKED].concat();
                steps.push(Step::Pack(file.target, packed));
            }
        }
        steps
    }

    /// Whether the date of a file is too long ago.
    fn is_too_old(&self, stamp: Stamp, now: &Moment) -> bool {
        let (Some(days), Some(date)) = (self.max_days, &self.names.date) else { return false };
        let first = now.civil.date().checked_sub(i64::from(days).days()).unwrap_or(Date::MIN);
        let mut first = date.stamp(first.into());
        // Of the day of the limit all is kept.
        first[3..].fill(0);
        stamp < first
    }
}
