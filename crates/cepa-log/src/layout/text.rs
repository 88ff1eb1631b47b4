//! The layout `text`: `2026-11-20T07:08:09.042000Z  INFO request{method="GET"}: app::users: message name=value`.

use super::{PLAIN, escaped, message, value};
use crate::{record::Record, time};

/// A faint colour, for what the eye may pass over.
const FAINT: &str = "\x1b[2m";
/// The end of it.
const NOT_FAINT: &str = "\x1b[22m";

/// Writes a line without its end.
pub(super) fn write(record: &Record<'_>, coloured: bool, out: &mut String) {
    let (faint, not_faint) = if coloured { (FAINT, NOT_FAINT) } else { ("", "") };
    out.push_str(faint);
    timestamp(record, out);
    out.push_str(not_faint);
    out.push(' ');
    if coloured {
        out.push_str(record.level.colour());
    }
    let name = record.level.name();
    out.push_str(&"     "[..5 - name.len()]);
    out.push_str(name);
    if coloured {
        out.push_str(PLAIN);
    }
    out.push(' ');
    spans(record, out);
    out.push_str(faint);
    escaped(out, record.category);
    out.push(':');
    out.push_str(not_faint);
    out.push(' ');
    message(record, out);
}

/// The time in UTC with microseconds.
pub(super) fn timestamp(record: &Record<'_>, out: &mut String) {
    let utc = record.moment.utc();
    time::date_time(out, utc, 'T');
    out.push('.');
    time::digits(out, utc.subsec_nanosecond() / 1000, 6);
    out.push('Z');
}

/// The spans from the outermost on.
fn spans(record: &Record<'_>, out: &mut String) {
    for span in record.spans.iter().rev() {
        out.push_str(span.name);
        let fields = record.fields_of(span);
        if !fields.is_empty() {
            out.push('{');
            for (at, field) in fields.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                out.push_str(field.name);
                out.push('=');
                value(record, &field.value, out);
            }
            out.push('}');
        }
        out.push(':');
    }
    if !record.spans.is_empty() {
        out.push(' ');
    }
}
