use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Instant, UNIX_EPOCH},
};

use flate2::read::MultiGzDecoder;
use tempfile::TempDir;

use super::{file::*, *};
use crate::{
    date::DatePattern,
    layout::Layout,
    roll::{Rotation, names::Names},
};

/// 2026-11-20T00:00:00Z
const DAY: i64 = 1_795_132_800;
const HOUR: i64 = 3600;

fn names(pattern: Option<&str>) -> Names {
    Names {
        stem: "app".to_owned(),
        extension: ".log".to_owned(),
        separator: ".".to_owned(),
        keep_extension: false,
        date: pattern.map(DatePattern::new),
        always_date: false,
        has_index: false,
        compress: false,
    }
}

/// A file in a new folder.
struct Folder(TempDir, Place);

impl Folder {
    fn new(names: Names, max_size: Option<u64>, backups: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let rotation = Arc::new(Rotation { names, max_size, backups, max_days: None });
        let place =
            Place { folder: folder.path().join("logs/web"), rotation, zone: Zone::utc(), mode: 0o600 };
        Self(folder, place)
    }

    fn open(&self, second: i64) -> RollingFile {
        RollingFile::open(self.1.clone(), UNIX_EPOCH + Duration::from_secs(second as u64)).unwrap()
    }

    /// The files there are, each with what is in it.
    fn files(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(&self.1.folder).unwrap().map(|entry| entry.unwrap());
        let mut files: Vec<_> =
            entries.map(|entry| (entry.file_name().into_string().unwrap(), content(&entry.path()))).collect();
        files.sort();
        files
    }

    fn names(&self) -> Vec<String> {
        self.files().into_iter().map(|(name, _)| name).collect()
    }
}

fn content(path: &Path) -> String {
    let mut text = String::new();
    let mut file = fs::File::open(path).unwrap();
    match path.extension().is_some_and(|extension| extension == "gz") {
        true => MultiGzDecoder::new(file).read_to_string(&mut text).unwrap(),
        false => file.read_to_string(&mut text).unwrap(),
    };
    text
}

fn batch(lines: &[(i64, &str)]) -> Batch {
    let mut batch = Batch::default();
    for (second, text) in lines {
        batch.push(&format!("{text}\n"), *second, None);
    }
    batch
}

fn write(file: &mut RollingFile, lines: &[(i64, &str)]) {
    Sink::write(file, &batch(lines)).unwrap();
}

fn owned(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
}

#[test]
fn a_file_is_rolled_by_size_before_a_line_is_written() {
    let folder = Folder::new(names(None), Some(10), 2);
    let mut file = folder.open(DAY);
    write(&mut file, &[(0, "123456789"), (0, "second"), (0, "fills"), (0, "third")]);
    write(&mut file, &[(0, "more of the third"), (0, "fourth")]);
    let files = [
        ("app.log", "fourth\n"),
        ("app.log.1", "third\nmore of the third\n"),
        ("app.log.2", "second\nfills\n"),
    ];
    assert_eq!(folder.files(), owned(&files));
    for (name, _) in files {
        let mode = fs::metadata(folder.1.folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    // What is there counts.
    drop(file);
    let mut file = folder.open(DAY);
    write(&mut file, &[(0, "now"), (0, "fifth")]);
    assert_eq!(folder.files()[0], ("app.log".to_owned(), "fifth\n".to_owned()));
}

#[test]
fn old_files_are_compressed() {
    let folder = Folder::new(Names { keep_extension: true, compress: true, ..names(None) }, Some(5), 2);
    let mut file = folder.open(DAY);
    write(&mut file, &[(0, "first"), (0, "second"), (0, "third"), (0, "fourth")]);
    drop(file);
    let files = [("app.1.log.gz", "third\n"), ("app.2.log.gz", "second\n"), ("app.log", "fourth\n")];
    assert_eq!(folder.files(), owned(&files));
}

#[test]
fn without_backups_a_file_is_emptied() {
    let folder = Folder::new(names(None), Some(5), 0);
    let mut file = folder.open(DAY);
    write(&mut file, &[(0, "first"), (0, "second")]);
    assert_eq!(folder.files(), owned(&[("app.log", "second\n")]));
}

#[test]
fn a_rolled_file_has_the_date_of_its_lines() {
    let folder = Folder::new(names(Some("yyyy-MM-dd-hh-mm")), None, 2);
    let mut file = folder.open(DAY - 120);
    write(
        &mut file,
        &[(DAY - 120, "58"), (DAY - 1, "59"), (DAY + 5 * HOUR, "next"), (DAY + 5 * HOUR - 1, "late")],
    );
    write(&mut file, &[(DAY + 5 * HOUR + 1, "and more"), (DAY + 6 * HOUR, "last")]);
    let files = [
        ("app.log", "last\n"),
        ("app.log.2026-11-19-23-59", "59\n"),
        ("app.log.2026-11-20-05-00", "next\nlate\nand more\n"),
    ];
    assert_eq!(folder.files(), owned(&files));
}

#[test]
fn a_clock_that_was_wrong_for_a_time_does_not_keep_a_file_from_being_rolled() {
    let folder = Folder::new(names(Some("yyyy-MM-dd")), None, 9);
    let mut file = folder.open(DAY);
    let year = 365 * 24 * HOUR;
    write(&mut file, &[(DAY, "one"), (DAY + year, "wrong"), (DAY + 1, "two"), (DAY + 24 * HOUR, "three")]);
    let files =
        [("app.log", "three\n"), ("app.log.2026-11-20", "one\ntwo\n"), ("app.log.2027-11-20", "wrong\n")];
    assert_eq!(folder.files(), owned(&files));
}

#[test]
fn four_midnights() {
    let midnights: Vec<_> = (0..4).map(|day| (DAY + day * 24 * HOUR, "line")).collect();
    for (names, max_size, left) in [
        (names(Some("yyyy-MM-dd")), None, ["app.log", "app.log.2026-11-21", "app.log.2026-11-22"]),
        (
            Names { always_date: true, keep_extension: true, ..names(Some("yyyy-MM-dd")) },
            None,
            ["app.2026-11-21.log", "app.2026-11-22.log", "app.2026-11-23.log"],
        ),
        (
            Names { keep_extension: true, compress: true, ..names(Some("yyyy-MM-dd")) },
            None,
            ["app.2026-11-21.log.gz", "app.2026-11-22.log.gz", "app.log"],
        ),
        (
            Names { has_index: true, ..names(Some("yyyy-MM-dd")) },
            Some(1 << 20),
            ["app.log", "app.log.2026-11-21.1", "app.log.2026-11-22.1"],
        ),
    ] {
        let folder = Folder::new(names, max_size, 2);
        let mut file = folder.open(DAY);
        write(&mut file, &midnights);
        drop(file);
        assert_eq!(folder.names(), left);
    }
}

#[test]
fn a_file_of_the_day_before_is_rolled_after_a_restart() {
    let folder = Folder::new(Names { compress: true, ..names(Some("yyyy-MM-dd")) }, None, 5);
    let written = UNIX_EPOCH + Duration::from_secs(DAY as u64 - 100);
    for text in ["one\n", "two\n"] {
        fs::create_dir_all(&folder.1.folder).unwrap();
        let live = folder.1.folder.join("app.log");
        fs::write(&live, text).unwrap();
        fs::File::options().append(true).open(&live).unwrap().set_modified(written).unwrap();
        write(&mut folder.open(DAY), &[(DAY, "today")]);
        fs::remove_file(&live).unwrap();
    }
    // What was there is not overwritten.
    assert_eq!(folder.files(), owned(&[("app.log.2026-11-19.gz", "one\ntwo\n")]));
    // And what was cut short is done at the next start.
    fs::rename(
        folder.1.folder.join("app.log.2026-11-19.gz"),
        folder.1.folder.join("app.log.2026-11-18.gz.part"),
    )
    .unwrap();
    fs::write(folder.1.folder.join("app.log.2026-11-18"), "whole\n").unwrap();
    drop(folder.open(DAY));
    assert_eq!(folder.files(), owned(&[("app.log", ""), ("app.log.2026-11-18.gz", "whole\n")]));
}

#[test]
fn a_file_that_was_moved_away_is_left_alone_after_it_is_opened_anew() {
    let folder = Folder::new(names(None), None, 5);
    let mut file = folder.open(DAY);
    write(&mut file, &[(0, "one")]);
    fs::rename(folder.1.folder.join("app.log"), folder.1.folder.join("moved")).unwrap();
    write(&mut file, &[(0, "two")]);
    file.reopen().unwrap();
    write(&mut file, &[(0, "three")]);
    assert_eq!(folder.files(), owned(&[("app.log", "three\n"), ("moved", "one\ntwo\n")]));
}

#[test]
fn lines_go_on_into_a_file_that_cannot_be_rolled() {
    let folder = Folder::new(names(None), Some(4), 5);
    let mut file = folder.open(DAY);
    write(&mut file, &[(1, "one")]);
    // Where the old file belongs, there is a folder.
    fs::create_dir(folder.1.folder.join("app.log.1")).unwrap();
    fs::create_dir(folder.1.folder.join("app.log.2")).unwrap();
    fs::create_dir(folder.1.folder.join("app.log.3")).unwrap();
    fs::write(folder.1.folder.join("app.log.4"), "").unwrap();
    fs::create_dir(folder.1.folder.join("app.log.5")).unwrap();
    let fault = Sink::write(&mut file, &batch(&[(2, "two"), (2, "three")])).unwrap_err();
    assert_eq!(fault.lost, 0);
    assert!(fault.to_string().contains("app.log cannot be rolled: "), "{fault}");
    assert_eq!(content(&folder.1.folder.join("app.log")), "one\ntwo\nthree\n");
}

/// A sink of which the lines can be seen, and that can be told to fail.
#[derive(Clone, Default)]
struct Seen(Arc<std::sync::Mutex<(String, bool)>>);

impl Sink for Seen {
    fn write(&mut self, batch: &Batch) -> Result<(), Fault> {
        let mut seen = self.0.lock().unwrap();
        if seen.1 && !batch.lines.is_empty() {
            let error = io::ErrorKind::StorageFull.into();
            return Err(Fault { what: "nowhere".to_owned(), error, lost: batch.lines.len() as u64 });
        }
        seen.0 += &batch.bytes;
        Ok(())
    }
}

/// A writer that has started.
fn started(sink: Seen, capacity: usize) -> Arc<Queue> {
    let queue = Arc::new(Queue::new(capacity));
    let format = Arc::new(Format::new(&Layout::Basic {}, false).unwrap());
    let clock: Clock = Arc::new(|| UNIX_EPOCH + Duration::from_secs(DAY as u64));
    let (name, zone) = ("seen".to_owned(), Zone::utc());
    Writer { name, queue: queue.clone(), sink: Box::new(sink), format, zone, clock }.start().unwrap();
    queue
}

fn flush(queue: &Queue) {
    assert!(queue.wait(queue.ask_to_flush(), Instant::now() + Duration::from_secs(60)));
}

#[test]
fn what_is_lost_the_log_says_when_there_is_room_again() {
    let seen = Seen::default();
    let queue = started(seen.clone(), 200);
    queue.push("first\n", 0, None);
    flush(&queue);
    queue.push(&"is too large\n".repeat(20), 0, None);
    flush(&queue);
    let told = "first\n[2026-11-20T00:00:00.000] [WARN] cepa.log - 1 line is lost: the queue was full, or writing failed\n";
    assert_eq!(seen.0.lock().unwrap().0, told);

    seen.0.lock().unwrap().1 = true;
    for _ in 0..2 {
        queue.push("a\n", 0, None);
        queue.push("b\n", 0, None);
        flush(&queue);
    }
    assert_eq!(queue.lost(), 5);
    *seen.0.lock().unwrap() = Default::default();
    queue.push("c\n", 0, None);
    flush(&queue);
    let told = "c\n[2026-11-20T00:00:00.000] [WARN] cepa.log - 4 lines are lost: the queue was full, or writing failed\n";
    assert_eq!(seen.0.lock().unwrap().0, told);
    queue.close();
}

#[test]
fn nothing_is_lost_when_many_threads_log_and_the_log_ends() {
    let seen = Seen::default();
    let queue = started(seen.clone(), 1 << 20);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let queue = &queue;
            scope.spawn(move || (0..1000).for_each(|at| queue.push(&format!("{thread} {at}\n"), 0, None)));
        }
    });
    flush(&queue);
    queue.push("last\n", 0, None);
    queue.close();
    let until = Instant::now() + Duration::from_secs(60);
    while !seen.0.lock().unwrap().0.ends_with("last\n") && Instant::now() < until {
        thread::yield_now();
    }
    let text = seen.0.lock().unwrap().0.clone();
    assert_eq!(text.lines().count(), 4001);
    for thread in 0..4 {
        let own = text.lines().filter_map(|line| line.strip_prefix(&format!("{thread} ")));
        assert!(own.eq((0..1000).map(|at| at.to_string()).collect::<Vec<_>>()), "{thread}");
    }
}

#[test]
fn each_key_has_a_file_up_to_a_limit() {
    let folder =
        Folder::new(Names { stem: String::new(), extension: String::new(), ..names(None) }, Some(4), 1);
    let clock: Clock = Arc::new(|| UNIX_EPOCH);
    let mut files = files::Files::new(folder.1.clone(), ".log", 3, Duration::from_secs(60), clock);
    let mut batch = Batch::default();
    for (key, text) in [
        (Some("tj"), "1234"),
        (Some("../up"), "a"),
        (Some("tj"), "next"),
        (Some("tj.1"), "b"),
        (Some("one more"), "c"),
        (None, "d"),
        (Some("tj"), "last"),
    ] {
        batch.push(&format!("{text}\n"), 0, key.map(Into::into));
    }
    files.write(&batch).unwrap();
    files.reopen().unwrap();
    let left = [
        ("%2e.%2fup.log", "a\n"),
        ("tj.1.log", "b\n"),
        ("tj.log", "last\n"),
        ("tj.log.1", "next\n"),
        ("~other.log", "c\nd\n"),
    ];
    assert_eq!(folder.files(), owned(&left));
    assert_eq!(fs::read_dir(folder.0.path().join("logs")).unwrap().count(), 1);
}

#[test]
fn many_files_are_not_open_at_once() {
    let folder = Folder::new(Names { stem: String::new(), extension: String::new(), ..names(None) }, None, 1);
    let clock: Clock = Arc::new(|| UNIX_EPOCH);
    let mut files = files::Files::new(folder.1.clone(), ".log", 1000, Duration::ZERO, clock);
    let mut batch = Batch::default();
    for at in 0..400 {
        batch.push("line\n", 0, Some((at % 200).to_string().into()));
    }
    files.write(&batch).unwrap();
    assert!(files.patience().is_none());
    let found = folder.files();
    assert_eq!(found.len(), 200);
    assert!(found.iter().all(|(_, text)| text == "line\nline\n"));
}
