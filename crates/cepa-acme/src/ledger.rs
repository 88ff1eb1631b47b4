//! Which certificates were asked for within the last hour: what bounds that, over restarts too.

use std::{
    collections::VecDeque,
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// As many failed validations of one name as Let's Encrypt lets an account have.
const MOST_FOR_A_NAME: usize = 5;

const HOUR: Duration = Duration::from_secs(3600);

/// Orders of the last hour, the oldest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger(VecDeque<(SystemTime, Box<str>)>);

impl Ledger {
    /// The ledger that a file holds, of which lines that are none, or in the future, are left out.
    pub(crate) fn read(text: &str, now: SystemTime) -> Self {
        let entry = |line: &str| {
            let (seconds, name) = line.split_once(' ')?;
            let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds.parse().ok()?))?;
            let is_recent = now.duration_since(time).is_ok_and(|age| age < HOUR);
            is_recent.then(|| (time, name.into()))
        };
        Self(text.lines().filter_map(entry).collect())
    }

    /// What a file is to hold.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (time, name) in &self.0 {
            let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let _ = writeln!(text, "{seconds} {name}");
        }
        text
    }

    /// Notes that a certificate for `name` is asked for.
    ///
    /// # Errors
    /// Not before the time that is given.
    pub(crate) fn note(&mut self, name: &str, now: SystemTime, most: usize) -> Result<(), SystemTime> {
        // The one that must be older than an hour before there may be another.
        let full = self.0.len().checked_sub(most).and_then(|at| self.0.get(at));
        let own: Vec<_> = self.0.iter().filter(|(_, of)| **of == *name).collect();
        let own_full = own.len().checked_sub(MOST_FOR_A_NAME).and_then(|at| own.get(at).copied());
        match full.into_iter().chain(own_full).map(|(time, _)| *time).max() {
            Some(time) => Err(time + HOUR),
            None => {
                self.0.push_back((now, name.into()));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn one_name_gets_five_an_hour_and_all_together_what_is_said() {
        let mut ledger = Ledger::default();
        for second in 0..5 {
            assert_eq!(ledger.note("a.test", at(100 + second), 7), Ok(()));
        }
        assert_eq!(ledger.note("a.test", at(105), 7), Err(at(3700)));
        assert_eq!(ledger.note("b.test", at(106), 7), Ok(()));
        assert_eq!(ledger.note("b.test", at(107), 7), Ok(()));
        assert_eq!(ledger.note("c.test", at(108), 7), Err(at(3700)));
        // With a restart between, and less allowed than before.
        let again = Ledger::read(&ledger.text(), at(200));
        assert_eq!(again, ledger);
        assert_eq!(Ledger::read(&ledger.text(), at(200)).note("c.test", at(200), 2), Err(at(106 + 3600)));
        let mut later = Ledger::read(&ledger.text(), at(3702));
        assert_eq!(later.text(), "103 a.test\n104 a.test\n106 b.test\n107 b.test\n");
        assert_eq!(later.note("a.test", at(3702), 7), Ok(()));
    }

    #[test]
    fn what_is_no_entry_is_left_out() {
        let text =
            "\n5\nx a.test\n-1 a.test\n18446744073709551615 a.test\n99 a.test\n 99 a.test\n4000 a.test\n";
        assert_eq!(Ledger::read(text, at(100)).text(), "99 a.test\n");
    }
}
