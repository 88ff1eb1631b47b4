use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::{test::vectors, time::Zone};

/// 2026-01-02T03:04:05.006Z
fn moment() -> Moment {
    Zone::utc().at(UNIX_EPOCH + Duration::from_millis(1_767_323_045_006))
}

#[test]
fn dates_are_those_of_log4js() {
    for vector in vectors("log4js_dateformat") {
        let pattern = vector["pattern"].as_str().unwrap();
        assert_eq!(
            DatePattern::new(pattern).text(&moment()),
            vector["result"].as_str().unwrap(),
            "{pattern}"
        );
    }
}

#[test]
fn an_offset_is_in_hours_and_minutes() {
    for (seconds, shown) in
        [(0, "Z"), (3600, "+01:00"), (-12_600, "-03:30"), (20_700, "+05:45"), (-1, "-00:00")]
    {
        let mut text = String::new();
        offset(&mut text, seconds);
        assert_eq!(text, shown);
    }
}

#[test]
fn a_pattern_for_files_gives_each_period_a_name() {
    for (pattern, sound) in [
        ("yyyy-MM-dd", Ok(())),
        ("yy", Ok(())),
        ("-dd.MM.yyyy.log", Ok(())),
        ("yyyyMMddhhmmss", Ok(())),
        ("", Err(DateError::Gap)),
        ("MM-dd", Err(DateError::Gap)),
        ("yyyy-dd", Err(DateError::Gap)),
        ("yyyy-MM-dd-mm", Err(DateError::Gap)),
        ("yyyy-MM-dd SSS", Err(DateError::Unit)),
        ("yyyyO", Err(DateError::Unit)),
        ("yyyy/MM", Err(DateError::Text)),
        ("../yyyy", Err(DateError::Text)),
        ("yyyy\0", Err(DateError::Text)),
    ] {
        assert_eq!(DatePattern::new(pattern).for_files(), sound, "{pattern:?}");
    }
}

#[test]
fn a_date_is_read_as_it_was_written() {
    for pattern in ["yyyy-MM-dd-hh-mm-ss", "yyyy-MM-dd", "dd.MM.yy", "x-yyyy.log"] {
        let pattern = DatePattern::new(pattern);
        let text = pattern.text(&moment()) + ".3";
        assert_eq!(pattern.read(&text), Some((pattern.stamp(moment().civil), ".3")), "{text}");
    }
    let pattern = DatePattern::new("yyyy-MM");
    for text in ["", "2026", "2026-1", "2026_01", "+026-01", "2026-0é"] {
        assert_eq!(pattern.read(text), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_text_is_a_panic(pattern in "\\PC*|[yMdhmsSO.é-]*", text in "\\PC*|[0-9.é-]*") {
        let pattern = DatePattern::new(&pattern);
        let _ = pattern.for_files();
        let _ = pattern.read(&text);
        let _ = pattern.text(&moment());
    }
}
