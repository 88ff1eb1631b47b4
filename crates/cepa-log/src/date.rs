//! Dates by a pattern, as log4js has them: `yyyy-MM-dd`.

use jiff::civil::DateTime;

use crate::time::{Moment, digits};

/// How dates are written: `yyyy` and `yy` the year, `MM` the month, `dd` the day, `hh` the hour from 00 to 23, `mm`
/// the minute, `ss` the second, `SSS` the millisecond, `O` the offset from UTC. All else stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DatePattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// With four digits, or two.
    Year(usize),
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Milli,
    Offset,
    Text(String),
}

/// Year, month, day, hour, minute and second, as far as a pattern names them.
pub(crate) type Stamp = [u16; 6];

/// Why a pattern cannot name files by their time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DateError {
    /// Files of two periods would have the same name.
    #[error(
        "a pattern for files names its units from the year down, with none left out, such as yyyy-MM-dd-hh: \
         else two files would have one name"
    )]
    Gap,
    /// Finer than a second, or an offset.
    #[error("a pattern for files has no SSS and no O")]
    Unit,
    /// A name that is more than one.
    #[error("a pattern for files has no slash and no control character")]
    Text,
}

impl DatePattern {
    /// Reads a pattern; every text is one.
    pub(crate) fn new(pattern: &str) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            let (part, length) = Self::part(rest, first);
            rest = &rest[length..];
            match (parts.last_mut(), part) {
                (Some(Part::Text(text)), Part::Text(more)) => text.push_str(&more),
                (_, part) => parts.push(part),
            }
        }
        Self(parts)
    }

    /// The part that a text begins with, and its length.
    fn part(text: &str, first: char) -> (Part, usize) {
        if first == 'y' {
            let run = text.bytes().take(4).take_while(|&byte| byte == b'y').count();
            return (Part::Year(if run == 4 { 4 } else { 2 }), run);
        }
        let units = [
            ("MM", Part::Month),
            ("dd", Part::Day),
            ("hh", Part::Hour),
            ("mm", Part::Minute),
            ("SSS", Part::Milli),
            ("ss", Part::Second),
            ("O", Part::Offset),
        ];
        match units.into_iter().find(|(name, _)| text.starts_with(name)) {
            Some((name, part)) => (part, name.len()),
            None => (Part::Text(first.into()), first.len_utf8()),
        }
    }

    /// Whether files can be named by it, each period by a name of its own.
    pub(crate) fn for_files(&self) -> Result<(), DateError> {
        let mut units = [false; 6];
        for part in &self.0 {
            match part {
                Part::Milli | Part::Offset => return Err(DateError::Unit),
                Part::Text(text) if text.chars().any(|char| char == '/' || char.is_control()) => {
                    return Err(DateError::Text);
                }
                Part::Text(_) => {}
                part => units[part.unit()] = true,
            }
        }
        let sound = units[0] && units.is_sorted_by(|coarse, fine| coarse >= fine);
        if sound { Ok(()) } else { Err(DateError::Gap) }
    }

    /// Writes the date of a moment.
    pub(crate) fn write(&self, out: &mut String, moment: &Moment) {
        let civil = moment.civil;
        for part in &self.0 {
            match part {
                Part::Year(4) => digits(out, civil.year(), 4),
                Part::Year(_) => digits(out, civil.year().rem_euclid(100), 2),
                Part::Month => digits(out, civil.month(), 2),
                Part::Day => digits(out, civil.day(), 2),
                Part::Hour => digits(out, civil.hour(), 2),
                Part::Minute => digits(out, civil.minute(), 2),
                Part::Second => digits(out, civil.second(), 2),
                Part::Milli => digits(out, civil.millisecond(), 3),
                Part::Offset => offset(out, moment.offset),
                Part::Text(text) => out.push_str(text),
            }
        }
    }

    /// The date of a moment.
    pub(crate) fn text(&self, moment: &Moment) -> String {
        let mut text = String::new();
        self.write(&mut text, moment);
        text
    }

    /// Reads the date that a text begins with, and gives what follows it.
    pub(crate) fn read<'a>(&self, text: &'a str) -> Option<(Stamp, &'a str)> {
        let mut stamp = Stamp::default();
        let mut rest = text;
        for part in &self.0 {
            if let Part::Text(text) = part {
                rest = rest.strip_prefix(text.as_str())?;
                continue;
            }
            let (number, behind) = rest.split_at_checked(part.width())?;
            if !number.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            stamp[part.unit()] = number.parse().ok()?;
            rest = behind;
        }
        Some((stamp, rest))
    }

    /// The stamp that [`read`](Self::read) gives for the name of a moment.
    pub(crate) fn stamp(&self, civil: DateTime) -> Stamp {
        let mut stamp = Stamp::default();
        for part in &self.0 {
            let number = match part {
                Part::Year(4) => i32::from(civil.year()),
                Part::Year(_) => i32::from(civil.year()).rem_euclid(100),
                Part::Month => civil.month().into(),
                Part::Day => civil.day().into(),
                Part::Hour => civil.hour().into(),
                Part::Minute => civil.minute().into(),
                Part::Second => civil.second().into(),
                Part::Milli | Part::Offset | Part::Text(_) => continue,
            };
            stamp[part.unit()] = u16::try_from(number).unwrap_or(0);
        }
        stamp
    }
}

impl Part {
    /// Its place in a [`Stamp`].
    fn unit(&self) -> usize {
        match self {
            Self::Year(_) => 0,
            Self::Month => 1,
            Self::Day => 2,
            Self::Hour => 3,
            Self::Minute => 4,
            Self::Second | Self::Milli | Self::Offset | Self::Text(_) => 5,
        }
    }

    /// Its digits.
    fn width(&self) -> usize {
        match self {
            Self::Year(width) => *width,
            Self::Milli => 3,
            _ => 2,
        }
    }
}

/// Writes the distance from UTC: `Z`, `+01:00`.
pub(crate) fn offset(out: &mut String, seconds: i32) {
    if seconds == 0 {
        return out.push('Z');
    }
    out.push(if seconds < 0 { '-' } else { '+' });
    let minutes = seconds.abs() / 60;
    digits(out, minutes / 60, 2);
    out.push(':');
    digits(out, minutes % 60, 2);
}

#[cfg(test)]
mod tests;
