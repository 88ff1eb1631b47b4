//! Nonces that the server has made, and which of their numbers were used.
//!
//! A nonce says when it was made and carries a keyed hash that proves it, so that nothing is kept for challenges that
//! nobody answers. What is kept is which numbers of a nonce were used, from its first use to its end.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::time::Instant;

use super::digest::{Hash, hex};

/// The nonces of one layer, for all worker threads.
pub(super) struct Nonces {
    key: Hmac<Sha256>,
    /// Time is counted from here; no clock that is set can change it.
    started: Instant,
    life: u64,
    most: usize,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    numbers: BTreeMap<Stamp, Numbers>,
    /// Nonces up to this one were forgotten: nobody knows which of their numbers were used.
    forgotten: Option<Stamp>,
}

/// When a nonce was made, in milliseconds from the start, and what tells it from others of that time.
type Stamp = (u64, u64);

/// What became of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// It was not used before.
    Fresh,
    /// It was, or cannot be.
    Stale,
}

impl Nonces {
    pub(super) fn new(life: Duration, most: usize) -> Self {
        let key = Hmac::new_from_slice(&random::<32>()).expect("a key of HMAC has any length");
        let life = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        Self { key, started: Instant::now(), life, most: most.max(1), used: Mutex::default() }
    }

    /// A new nonce: 64 hexadecimal digits.
    pub(super) fn make(&self) -> String {
        let stamp = (self.now(), u64::from_be_bytes(random()));
        String::from_utf8_lossy(&self.text(stamp)).into_owned()
    }

    /// Takes a number of a nonce.
    pub(super) fn take(&self, nonce: &str, number: u32) -> Freshness {
        let Some(stamp) = self.stamp(nonce) else { return Freshness::Stale };
        let now = self.now();
        if self.has_ended(stamp.0, now) {
            return Freshness::Stale;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.make_room(&stamp, self.most, |made| self.has_ended(made, now));
        if used.forgotten.is_some_and(|forgotten| stamp <= forgotten) {
            return Freshness::Stale;
        }
        used.numbers.entry(stamp).or_default().take(number)
    }

    fn has_ended(&self, made: u64, now: u64) -> bool {
        now.saturating_sub(made) >= self.life
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// The stamp of a nonce that was made here.
    fn stamp(&self, nonce: &str) -> Option<Stamp> {
        let part = |from, to| u64::from_str_radix(nonce.get(from..to)?, 16).ok();
        let stamp = (part(0, 16)?, part(16, 32)?);
        let is_ours: bool = subtle::ConstantTimeEq::ct_eq(&self.text(stamp)[..], nonce.as_bytes()).into();
        is_ours.then_some(stamp)
    }

    /// The digits of a stamp, and 128 bits of the keyed hash of it.
    fn text(&self, stamp: Stamp) -> Hash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&stamp.0.to_be_bytes());
        bytes[8..16].copy_from_slice(&stamp.1.to_be_bytes());
        let mut mac = self.key.clone();
        mac.update(&bytes[..16]);
        bytes[16..].copy_from_slice(&mac.finalize().into_bytes()[..16]);
        hex(&bytes)
    }
}

impl Used {
    /// Forgets nonces that have ended, and the oldest if there are too many beside this one.
    fn make_room(&mut self, stamp: &Stamp, most: usize, has_ended: impl Fn(u64) -> bool) {
        while let Some(oldest) = self.numbers.first_entry() {
            if !has_ended(oldest.key().0) {
                break;
            }
            oldest.remove();
        }
        if self.numbers.len() >= most
            && !self.numbers.contains_key(stamp)
            && let Some((forgotten, _)) = self.numbers.pop_first()
        {
            self.forgotten = self.forgotten.max(Some(forgotten));
        }
    }
}

/// Which numbers were used: the highest, and those of the 64 up to it.
#[derive(Default)]
struct Numbers {
    highest: u32,
    /// The lowest bit is the highest number.
    used: u64,
}

impl Numbers {
    fn take(&mut self, number: u32) -> Freshness {
        if number > self.highest {
            self.used = self.used.checked_shl(number - self.highest).unwrap_or(0) | 1;
            self.highest = number;
            return Freshness::Fresh;
        }
        let behind = self.highest - number;
        // Numbers begin at 1.
        if number == 0 || behind >= 64 || self.used >> behind & 1 == 1 {
            return Freshness::Stale;
        }
        self.used |= 1 << behind;
        Freshness::Fresh
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("a system without randomness serves nothing");
    bytes
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonces")
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Freshness::{Fresh, Stale},
        *,
    };
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[tokio::test(start_paused = true)]
    async fn a_nonce_lives_for_its_time() {
        let nonces = Nonces::new(Duration::from_secs(10), 100);
        let nonce = nonces.make();
        assert_eq!(nonce.len(), 64);
        assert_eq!((nonces.take(&nonce, 1), nonces.take(&nonce, 1)), (Fresh, Stale));
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert_eq!(nonces.take(&nonce, 2), Fresh);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(nonces.take(&nonce, 3), Stale);
    }

    #[test]
    fn only_own_nonces_are_taken() {
        let nonces = Nonces::new(Duration::from_secs(10), 100);
        let nonce = nonces.make();
        let other = Nonces::new(Duration::from_secs(10), 100).make();
        let mut forged = nonce.clone().into_bytes();
        forged[20] = if forged[20] == b'0' { b'1' } else { b'0' };
        let forged = String::from_utf8(forged).unwrap();
        for bad in [&other, &forged, "", &nonce[..63], &nonce.to_uppercase(), "é"] {
            if *bad != nonce {
                assert_eq!(nonces.take(bad, 1), Stale, "{bad}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_are_forgotten_and_stay_so() {
        let nonces = Nonces::new(Duration::from_secs(10), 2);
        let mut made = Vec::new();
        for _ in 0..3 {
            made.push(nonces.make());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        for nonce in &made {
            assert_eq!(nonces.take(nonce, 1), Fresh);
        }
        // Were it taken as new, what was sent with it could be sent again.
        assert_eq!(nonces.take(&made[0], 1), Stale);
        assert_eq!(nonces.take(&made[2], 2), Fresh);
        assert!(nonces.used.lock().unwrap().numbers.len() <= 2);
    }

    proptest! {
        #[test]
        fn no_number_is_taken_twice(given in proptest::collection::vec(0u32..200, 0..300)) {
            let mut numbers = Numbers::default();
            let mut taken = HashSet::new();
            let mut highest = 0;
            for number in given {
                let is_fresh = numbers.take(number) == Fresh;
                let expected = number > 0 && !taken.contains(&number) && number + 64 > highest;
                prop_assert_eq!(is_fresh, expected, "{} after {}", number, highest);
                if is_fresh {
                    taken.insert(number);
                    highest = highest.max(number);
                }
            }
        }

        #[test]
        fn never_panics(nonce in any::<String>(), number in any::<u32>(), next in any::<u32>()) {
            let nonces = Nonces::new(Duration::MAX, 0);
            prop_assert_eq!(nonces.take(&nonce, number), Stale);
            let mut numbers = Numbers::default();
            let _ = (numbers.take(number), numbers.take(next));
        }
    }
}
