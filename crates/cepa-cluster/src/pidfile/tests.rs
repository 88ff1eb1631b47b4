use std::{os::unix::fs::PermissionsExt, sync::Barrier};

use super::*;

#[test]
fn a_second_one_is_refused_with_the_number_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.pid");
    assert_eq!(PidFile::find(&path).unwrap(), Found::Nothing);

    let first = PidFile::take(&path).unwrap();
    let refused = PidFile::take(&path).unwrap_err();
    assert_eq!(refused.to_string(), format!("already running: process {}", this::id()));
    assert_eq!(PidFile::find(&path).unwrap(), Found::Running(Some(this::id())));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().next().unwrap().parse(), Ok(this::id()));

    drop(first);
    assert_eq!(PidFile::find(&path).unwrap(), Found::Nothing);
    PidFile::take(&path).unwrap();
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
        assert_eq!(PidFile::find(&path).unwrap(), Found::Stale(pid), "{text}");
        let taken = PidFile::take(&path).unwrap();
        assert_eq!(PidFile::find(&path).unwrap(), Found::Running(Some(this::id())));
        drop(taken);
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
    assert_eq!(PidFile::find(&path).unwrap(), Found::Running(None));
    assert!(matches!(PidFile::take(&path), Err(PidFileError::Running(None))));
}

#[test]
fn a_file_that_took_its_place_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.pid");
    let taken = PidFile::take(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "1\n").unwrap();
    drop(taken);
    assert_eq!(fs::read_to_string(&path).unwrap(), "1\n");
}

#[test]
fn a_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, precious) = (folder.path().join("app.pid"), folder.path().join("precious"));
    fs::write(&precious, "gold").unwrap();
    std::os::unix::fs::symlink(&precious, &path).unwrap();
    assert!(matches!(PidFile::take(&path), Err(PidFileError::Io { .. })));
    assert!(matches!(PidFile::find(&path), Err(PidFileError::Io { .. })));
    assert_eq!(fs::read_to_string(&precious).unwrap(), "gold");
}

#[test]
fn it_outlives_the_handle_that_made_it_when_its_descriptor_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.pid");
    let taken = PidFile::take(&path).unwrap();
    let kept = taken.as_fd().try_clone_to_owned().unwrap();
    std::mem::forget(taken);
    let inherited = PidFile::inherited(kept, path.clone());
    assert_eq!(PidFile::find(&path).unwrap(), Found::Running(Some(this::id())));
    drop(inherited);
    assert_eq!(PidFile::find(&path).unwrap(), Found::Nothing);
}

#[test]
fn of_many_at_once_one_gets_it_and_whoever_looks_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.pid");
    for _ in 0..20 {
        let (together, taken) = (Barrier::new(8), Barrier::new(4));
        let got: usize = thread::scope(|scope| {
            let lookers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        together.wait();
                        for _ in 0..50 {
                            PidFile::find(&path).unwrap();
                        }
                    })
                })
                .collect();
            let takers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        together.wait();
                        let file = PidFile::take(&path);
                        // Nobody lets go of it before all have tried.
                        taken.wait();
                        usize::from(file.is_ok())
                    })
                })
                .collect();
            lookers.into_iter().for_each(|looker| looker.join().unwrap());
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(got, 1);
        assert_eq!(PidFile::find(&path).unwrap(), Found::Nothing);
    }
}

#[test]
fn who_may_not_is_told_whose_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none/app.pid");
    let error = failure(&path, ErrorKind::PermissionDenied.into()).to_string();
    let expected = format!("{} belongs to user ", folder.path().display());
    assert!(error.starts_with(&expected) && error.ends_with("; do this as that user, or as root"), "{error}");
}
