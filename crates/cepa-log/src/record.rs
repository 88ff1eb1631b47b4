//! An event as the layouts see it.

use std::{fmt::Write, ops::Range, time::SystemTime};

use crate::{level::Level, time::Moment};

/// Bytes of text that are kept of one event, and of one span; what goes beyond is cut.
pub(crate) const LONGEST: usize = 64 << 10;

/// An event.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) level: Level,
    /// The target of the event, with `::` or `.` between its parts.
    pub(crate) category: &'a str,
    pub(crate) moment: Moment,
    pub(crate) message: &'a str,
    /// What the event says besides its message.
    pub(crate) fields: &'a [Field],
    /// The spans that it is in, the innermost first.
    pub(crate) spans: &'a [SpanAt],
    /// The fields of those spans.
    pub(crate) span_fields: &'a [Field],
    /// The texts of all fields.
    pub(crate) text: &'a str,
    pub(crate) file: &'a str,
    pub(crate) line: Option<u32>,
    pub(crate) module: &'a str,
}

/// A span that an event is in.
#[derive(Clone, Debug)]
pub(crate) struct SpanAt {
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
    pub(crate) line: Option<u32>,
    pub(crate) started: SystemTime,
    /// Which of the fields are its own.
    pub(crate) fields: Range<usize>,
}

/// A named value.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) value: Value,
}

/// A value; text is a range of the text that all fields share.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    /// Text that is a value.
    Quoted(Range<usize>),
    /// What a value of another type writes of itself.
    Written(Range<usize>),
}

impl<'a> Record<'a> {
    /// The fields of a span.
    pub(crate) fn fields_of(&self, span: &SpanAt) -> &'a [Field] {
        &self.span_fields[span.fields.clone()]
    }

    /// The value of that name that is nearest to the event.
    pub(crate) fn find(&self, name: &str) -> Option<&'a Value> {
        // The fields of the innermost span come first.
        let mut all = self.fields.iter().chain(self.span_fields);
        all.find(|field| field.name == name).map(|field| &field.value)
    }

    /// The text of a range.
    pub(crate) fn text_of(&self, range: &Range<usize>) -> &'a str {
        &self.text[range.clone()]
    }

    /// Writes a value as it is, without quotation marks, and not escaped.
    pub(crate) fn write_plain(&self, out: &mut String, value: &Value) {
        match value {
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::Signed(number) => out.push_str(itoa::Buffer::new().format(*number)),
            Value::Unsigned(number) => out.push_str(itoa::Buffer::new().format(*number)),
            // Text takes whatever is written.
            Value::Float(number) => drop(write!(out, "{number}")),
            Value::Quoted(range) | Value::Written(range) => out.push_str(self.text_of(range)),
        }
    }
}

/// Texts and values as they are collected.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) text: String,
    pub(crate) list: Vec<Field>,
    /// Where text begins that is not of another; the [`LONGEST`] is counted from here.
    own: usize,
}

impl Fields {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.list.clear();
        self.own = 0;
    }

    /// Adds text, and says where it is.
    pub(crate) fn add(&mut self, text: &str) -> Range<usize> {
        self.write(|bounded| bounded.write_str(text))
    }

    /// Adds what is written, up to the [`LONGEST`] text, and says where it is.
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut Bounded) -> std::fmt::Result) -> Range<usize> {
        let start = self.text.len();
        // The error says that it was cut, or that a value does not write itself.
        let _ = write(&mut Bounded { limit: self.own + LONGEST, text: &mut self.text });
        start..self.text.len()
    }

    /// Adds the fields of another.
    pub(crate) fn append(&mut self, other: &Self) {
        let shift = self.text.len();
        self.text.push_str(&other.text);
        self.own = self.text.len();
        let shifted = |range: &Range<usize>| range.start + shift..range.end + shift;
        self.list.extend(other.list.iter().map(|field| {
            let value = match &field.value {
                Value::Quoted(range) => Value::Quoted(shifted(range)),
                Value::Written(range) => Value::Written(shifted(range)),
                value => value.clone(),
            };
            Field { name: field.name, value }
        }));
    }

    /// Takes fields off that come again after `before`, and the text that is no longer of any.
    pub(crate) fn replace(&mut self, before: usize) {
        let newer = self.list.split_off(before);
        self.list.retain(|field| newer.iter().all(|newer| newer.name != field.name));
        self.list.extend(newer);
        let mut text = String::new();
        for field in &mut self.list {
            if let Value::Quoted(range) | Value::Written(range) = &mut field.value {
                let start = text.len();
                text.push_str(&self.text[range.clone()]);
                *range = start..text.len();
            }
        }
        self.text = text;
    }
}

/// Text that takes so much, and then stops its writer.
pub(crate) struct Bounded<'a> {
    text: &'a mut String,
    limit: usize,
}

impl Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self.limit.saturating_sub(self.text.len());
        if text.len() <= room {
            self.text.push_str(text);
            return Ok(());
        }
        self.text.push_str(&text[..text.floor_char_boundary(room)]);
        Err(std::fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_end_is_cut_and_its_writer_stopped() {
        let mut fields = Fields::default();
        let mut written = 0;
        let range = fields.write(|out| {
            loop {
                written += 1;
                out.write_str("ünd so weiter ")?;
            }
        });
        assert!(range.end <= LONGEST && range.end > LONGEST - 2 && written < LONGEST / 14 + 2, "{range:?}");
        fields.add("more");
        assert_eq!(fields.text.len(), LONGEST);
    }

    #[test]
    fn a_field_of_another_keeps_its_text() {
        let mut other = Fields::default();
        let range = other.add("tj");
        other.list.push(Field { name: "user", value: Value::Quoted(range) });
        let mut fields = Fields::default();
        fields.add("hello");
        fields.append(&other);
        let Value::Quoted(range) = &fields.list[0].value else { panic!("{fields:?}") };
        assert_eq!(&fields.text[range.clone()], "tj");
    }

    #[test]
    fn the_text_of_others_leaves_room_for_its_own() {
        let mut other = Fields::default();
        other.add(&"a".repeat(LONGEST));
        let mut fields = Fields::default();
        fields.append(&other);
        fields.append(&other);
        assert_eq!(fields.add("message").len(), 7);
    }

    #[test]
    fn a_field_that_changes_for_ever_takes_no_more_room() {
        let mut fields = Fields::default();
        for name in ["user", "state"] {
            let range = fields.add("first");
            fields.list.push(Field { name, value: Value::Quoted(range) });
        }
        for at in 0..LONGEST {
            let before = fields.list.len();
            let range = fields.add(&format!("state {at}"));
            fields.list.push(Field { name: "state", value: Value::Quoted(range) });
            fields.replace(before);
        }
        assert_eq!((fields.text.as_str(), fields.list.len()), ("firststate 65535", 2));
    }
}
