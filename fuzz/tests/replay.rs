//! Calls every target with its committed seeds, with what random changes make of them, and with random bytes.

use std::{fs, path::PathBuf};

use cepa_fuzz::TARGETS;

/// Random inputs of each target.
const ROUNDS: usize = 2000;
/// Bytes of a long input: minutes for a target whose time is quadratic, an instant for one whose time is linear.
const LONG: usize = 1 << 18;

fn folder(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), path].iter().collect()
}

/// The files of a folder by name.
fn files(path: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut files: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry of a folder can be read").path();
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            (name, fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        })
        .collect();
    files.sort();
    files
}

/// A linear congruential generator: the same numbers in every run, without a dependency.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    /// A few bytes changed, taken out, doubled, or put in.
    fn change(&mut self, input: &mut Vec<u8>) {
        for _ in 0..1 + self.below(4) {
            let at = self.below(input.len() + 1);
            match self.below(4) {
                0 => input.insert(at, self.byte()),
                1 if at < input.len() => input[at] = self.byte(),
                2 if at < input.len() => drop(input.remove(at)),
                _ => {
                    let end = at + self.below(input.len() - at + 1);
                    input.extend_from_within(at..end);
                }
            }
        }
    }
}

#[test]
fn every_target_has_its_program_and_its_seeds() {
    let programs: Vec<_> = files("fuzz_targets").into_iter().map(|(name, _)| name).collect();
    let expected: Vec<_> = TARGETS.iter().map(|(name, _)| format!("{name}.rs")).collect();
    assert_eq!(programs, expected);
    for (name, _) in TARGETS {
        assert!(!files(&format!("seeds/{name}")).is_empty(), "{name} has no seeds");
    }
}

#[test]
fn seeds_and_their_neighbours_break_no_rule() {
    for (name, target) in TARGETS {
        let mut random = Random(7);
        let seeds = files(&format!("seeds/{name}"));
        for (_, seed) in &seeds {
            target(seed);
        }
        for round in 0..ROUNDS {
            let mut input = seeds[round % seeds.len()].1.clone();
            random.change(&mut input);
            target(&input);
        }
    }
}

#[test]
fn random_bytes_break_no_rule() {
    for (_, target) in TARGETS {
        let mut random = Random(11);
        for _ in 0..ROUNDS {
            let input: Vec<u8> = (0..random.below(200)).map(|_| random.byte()).collect();
            target(&input);
        }
    }
}

#[test]
fn long_inputs_take_linear_time() {
    for (_, target) in TARGETS {
        for pattern in [
            "a",
            ",",
            ";",
            "\"",
            "\\",
            "=",
            "&",
            "%",
            "+",
            " ",
            "a=1;",
            "a=1&",
            "a/b;q=1,",
            "\",\\",
            "1\r\na\r\n",
            "a: b\r\n",
            "\r",
            "\r\n--x",
        ] {
            target(&pattern.as_bytes().repeat(LONG / pattern.len()));
        }
    }
}
