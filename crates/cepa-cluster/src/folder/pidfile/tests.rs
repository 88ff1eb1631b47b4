use std::{os::unix::fs::PermissionsExt, sync::Barrier};

use super::*;

#[test]
fn a_second_one_is_refused_with_the_number_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.pid");
    assert_eq!(find(&path).unwrap(), Found::Nothing);

    let first = lock(&path).unwrap();
    assert!(matches!(lock(&path), Err(FolderError::Running(Some(pid))) if pid == this::id()));
    assert_eq!(find(&path).unwrap(), Found::Running(Some(this::id())));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().next().unwrap().parse(), Ok(this::id()));

    drop(first);
    assert_eq!(find(&path).unwrap(), Found::Stale(Some(this::id())));
    lock(&path).unwrap();
}

#[test]
fn what_was_left_behind_is_known_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.pid");
    // Also when a process has that number by now: this one does.
    for (text, pid) in [
        (format!("{}\nstart=1\n", this::id()), Some(this::id())),
        (format!("{}\n", this::id()), Some(this::id())),
        ("4194305\n".to_owned(), Some(4_194_305)),
        (String::new(), None),
        ("-1\n".to_owned(), None),
        ("x".repeat(100_000), None),
    ] {
        fs::write(&path, &text).unwrap();
        assert_eq!(find(&path).unwrap(), Found::Stale(pid), "{text}");
        let _locked = lock(&path).unwrap();
        assert_eq!(find(&path).unwrap(), Found::Running(Some(this::id())));
    }
}

#[test]
fn a_lock_before_its_line_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.pid");
    // What a master that was killed has left, and another has locked but not yet written.
    fs::write(&path, format!("{}\nstart=1\n", this::id())).unwrap();
    let other = File::open(&path).unwrap();
    flock(&other, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert_eq!(find(&path).unwrap(), Found::Running(None));
    assert!(matches!(lock(&path), Err(FolderError::Running(None))));
}

#[test]
fn a_file_in_its_place_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.pid");
    let locked = lock(&path).unwrap();
    assert!(is_at(&locked, &path).unwrap());
    fs::remove_file(&path).unwrap();
    assert!(!is_at(&locked, &path).unwrap());
    fs::write(&path, "1\n").unwrap();
    assert!(!is_at(&locked, &path).unwrap());
}

#[test]
fn a_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, precious) = (folder.path().join("app.pid"), folder.path().join("precious"));
    fs::write(&precious, "gold").unwrap();
    std::os::unix::fs::symlink(&precious, &path).unwrap();
    assert!(matches!(lock(&path), Err(FolderError::Io { .. })));
    find(&path).unwrap_err();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "gold");
}

#[test]
fn of_many_at_once_one_gets_it_and_whoever_looks_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.pid");
    for _ in 0..20 {
        // One that names this process, without the lock of it, would be believed.
        let _ = fs::remove_file(&path);
        let (together, taken) = (Barrier::new(8), Barrier::new(4));
        let got: usize = thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    together.wait();
                    for _ in 0..50 {
                        find(&path).unwrap();
                    }
                });
            }
            let takers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        together.wait();
                        let file = lock(&path);
                        // Nobody lets go of it before all have tried.
                        taken.wait();
                        usize::from(file.is_ok())
                    })
                })
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(got, 1);
        assert_eq!(find(&path).unwrap(), Found::Stale(Some(this::id())));
    }
}
