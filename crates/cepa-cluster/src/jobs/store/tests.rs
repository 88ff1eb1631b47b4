use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("data/jobs.redb"), 0).unwrap();
    (folder, store)
}

fn ask(store: &Store, ask: Ask) -> Answer {
    store.apply(vec![ask]).unwrap().remove(0)
}

fn add(store: &Store, kind: &str, due: u64) -> u64 {
    let add = Ask::Add { kind: kind.to_owned(), payload: format!("\"{kind}\""), due, now: 0, most: 100 };
    match ask(store, add) {
        Answer::Added(JobId(id)) => id,
        other => panic!("{other:?}"),
    }
}

fn take(store: &Store, kinds: &[(&str, usize)], now: u64, until: u64) -> (Vec<(u64, u32)>, Option<u64>) {
    let slots =
        kinds.iter().map(|&(kind, free)| Slots { kind: kind.to_owned(), free, attempts: 3 }).collect();
    match ask(store, Ask::Take { slots, holder: 1, now, until }) {
        Answer::Taken { jobs, next } => (jobs.iter().map(|job| (job.id, job.attempt)).collect(), next),
        other => panic!("{other:?}"),
    }
}

fn counts(store: &Store) -> Vec<(String, u64, u64, u64)> {
    let Answer::Counts(counts) = ask(store, Ask::Count) else { panic!() };
    counts.into_iter().map(|counts| (counts.kind, counts.waiting, counts.running, counts.dead)).collect()
}

#[test]
fn jobs_are_taken_when_due_the_first_first_and_each_by_one() {
    let (_folder, store) = open();
    let (late, first, other) = (add(&store, "a", 50), add(&store, "a", 10), add(&store, "b", 10));
    assert_eq!(take(&store, &[("a", 9)], 9, 100), (vec![], Some(10)));
    assert_eq!(take(&store, &[("a", 9)], 10, 100), (vec![(first, 1)], Some(50)));
    assert_eq!(take(&store, &[("a", 9), ("b", 0)], 50, 100), (vec![(late, 1)], Some(100)));
    assert_eq!(take(&store, &[("b", 9), ("a", 9)], 51, 100), (vec![(other, 1)], Some(100)));
    assert_eq!(counts(&store), [("a".to_owned(), 0, 2, 0), ("b".to_owned(), 0, 1, 0)]);
    for id in [late, first, other] {
        assert_eq!(ask(&store, Ask::Done { id, attempt: 1 }), Answer::Noted);
        assert_eq!(ask(&store, Ask::Done { id, attempt: 1 }), Answer::Unknown);
    }
    assert_eq!(counts(&store), []);
    assert_eq!(take(&store, &[("a", 9), ("b", 9)], 99, 100), (vec![], None));
}

#[test]
fn a_lease_that_ends_is_given_to_another_and_its_first_holder_cannot_end_the_job() {
    let (_folder, store) = open();
    let id = add(&store, "a", 0);
    assert_eq!(take(&store, &[("a", 1)], 0, 100).0, [(id, 1)]);
    let extend = |attempt, until| ask(&store, Ask::Extend { leases: vec![(id, attempt)], now: 0, until });
    assert_eq!(extend(1, 200), Answer::Lost(vec![]));
    assert_eq!(take(&store, &[("a", 1)], 150, 300).0, []);
    assert_eq!(take(&store, &[("a", 1)], 200, 300).0, [(id, 2)]);
    assert_eq!(extend(1, 400), Answer::Lost(vec![id]));
    assert_eq!(ask(&store, Ask::Done { id, attempt: 1 }), Answer::Unknown);
    assert_eq!(take(&store, &[("a", 1)], 300, 400).0, [(id, 3)]);
    // What kills or hangs all that work on it ends nevertheless.
    assert_eq!(take(&store, &[("a", 1)], 400, 500).0, []);
    let Answer::Dead(dead) = ask(&store, Ask::Dead { kind: "a".to_owned(), after: None, most: 9 }) else {
        panic!()
    };
    assert_eq!(
        (dead[0].attempts, &*dead[0].error),
        (3, "it was lost at work 3 times: the process ended, or hung")
    );
}

#[test]
fn dead_jobs_are_listed_revived_and_discarded() {
    let (_folder, store) = open();
    let ids: Vec<_> = (0..5).map(|_| add(&store, "a", 0)).collect();
    take(&store, &[("a", 9)], 0, 100);
    for &id in &ids {
        let bury = Ask::Bury { id, attempt: 1, error: "no".to_owned() };
        assert_eq!(ask(&store, bury), Answer::Noted);
    }
    let list = |after| match ask(&store, Ask::Dead { kind: "a".to_owned(), after, most: 2 }) {
        Answer::Dead(dead) => dead.iter().map(|job| job.id.0).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(list(None), ids[..2]);
    assert_eq!(list(Some(JobId(ids[1]))), ids[2..4]);
    assert_eq!(ask(&store, Ask::Revive { id: ids[0], now: 7 }), Answer::Noted);
    assert_eq!(ask(&store, Ask::Revive { id: ids[0], now: 7 }), Answer::Unknown);
    assert_eq!(ask(&store, Ask::Discard { id: ids[1] }), Answer::Noted);
    assert_eq!(counts(&store), [("a".to_owned(), 1, 0, 3)]);
    assert_eq!(take(&store, &[("a", 9)], 7, 100).0, [(ids[0], 1)], "its attempts begin anew");
}

#[test]
fn what_was_leased_is_given_back_when_the_file_is_opened_and_numbers_are_not_used_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.redb");
    let store = Store::open(&path, 0).unwrap();
    let (id, other) = (add(&store, "a", 0), add(&store, "a", 0));
    take(&store, &[("a", 2)], 0, u64::MAX);
    ask(&store, Ask::Done { id: other, attempt: 1 });
    let error = Store::open(&path, 0).err().unwrap();
    assert_eq!(reason(&error), "another process uses it");
    drop(store);
    let store = Store::open(&path, 5).unwrap();
    assert_eq!(take(&store, &[("a", 2)], 5, 100).0, [(id, 2)]);
    assert_eq!(ask(&store, Ask::Return { id, attempt: 2, now: 6 }), Answer::Noted);
    assert_eq!(take(&store, &[("a", 2)], 6, 100).0, [(id, 2)]);
    assert!(add(&store, "a", 0) > other);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn there_is_room_for_so_many_and_an_answer_has_room_for_so_much() {
    let (_folder, store) = open();
    let payload = "x".repeat(ANSWER / 2);
    let add = |most| {
        let payload = payload.clone();
        ask(&store, Ask::Add { kind: "a".to_owned(), payload, due: 0, now: 0, most })
    };
    for _ in 0..5 {
        assert!(matches!(add(5), Answer::Added(_)));
    }
    assert_eq!(add(5), Answer::Full(5));
    for taken in [2, 2, 1, 0] {
        assert_eq!(take(&store, &[("a", 9)], 0, 100).0.len(), taken);
    }
    for id in 1..=5 {
        ask(&store, Ask::Bury { id, attempt: 1, error: String::new() });
    }
    let dead = |after| match ask(&store, Ask::Dead { kind: "a".to_owned(), after, most: 9 }) {
        Answer::Dead(dead) => dead.iter().map(|job| job.id.0).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!([dead(None), dead(Some(JobId(2))), dead(Some(JobId(4)))], [vec![1, 2], vec![3, 4], vec![5]]);
}

#[test]
fn what_somebody_had_who_is_gone_is_anothers_and_nothing_else() {
    let (_folder, store) = open();
    let (id, other) = (add(&store, "a", 0), add(&store, "a", 0));
    take(&store, &[("a", 1)], 0, 100);
    let release = |attempt, now| ask(&store, Ask::Release { leases: vec![(id, attempt), (99, 1)], now });
    assert_eq!(release(2, 5), Answer::Noted);
    assert_eq!(take(&store, &[("a", 9)], 5, 100).0, [(other, 1)], "it was another attempt");
    assert_eq!(release(1, 5), Answer::Noted);
    assert_eq!(take(&store, &[("a", 9)], 5, 100).0, [(id, 2)]);
}

#[test]
fn a_file_that_is_none_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.redb");
    std::fs::write(&path, "certainly no database").unwrap();
    assert!(Store::open(&path, 0).is_err());
    assert!(Store::open(folder.path(), 0).is_err());
}

#[derive(Clone, Debug)]
enum Step {
    Add(u64),
    Take(usize),
    Done(usize),
    Retry(usize),
    Bury(usize),
    Return(usize),
    Revive(usize),
    Discard(usize),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..50u64).prop_map(Step::Add),
        (0..4usize).prop_map(Step::Take),
        (0..8usize).prop_map(Step::Done),
        (0..8usize).prop_map(Step::Retry),
        (0..8usize).prop_map(Step::Bury),
        (0..8usize).prop_map(Step::Return),
        (0..8usize).prop_map(Step::Revive),
        (0..8usize).prop_map(Step::Discard),
        (0..60u64).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is done, no job is lost but by being done or discarded, and the counts are right.
    #[test]
    fn no_job_is_lost(steps in steps()) {
        let (_folder, store) = open();
        // What there should be: the last attempt that was seen of each.
        let mut jobs: BTreeMap<u64, u32> = BTreeMap::new();
        let mut now = 0;
        for step in steps {
            let nth = |n: usize| jobs.iter().nth(n).map_or((999, 1), |(id, attempt)| (*id, *attempt));
            match step {
                Step::Add(delay) => drop(jobs.insert(add(&store, "a", now + delay), 0)),
                Step::Take(free) => jobs.extend(take(&store, &[("a", free)], now, now + 30).0),
                Step::Done(n) => {
                    let (id, attempt) = nth(n);
                    if ask(&store, Ask::Done { id, attempt }) == Answer::Noted {
                        jobs.remove(&id);
                    }
                }
                Step::Retry(n) => {
                    let (id, attempt) = nth(n);
                    ask(&store, Ask::Retry { id, attempt, error: String::new(), now, due: now + 9 });
                }
                Step::Bury(n) => {
                    let (id, attempt) = nth(n);
                    ask(&store, Ask::Bury { id, attempt, error: String::new() });
                }
                Step::Return(n) => {
                    let (id, attempt) = nth(n);
                    ask(&store, Ask::Return { id, attempt, now });
                }
                Step::Revive(n) => drop(ask(&store, Ask::Revive { id: nth(n).0, now })),
                Step::Discard(n) => {
                    if ask(&store, Ask::Discard { id: nth(n).0 }) == Answer::Noted {
                        jobs.remove(&nth(n).0);
                    }
                }
                Step::Pass(time) => now += time,
            }
            let total: u64 = counts(&store).iter().map(|(_, waiting, running, dead)| waiting + running + dead).sum();
            prop_assert_eq!(total, jobs.len() as u64);
        }
        // In the end each is there to be taken, or dead.
        let (taken, _) = take(&store, &[("a", 999)], u64::MAX / 2, u64::MAX);
        let Answer::Dead(dead) = ask(&store, Ask::Dead { kind: "a".to_owned(), after: None, most: 999 }) else { panic!() };
        prop_assert_eq!(taken.len() + dead.len(), jobs.len());
    }
}
