//! The layout `egg`: `2026-11-20 07:08:09,042 INFO 4242 [tj/127.0.0.1/trace/5ms GET /] message`.

use super::{message, plain};
use crate::{record::Record, time};

/// Writes a line without its end.
pub(super) fn write(record: &Record<'_>, out: &mut String) {
    time::date_time(out, record.moment.civil, ' ');
    out.push(',');
    time::digits(out, record.moment.civil.millisecond(), 3);
    out.push(' ');
    out.push_str(record.level.name());
    out.push(' ');
    out.push_str(itoa::Buffer::new().format(std::process::id()));
    out.push(' ');
    request(record, out);
    message(record, out);
}

/// The request that the event belongs to, if it is in the span of one.
fn request(record: &Record<'_>, out: &mut String) {
    let is_request =
        |span: &&crate::record::SpanAt| record.fields_of(span).iter().any(|field| field.name == "method");
    let Some(span) = record.spans.iter().find(is_request) else { return };
    out.push('[');
    for (name, sign) in
        [("user_id", "/"), ("ip", "/"), ("trace_id", "/"), ("", "ms "), ("method", " "), ("url", "] ")]
    {
        match record.find(name) {
            _ if name.is_empty() => {
                out.push_str(itoa::Buffer::new().format(record.moment.millis_since(span.started)));
            }
            Some(value) => plain(record, value, out),
            None => out.push('-'),
        }
        out.push_str(sign);
    }
}
