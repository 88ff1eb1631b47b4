use std::{
    collections::BTreeSet,
    time::{Duration, UNIX_EPOCH},
};

use proptest::prelude::*;

use super::{names::PACKED, *};
use crate::{date::DatePattern, test::vectors, time::Zone};

fn names(name: &str, pattern: Option<&str>) -> Names {
    let (stem, extension) = Names::split(name);
    Names {
        stem: stem.to_owned(),
        extension: extension.to_owned(),
        separator: ".".to_owned(),
        keep_extension: false,
        date: pattern.map(DatePattern::new),
        always_date: false,
        has_index: false,
        compress: false,
    }
}

fn rotation(names: Names, backups: usize) -> Rotation {
    Rotation { max_size: names.has_index.then_some(100), names, backups, max_days: None }
}

/// 2026-11-20T07:08:09Z
fn now() -> Moment {
    Zone::utc().at(UNIX_EPOCH + Duration::from_secs(1_795_158_489))
}

/// What is in a folder after these steps.
fn folder(found: &[&str], steps: &[Step]) -> Vec<String> {
    let mut files: BTreeSet<String> = found.iter().map(|&name| name.to_owned()).collect();
    for step in steps {
        let (from, to) = match step {
            Step::Delete(name) => (name, None),
            Step::Move(from, to) | Step::Pack(from, to) => (from, Some(to)),
        };
        assert!(files.remove(from), "{steps:?}");
        // What is there already comes first in it.
        files.extend(to.cloned());
    }
    files.into_iter().collect()
}

fn rolled(rotation: &Rotation, period: Option<&str>, found: &[&str]) -> Vec<String> {
    let names: Vec<_> = found.iter().map(|&name| name.to_owned()).collect();
    folder(found, &rotation.roll(period, &names, &now()))
}

#[test]
fn a_roll_that_failed_half_way_costs_no_old_file() {
    // The live file has got its new name, and no new one could be opened.
    let rotation = rotation(Names { has_index: true, ..names("app.log", None) }, 2);
    let half = ["app.log.1", "app.log.2"];
    for _ in 0..3 {
        assert_eq!(rolled(&rotation, None, &half), half);
    }
}

#[test]
fn names_are_those_of_log4js() {
    for vector in vectors("log4js_filenames") {
        let flag = |key: &str| vector[key].as_bool().unwrap();
        let (folder, name) = vector["filename"].as_str().unwrap().rsplit_once('/').unwrap();
        let names = Names {
            keep_extension: flag("keepFileExt"),
            always_date: flag("alwaysIncludePattern"),
            has_index: flag("hasMaxSize"),
            compress: flag("compress"),
            ..names(name, Some("yyyy-MM-dd"))
        };
        let index = u32::try_from(vector["index"].as_u64().unwrap()).unwrap();
        let mut name = format!("{folder}/{}", names.name(vector["date"].as_str(), index));
        if names.compress && index > 0 {
            name.push_str(PACKED);
        }
        assert_eq!(name, vector["result"].as_str().unwrap(), "{vector}");
    }
}

#[test]
fn a_file_is_rolled_by_size() {
    let by_size = rotation(names("app.log", None), 2);
    assert!(!by_size.is_full(1 << 40));
    assert!(Rotation { max_size: Some(10), ..by_size.clone() }.is_full(10));
    assert_eq!(rolled(&by_size, None, &["app.log", "other"]), ["app.log.1", "other"]);
    let found = ["app.log", "app.log.1", "app.log.2", "app.log.old", "app.log.01", "app.log.9999999999"];
    let left = ["app.log.01", "app.log.1", "app.log.2", "app.log.9999999999", "app.log.old"];
    assert_eq!(rolled(&by_size, None, &found), left);
    assert_eq!(rolled(&rotation(names("app.log", None), 0), None, &["app.log"]), [""; 0]);

    let packed = Names { keep_extension: true, compress: true, ..names("app.log", None) };
    let found = ["app.log", "app.1.log.gz", "app.2.log"];
    assert_eq!(rolled(&rotation(packed, 5), None, &found), ["app.1.log.gz", "app.2.log.gz", "app.3.log.gz"]);
}

#[test]
fn a_file_is_rolled_by_date() {
    let daily = rotation(names("app.log", Some("yyyy-MM-dd")), 2);
    let found = ["app.log", "app.log.2026-11-18", "app.log.2026-11-17", "app.log.2026-11-17.txt"];
    let left = ["app.log.2026-11-17.txt", "app.log.2026-11-18", "app.log.2026-11-19"];
    assert_eq!(rolled(&daily, Some("2026-11-19"), &found), left);

    // By date, not by name.
    let german = rotation(names("app.log", Some("dd.MM.yyyy")), 1);
    let found = ["app.log", "app.log.31.01.2026"];
    assert_eq!(rolled(&german, Some("01.02.2026"), &found), ["app.log.01.02.2026"]);

    let always = Names { always_date: true, compress: true, ..names("app.log", Some("yyyy-MM-dd")) };
    let found = ["app.log.2026-11-19", "app.log.2026-11-18"];
    let left = ["app.log.2026-11-18.gz", "app.log.2026-11-19.gz"];
    assert_eq!(rolled(&rotation(always, 9), Some("2026-11-19"), &found), left);
}

#[test]
fn a_file_is_rolled_by_date_and_size() {
    let both = Names { has_index: true, ..names("app.log", Some("yyyy-MM-dd")) };
    let found = ["app.log", "app.log.2026-11-19.1", "app.log.2026-11-20.1", "app.log.2026-11-20.2"];
    let left = ["app.log.2026-11-20.1", "app.log.2026-11-20.2", "app.log.2026-11-20.3"];
    assert_eq!(rolled(&rotation(both, 3), Some("2026-11-20"), &found), left);
}

#[test]
fn old_files_go_after_so_many_days() {
    let hourly = rotation(names("app.log", Some("yyyy-MM-dd-hh")), 1000);
    let hourly = Rotation { max_days: Some(2), ..hourly };
    let found = ["app.log", "app.log.2026-11-18-00", "app.log.2026-11-17-23", "app.log.2026-10-31-23"];
    let found: Vec<_> = found.map(str::to_owned).into();
    assert_eq!(
        hourly.tidy(Some("2026-11-20-07"), &found, &now()),
        ["app.log.2026-11-17-23", "app.log.2026-10-31-23"].map(|name| Step::Delete(name.to_owned()))
    );
}

proptest! {
    #[test]
    fn a_name_is_read_as_it_was_written(
        name in "[a-z.]{1,8}", keep in any::<bool>(), indexed in any::<bool>(), dated in any::<bool>(),
        index in 1u32..,
    ) {
        let names = Names {
            keep_extension: keep, has_index: indexed, ..names(&name, dated.then_some("yyyy-MM-dd"))
        };
        let date = dated.then_some("2026-11-20");
        let written = names.name(date, index);
        let read = names.read(&written).unwrap();
        let index = if indexed || !dated { index } else { 0 };
        prop_assert_eq!((read.date, read.index, read.packed), (date, index, false), "{}", written);
    }

    #[test]
    fn no_more_is_kept_than_wanted_and_the_newest_is_among_it(
        found in proptest::collection::btree_set("app\\.log(\\.2026-11-(18|19|20))?(\\.[1-4])?(\\.gz)?", 0..12),
        indexed in any::<bool>(), compress in any::<bool>(), backups in 0usize..4,
    ) {
        let names = Names { has_index: indexed, compress, ..names("app.log", Some("yyyy-MM-dd")) };
        let rotation = rotation(names, backups);
        let found: Vec<_> = found.into_iter().filter(|name| name != "app.log.gz").collect();
        let steps = rotation.roll(Some("2026-11-20"), &found, &now());
        let left = folder(&found.iter().map(String::as_str).collect::<Vec<_>>(), &steps);
        let distinct: BTreeSet<_> =
            left.iter().filter_map(|name| rotation.names.read(name).map(|read| (read.stamp, read.index))).collect();
        prop_assert!(distinct.len() <= backups, "{:?}", left);
        let lives = found.contains(&"app.log".to_owned());
        prop_assert!(!left.contains(&"app.log".to_owned()));
        // It is the newest of all.
        prop_assert!(!lives || backups == 0 || !steps.contains(&Step::Delete("app.log".to_owned())), "{:?}", steps);
        // And rolling once has done all there is to do.
        prop_assert_eq!(rotation.tidy(Some("2026-11-20"), &left, &now()), []);
    }
}
