//! Names and what stands under them, bounded in number and forgotten when nobody would miss it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use crate::locked;

/// Why a name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Names have 1 to 256 bytes and no control characters.
    #[error("a name has 1 to {} bytes and no control characters", Names::<()>::LONGEST)]
    Malformed,
    /// The name of a queue has no `#`: after one comes the name of a [room](crate::Queue::room).
    #[error("the name of a queue has no `#`; a room is opened by Queue::room")]
    Room,
    /// All names that the limits allow are in use.
    #[error("there are {0} names already, and all are in use")]
    TooMany(usize),
}

/// Something with a name.
pub(crate) trait Named {
    /// Whether it is as if just made, so that nobody would miss it.
    fn is_spent(&self) -> bool;

    /// Since when nobody uses what is not spent, if it may be forgotten for want of room; those that were used last go
    /// last.
    fn idle_since(&self) -> Option<Instant> {
        None
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
    /// No search for room before that.
    rest_until: Option<Instant>,
    /// When what is spent was last looked for.
    swept_at: Instant,
}

impl<V: Named> Names<V> {
    const LONGEST: usize = 256;
    const FIRST_SWEEP: usize = 64;
    /// A search that makes room by what is idle makes it for this part of all names, so that the next is far.
    const ROOM: usize = 16;
    /// After a search of all names, so many times its length nobody searches: whoever floods buys no more of the time than
    /// that, and others wait no longer than it takes.
    const REST: u32 = 9;
    /// What is spent is looked for at least so often, while names are opened.
    const SWEEP: Duration = Duration::from_secs(60);

    pub(crate) fn new(limit: usize) -> Self {
        let sweep_at = Self::FIRST_SWEEP.min(limit);
        let map = Map { entries: HashMap::new(), sweep_at, rest_until: None, swept_at: Instant::now() };
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
        if map.swept_at.elapsed() >= Self::SWEEP {
            map.sweep(&mut swept);
        }
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

    /// What `pick` makes of each, and of whether somebody has a handle to it.
    pub(crate) fn collect<T>(&self, mut pick: impl FnMut(&Arc<V>, bool) -> Option<T>) -> Vec<T> {
        let map = locked(&self.map);
        map.entries.values().filter_map(|value| pick(value, Arc::strong_count(value) > 1)).collect()
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
        let started = Instant::now();
        if is_full && self.rest_until.is_some_and(|until| started < until) {
            return Err(NameError::TooMany(limit));
        }
        self.sweep(swept);
        if self.entries.len() >= limit {
            self.forget_idle(limit / Names::<V>::ROOM + 1, swept);
        }
        self.sweep_at = (self.entries.len() * 2).max(Names::<V>::FIRST_SWEEP).min(limit);
        if is_full {
            let ended = Instant::now();
            self.rest_until = ended.checked_add((ended - started) * Names::<V>::REST);
        }
        if self.entries.len() >= limit { Err(NameError::TooMany(limit)) } else { Ok(()) }
    }

    /// Forgets what is spent. Handles are cloned from here, under the lock, or from other handles: where there is none,
    /// none can appear.
    fn sweep(&mut self, swept: &mut Vec<Arc<V>>) {
        let spent = |value: &mut Arc<V>| Arc::strong_count(value) == 1 && value.is_spent();
        swept.extend(self.entries.extract_if(|_, value| spent(value)).map(|(_, value)| value));
        self.swept_at = Instant::now();
    }

    /// Forgets so many of those that may be, the longest idle first.
    fn forget_idle(&mut self, count: usize, swept: &mut Vec<Arc<V>>) {
        let unused = self.entries.iter().filter(|(_, value)| Arc::strong_count(value) == 1);
        let mut idle: Vec<_> =
            unused.filter_map(|(key, value)| Some((value.idle_since()?, key.clone()))).collect();
        if idle.len() > count {
            idle.select_nth_unstable(count);
            idle.truncate(count);
        }
        swept.extend(idle.iter().filter_map(|(_, key)| self.entries.remove(key)));
    }
}

pub(crate) fn check(name: &str) -> Result<(), NameError> {
    let sound = (1..=Names::<()>::LONGEST).contains(&name.len()) && !name.chars().any(char::is_control);
    if sound { Ok(()) } else { Err(NameError::Malformed) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    /// Asked so often whether it is spent.
    static ASKED: AtomicUsize = AtomicUsize::new(0);

    enum Thing {
        Spent,
        InUse,
        Idle(Instant),
        Flood,
    }

    impl Named for Thing {
        fn is_spent(&self) -> bool {
            if matches!(self, Self::Flood) {
                ASKED.fetch_add(1, Relaxed);
            }
            matches!(self, Self::Spent)
        }

        fn idle_since(&self) -> Option<Instant> {
            if let Self::Idle(since) = self { Some(*since) } else { None }
        }
    }

    fn open(names: &Names<Thing>, name: &str, thing: Thing) -> Result<Arc<Thing>, NameError> {
        names.open(&"app".into(), name, |_| thing)
    }

    #[test]
    fn one_name_is_one_thing() {
        let names = Names::new(10);
        let (a, b) = (open(&names, "a", Thing::InUse).unwrap(), open(&names, "a", Thing::InUse).unwrap());
        assert!(Arc::ptr_eq(&a, &b));
        let other = names.open(&"other".into(), "a", |_| Thing::InUse).unwrap();
        assert!(!Arc::ptr_eq(&a, &other), "another app has names of its own");
    }

    #[test]
    fn what_is_spent_makes_room_and_what_is_held_stays() {
        let names = Names::new(100);
        let held = open(&names, "held", Thing::Spent).unwrap();
        for number in 0..10_000 {
            open(&names, &number.to_string(), Thing::Spent).unwrap();
            assert!(names.all().len() <= 100);
        }
        assert!(Arc::ptr_eq(&held, &open(&names, "held", Thing::Spent).unwrap()));
    }

    #[test]
    fn a_flood_of_names_in_use_ends_at_the_limit() {
        let names = Names::new(100);
        let count =
            (0..10_000).filter(|number| open(&names, &number.to_string(), Thing::InUse).is_ok()).count();
        assert_eq!(count, 100);
        assert!(open(&names, "0", Thing::InUse).is_ok(), "those that are there still are");
    }

    #[test]
    fn a_flood_buys_no_search_each_time() {
        const FLOOD: usize = 100_000;
        let names = Names::new(1000);
        let started = Instant::now();
        let refused = (0..FLOOD).filter(|n| open(&names, &n.to_string(), Thing::Flood).is_err()).count();
        assert_eq!(refused, FLOOD - 1000);
        // A search each would be a hundred million questions.
        assert!(ASKED.load(Relaxed) < FLOOD * 100, "{} in {:?}", ASKED.load(Relaxed), started.elapsed());
    }

    #[tokio::test]
    async fn room_that_appears_is_found_without_a_pause() {
        let names = Names::new(100);
        for number in 0..100 {
            open(&names, &number.to_string(), Thing::InUse).unwrap();
        }
        assert!(open(&names, "new", Thing::InUse).is_err());
        locked(&names.map).entries.values_mut().next().map(|thing| *thing = Arc::new(Thing::Spent)).unwrap();
        let started = Instant::now();
        while open(&names, "new", Thing::InUse).is_err() {
            assert!(
                started.elapsed() < Duration::from_millis(500),
                "longer than any search of a hundred takes"
            );
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn the_longest_idle_go_first_and_not_all_at_once() {
        let names = Names::new(64);
        let now = Instant::now();
        for number in 0..64 {
            let since = now - Duration::from_secs(number % 8);
            open(&names, &number.to_string(), Thing::Idle(since)).unwrap();
        }
        let held = open(&names, "7", Thing::InUse).unwrap();
        open(&names, "new", Thing::InUse).unwrap();
        assert_eq!(names.all().len(), 64 - 5 + 1);
        let kept = locked(&names.map);
        let is_there = |number: u32| kept.entries.keys().any(|key| *key.name == number.to_string());
        assert_eq!((0..8).filter(|n| is_there(n * 8 + 7)).count(), 3, "eight were idle for seven seconds");
        assert!(is_there(7) && Arc::strong_count(&held) == 2, "one with a handle stays");
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
