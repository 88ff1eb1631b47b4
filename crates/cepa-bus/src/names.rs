//! Names and what stands under them, bounded in number and forgotten when nobody would miss it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::locked;

/// Why a name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Names have 1 to 256 bytes and no control characters.
    #[error("a name has 1 to {} bytes and no control characters", Names::<()>::LONGEST)]
    Malformed,
    /// All names that the limits allow are in use.
    #[error("there are {0} names already, and all are in use")]
    TooMany(usize),
}

/// Something with a name.
pub(crate) trait Named {
    /// Whether it is as if just made, so that nobody would miss it.
    fn is_spent(&self) -> bool;

    /// Whether it may be forgotten for want of room, while no handle to it exists.
    fn may_go(&self) -> bool {
        self.is_spent()
    }
}

impl Named for () {
    fn is_spent(&self) -> bool {
        true
    }
}

/// The full name of something: the app whose namespace it is in, and its name there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) app: Arc<str>,
    pub(crate) name: Arc<str>,
}

/// All that is of one kind.
#[derive(Debug)]
pub(crate) struct Names<V> {
    map: Mutex<Map<V>>,
    limit: usize,
}

#[derive(Debug)]
struct Map<V> {
    entries: HashMap<Key, Arc<V>>,
    /// The size at which what is spent is looked for.
    sweep_at: usize,
    /// When all names were found to be in use.
    full_since: Option<Instant>,
}

impl<V: Named> Names<V> {
    const LONGEST: usize = 256;
    const FIRST_SWEEP: usize = 64;
    /// How long a search for room that found none stands: a flood of names must not buy one search each.
    const PAUSE: Duration = Duration::from_secs(1);

    pub(crate) fn new(limit: usize) -> Self {
        let map = Map { entries: HashMap::new(), sweep_at: Self::FIRST_SWEEP.min(limit), full_since: None };
        Self { map: Mutex::new(map), limit }
    }

    /// What has this name, made if there is nothing.
    pub(crate) fn open(
        &self,
        app: &Arc<str>,
        name: &str,
        make: impl FnOnce(Key) -> V,
    ) -> Result<Arc<V>, NameError> {
        check(name)?;
        let key = Key { app: Arc::clone(app), name: name.into() };
        // Dropped after the lock: what is swept may be large, and the values in it are the app's.
        let mut swept = Vec::new();
        let mut map = locked(&self.map);
        if let Some(present) = map.entries.get(&key)
            && !(Arc::strong_count(present) == 1 && present.is_spent())
        {
            return Ok(Arc::clone(present));
        }
        if !map.entries.contains_key(&key) {
            map.make_room(self.limit, &mut swept)?;
        }
        let made = Arc::new(make(key.clone()));
        swept.extend(map.entries.insert(key, Arc::clone(&made)));
        drop(map);
        Ok(made)
    }

    /// Everything, in the order of names.
    pub(crate) fn all(&self) -> Vec<Arc<V>> {
        let mut all: Vec<_> =
            locked(&self.map).entries.iter().map(|(key, value)| (key.clone(), Arc::clone(value))).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all.into_iter().map(|(_, value)| value).collect()
    }
}

impl<V: Named> Map<V> {
    fn make_room(&mut self, limit: usize, swept: &mut Vec<Arc<V>>) -> Result<(), NameError> {
        if self.entries.len() < self.sweep_at {
            return Ok(());
        }
        let is_full = self.entries.len() >= limit;
        if is_full && self.full_since.is_some_and(|since| since.elapsed() < Names::<V>::PAUSE) {
            return Err(NameError::TooMany(limit));
        }
        // Handles are cloned from here, under the lock, or from other handles: where there is none, none can appear.
        let goes = |value: &mut Arc<V>| {
            Arc::strong_count(value) == 1 && if is_full { value.may_go() } else { value.is_spent() }
        };
        swept.extend(self.entries.extract_if(|_, value| goes(value)).map(|(_, value)| value));
        self.sweep_at = (self.entries.len() * 2).max(Names::<V>::FIRST_SWEEP).min(limit);
        let still_full = self.entries.len() >= limit;
        self.full_since = still_full.then(Instant::now);
        if still_full { Err(NameError::TooMany(limit)) } else { Ok(()) }
    }
}

pub(crate) fn check(name: &str) -> Result<(), NameError> {
    let sound = (1..=Names::<()>::LONGEST).contains(&name.len()) && !name.chars().any(char::is_control);
    if sound { Ok(()) } else { Err(NameError::Malformed) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Thing(AtomicBool);

    impl Named for Thing {
        fn is_spent(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn open(names: &Names<Thing>, name: &str, spent: bool) -> Result<Arc<Thing>, NameError> {
        names.open(&"app".into(), name, |_| Thing(AtomicBool::new(spent)))
    }

    #[test]
    fn one_name_is_one_thing() {
        let names = Names::new(10);
        let (a, b) = (open(&names, "a", false).unwrap(), open(&names, "a", false).unwrap());
        assert!(Arc::ptr_eq(&a, &b));
        let other = names.open(&"other".into(), "a", |_| Thing(AtomicBool::new(false))).unwrap();
        assert!(!Arc::ptr_eq(&a, &other), "another app has names of its own");
    }

    #[test]
    fn what_is_spent_makes_room_and_what_is_held_stays() {
        let names = Names::new(100);
        let held = open(&names, "held", true).unwrap();
        for number in 0..10_000 {
            open(&names, &number.to_string(), true).unwrap();
            assert!(names.all().len() <= 100);
        }
        assert!(Arc::ptr_eq(&held, &open(&names, "held", true).unwrap()));
    }

    #[test]
    fn a_flood_of_names_in_use_ends_at_the_limit() {
        let names = Names::new(100);
        let count = (0..10_000).filter(|number| open(&names, &number.to_string(), false).is_ok()).count();
        assert_eq!(count, 100);
        assert!(open(&names, "0", false).is_ok(), "those that are there still are");
    }

    #[test]
    fn names_are_short_and_printable() {
        let long = "x".repeat(257);
        for name in ["", "a\nb", "a\0b", &long] {
            assert_eq!(check(name), Err(NameError::Malformed));
        }
        assert_eq!(check("räume/lobby 1"), Ok(()));
    }
}
