//! Many files, chosen by what an event says: one for each user, one for each category.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Clock, Fault, Sink,
    file::{Place, RollingFile},
};
use crate::{
    queue::Batch,
    roll::{Rotation, names::Names},
};

/// Files that are open at one time.
const MOST_OPEN: usize = 64;
/// Bytes of a key in the name of a file.
const LONGEST: usize = 120;
/// The file of all keys for which there is none; no key has this name, since `~` is written otherwise.
const OTHER: &str = "~other";

/// See the module.
pub(crate) struct Files {
    /// The folder, and the rules for each of the files.
    place: Place,
    extension: String,
    /// How many files there may be.
    most: usize,
    /// How long a file stays open that nobody writes to.
    timeout: Duration,
    clock: Clock,
    known: HashSet<String>,
    open: HashMap<String, Open>,
}

struct Open {
    file: RollingFile,
    used: Instant,
}

impl Files {
    pub(crate) fn new(place: Place, extension: &str, most: usize, timeout: Duration, clock: Clock) -> Self {
        let extension = extension.to_owned();
        Self { place, extension, most, timeout, clock, known: HashSet::new(), open: HashMap::new() }
    }

    /// The file of a key, open.
    fn file(&mut self, key: Option<&str>) -> Result<&mut RollingFile, Fault> {
        let mut stem = key.and_then(stem).unwrap_or_else(|| OTHER.to_owned());
        if !self.known.contains(&stem) && self.known.len() >= self.most {
            stem = OTHER.to_owned();
        }
        self.known.insert(stem.clone());
        if !self.open.contains_key(&stem) {
            self.make_room();
            let file = RollingFile::open(self.place_of(&stem), (self.clock)()).map_err(|error| {
                let path = self.place.folder.join([&stem, self.extension.as_str()].concat());
                Fault { what: format!("{} cannot be opened", path.display()), error, lost: 0 }
            })?;
            self.open.insert(stem.clone(), Open { file, used: Instant::now() });
        }
        let open = self.open.get_mut(&stem).expect("it has been opened");
        open.used = Instant::now();
        Ok(&mut open.file)
    }

    fn place_of(&self, stem: &str) -> Place {
        let names = &self.place.rotation.names;
        let names = Names { stem: stem.to_owned(), extension: self.extension.clone(), ..names.clone() };
        let rotation = Arc::new(Rotation { names, ..(*self.place.rotation).clone() });
        Place { rotation, ..self.place.clone() }
    }

    /// Closes the file that was not used for longest, if as many are open as may be.
    fn make_room(&mut self) {
        if self.open.len() < MOST_OPEN {
            return;
        }
        let oldest = self.open.iter().min_by_key(|(_, open)| open.used).map(|(stem, _)| stem.clone());
        if let Some(stem) = oldest {
            self.open.remove(&stem);
        }
    }
}

impl Sink for Files {
    fn write(&mut self, batch: &Batch) -> Result<(), Fault> {
        let mut result = Ok(());
        let mut start = 0;
        for lines in batch.lines.chunk_by(|one, next| one.key == next.key) {
            let end = lines.last().map_or(start, |line| line.end);
            let key = lines.first().and_then(|line| line.key.as_deref());
            let written = match self.file(key) {
                Ok(file) => file.write_lines(&batch.bytes, start, lines),
                Err(fault) => Err(Fault { lost: lines.len() as u64, ..fault }),
            };
            if let Err(fault) = written {
                let before = result.err().map_or(0, |fault: Fault| fault.lost);
                result = Err(Fault { lost: before + fault.lost, ..fault });
            }
            start = end;
        }
        self.open.retain(|_, open| open.used.elapsed() < self.timeout);
        result
    }

    fn reopen(&mut self) -> Result<(), Fault> {
        // Each is opened anew with its next line.
        self.open.clear();
        Ok(())
    }

    fn patience(&self) -> Option<Duration> {
        (!self.open.is_empty()).then_some(self.timeout)
    }
}

/// The name of the file of a key, without its extension. Only letters, digits, `-`, `_` and, after the first, `.`
/// stand for themselves, all else is `%` and two digits: no key leads out of the folder, and no two have one file.
/// `None` if it is empty, or too long for a name.
fn stem(key: &str) -> Option<String> {
    let mut stem = String::new();
    for (at, byte) in key.bytes().enumerate() {
        match byte {
            b'-' | b'_' => stem.push(byte.into()),
            b'.' if at > 0 => stem.push('.'),
            byte if byte.is_ascii_alphanumeric() => stem.push(byte.into()),
            byte => {
                stem.push('%');
                for digit in [byte >> 4, byte & 15] {
                    stem.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
                }
            }
        }
        if stem.len() > LONGEST {
            return None;
        }
    }
    Some(stem).filter(|stem| !stem.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn path_traversal() {
        for (key, name) in [
            ("tj", Some("tj")),
            ("app.users", Some("app.users")),
            ("..", Some("%2e.")),
            ("../../etc/passwd", Some("%2e.%2f..%2fetc%2fpasswd")),
            ("/etc/passwd", Some("%2fetc%2fpasswd")),
            ("a\\b\0c", Some("a%5cb%00c")),
            (".hidden", Some("%2ehidden")),
            ("~other", Some("%7eother")),
            ("é%", Some("%c3%a9%25")),
            ("", None),
        ] {
            assert_eq!(stem(key).as_deref(), name, "{key:?}");
        }
        assert_eq!(stem(&"a".repeat(121)), None);
        assert_eq!(stem(&"/".repeat(1 << 20)), None);
    }

    proptest! {
        #[test]
        fn no_two_keys_have_one_file(one: String, other: String) {
            if let (Some(a), Some(b)) = (stem(&one), stem(&other)) {
                prop_assert_eq!(a == b, one == other);
                prop_assert!(!a.contains('/') && !a.starts_with('.'));
            }
        }
    }
}
