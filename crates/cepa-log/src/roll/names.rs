//! How a file is called, and those that it was before: `app.log`, `app.log.2026-11-20.1.gz`.

use crate::date::{DatePattern, Stamp};

/// The end of the name of a compressed file.
pub(crate) const PACKED: &str = ".gz";

/// The names of a file and of the old ones.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// The name without its extension.
    pub(crate) stem: String,
    /// The extension with its dot, or nothing.
    pub(crate) extension: String,
    /// What stands before a date and before a number.
    pub(crate) separator: String,
    /// Whether the extension stays at the end.
    pub(crate) keep_extension: bool,
    /// How a date in a name is written, if there is one.
    pub(crate) date: Option<DatePattern>,
    /// Whether the live file has its date in its name as well.
    pub(crate) always_date: bool,
    /// Whether there may be several files of one date, since they are rolled by size.
    pub(crate) has_index: bool,
    /// Whether old files are compressed.
    pub(crate) compress: bool,
}

/// What the name of a file says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read<'a> {
    pub(crate) date: Option<&'a str>,
    pub(crate) stamp: Stamp,
    pub(crate) index: u32,
    pub(crate) packed: bool,
}

impl Names {
    /// Splits the name of a file into stem and extension.
    pub(crate) fn split(name: &str) -> (&str, &str) {
        match name.rfind('.') {
            // A dot in front hides the file, and begins no extension.
            Some(at) if at > 0 => name.split_at(at),
            _ => (name, ""),
        }
    }

    /// The name of a file before it is compressed: of the live one, whose index is 0, or of an old one.
    pub(crate) fn name(&self, date: Option<&str>, index: u32) -> String {
        let date = date.filter(|_| index > 0 || self.always_date);
        let index = Some(index).filter(|&index| index > 0 && (self.has_index || date.is_none()));
        let (before, after) =
            if self.keep_extension { ("", &self.extension[..]) } else { (&self.extension[..], "") };
        let mut name = [&self.stem, before].concat();
        if let Some(date) = date {
            name.push_str(&self.separator);
            name.push_str(date);
        }
        if let Some(index) = index {
            name.push_str(&self.separator);
            name.push_str(itoa::Buffer::new().format(index));
        }
        name.push_str(after);
        name
    }

    /// Reads the name of a file; `None` if it is not one of these. The name without date and number is that of the
    /// live file, and not read.
    pub(crate) fn read<'a>(&self, name: &'a str) -> Option<Read<'a>> {
        let bare = name.strip_suffix(PACKED);
        let packed = bare.and_then(|bare| self.read_bare(bare)).map(|read| Read { packed: true, ..read });
        packed.or_else(|| self.read_bare(name))
    }

    fn read_bare<'a>(&self, name: &'a str) -> Option<Read<'a>> {
        let rest = name.strip_prefix(&self.stem)?;
        let rest = match self.keep_extension {
            true => rest.strip_suffix(&self.extension)?,
            false => rest.strip_prefix(&self.extension)?,
        };
        let rest = rest.strip_prefix(&self.separator)?;
        let Some(pattern) = &self.date else {
            return Some(Read { date: None, stamp: Stamp::default(), index: index(rest)?, packed: false });
        };
        let (stamp, behind) = pattern.read(rest)?;
        let date = Some(&rest[..rest.len() - behind.len()]);
        let index = match behind {
            "" => 0,
            behind => index(behind.strip_prefix(&self.separator)?)?,
        };
        Some(Read { date, stamp, index, packed: false })
    }
}

/// Reads a number as it is written in a name.
fn index(text: &str) -> Option<u32> {
    let written = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| written)
}
