//! From `tracing` to records: a layer of a subscriber.

use std::{cell::RefCell, fmt, sync::Arc, time::SystemTime};

use tracing::{
    Event, Metadata, Subscriber,
    field::{self, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, Filter},
    registry::LookupSpan,
};

use crate::{
    level::Level,
    record::{Field, Fields, Record, SpanAt, Value},
    shared::Shared,
};

/// The field of an event that says `fatal` or `mark`, which `tracing` has no levels for.
const SEVERITY: &str = "severity";

/// The field of an event that says a category below its target, for what is known only as the program runs: `tracing`
/// wants a target at compile time.
const CATEGORY: &str = "category";

/// Writes events.
#[derive(Debug)]
pub(crate) struct Lines(pub(crate) Arc<Shared>);

/// Says which events and spans are of interest.
#[derive(Debug)]
pub(crate) struct Wanted(pub(crate) Arc<Shared>);

impl Wanted {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let level = match metadata.is_event() && metadata.fields().field(SEVERITY).is_some() {
            // Which of the two it is, the event itself says.
            true => Level::Mark,
            false => Level::of(*metadata.level()),
        };
        let rules = &self.0.rules;
        level
            >= match metadata.fields().field(CATEGORY).is_some() {
                // Which it is, the event itself says.
                true => rules.least(metadata.target()),
                false => rules.of(metadata.target()).level,
            }
    }
}

impl<S> Filter<S> for Wanted {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Rules are by target and level alone, so that this is asked once for each place in the source.
        if self.wants(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let least = self.0.rules.iter().map(|rule| rule.level).min()?;
        Some(match least {
            Level::All | Level::Trace => LevelFilter::TRACE,
            Level::Debug => LevelFilter::DEBUG,
            Level::Info => LevelFilter::INFO,
            Level::Warn => LevelFilter::WARN,
            Level::Error | Level::Fatal | Level::Mark => LevelFilter::ERROR,
            Level::Off => LevelFilter::OFF,
        })
    }
}

/// What is kept of a span.
struct OfSpan {
    started: SystemTime,
    fields: Fields,
}

/// Room for one event, used again for the next.
#[derive(Default)]
struct Scratch {
    fields: Fields,
    spans: Vec<SpanAt>,
    line: String,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut Visitor::new(&mut fields));
        span.extensions_mut().replace(OfSpan { started: (self.0.clock)(), fields });
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(kept) = span.extensions_mut().get_mut::<OfSpan>() {
            let before = kept.fields.list.len();
            values.record(&mut Visitor::new(&mut kept.fields));
            // What is recorded again takes the place of what it was.
            kept.fields.replace(before);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
            Ok(mut scratch) => self.write(event, &ctx, &mut scratch),
            // A value that logs while it is written.
            Err(_) => self.write(event, &ctx, &mut Scratch::default()),
        });
    }
}

impl Lines {
    fn write<S: Subscriber + for<'a> LookupSpan<'a>>(
        &self,
        event: &Event<'_>,
        ctx: &Context<'_, S>,
        scratch: &mut Scratch,
    ) {
        let Scratch { fields, spans, line } = scratch;
        fields.clear();
        spans.clear();
        for span in ctx.event_scope(event).into_iter().flatten() {
            let start = fields.list.len();
            let mut started = SystemTime::UNIX_EPOCH;
            if let Some(kept) = span.extensions().get::<OfSpan>() {
                started = kept.started;
                fields.append(&kept.fields);
            }
            let metadata = span.metadata();
            spans.push(SpanAt {
                name: metadata.name(),
                file: metadata.file().unwrap_or_default(),
                line: metadata.line(),
                started,
                fields: start..fields.list.len(),
            });
        }
        let of_spans = fields.list.len();
        let metadata = event.metadata();
        let mut visitor = Visitor { target: metadata.target(), ..Visitor::new(fields) };
        event.record(&mut visitor);
        let (message, severity, category) = (visitor.message, visitor.severity, visitor.category);
        let (span_fields, own) = fields.list.split_at(of_spans);
        let record = Record {
            level: severity.unwrap_or_else(|| Level::of(*metadata.level())),
            category: category.map_or(metadata.target(), |category| &fields.text[category]),
            moment: self.0.zone.at((self.0.clock)()),
            message: &fields.text[message],
            fields: own,
            spans,
            span_fields,
            text: &fields.text,
            file: metadata.file().unwrap_or_default(),
            line: metadata.line(),
            module: metadata.module_path().unwrap_or_default(),
        };
        self.0.write(&record, line);
        // An event as long as may be is rare, and its room not kept.
        fields.text.shrink_to(KEPT);
        line.shrink_to(KEPT);
    }
}

/// Whether a category is below a target; of an app's own field of that name it is not.
fn is_below(target: &str, category: &str) -> bool {
    !target.is_empty()
        && category.strip_prefix(target).is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
}

/// Bytes of room that a thread keeps.
const KEPT: usize = 16 << 10;

/// Collects the fields of an event or a span.
struct Visitor<'a> {
    fields: &'a mut Fields,
    /// The target of an event, below which it may say a category.
    target: &'a str,
    message: std::ops::Range<usize>,
    severity: Option<Level>,
    category: Option<std::ops::Range<usize>>,
}

impl<'a> Visitor<'a> {
    fn new(fields: &'a mut Fields) -> Self {
        Self { fields, target: "", message: 0..0, severity: None, category: None }
    }

    fn add(&mut self, field: &field::Field, value: Value) {
        match value {
            Value::Quoted(range) | Value::Written(range) if field.name() == "message" => self.message = range,
            value => self.fields.list.push(Field { name: field.name(), value }),
        }
    }
}

impl Visit for Visitor<'_> {
    fn record_bool(&mut self, field: &field::Field, value: bool) {
        self.add(field, Value::Bool(value));
    }

    fn record_i64(&mut self, field: &field::Field, value: i64) {
        self.add(field, Value::Signed(value));
    }

    fn record_u64(&mut self, field: &field::Field, value: u64) {
        self.add(field, Value::Unsigned(value));
    }

    fn record_f64(&mut self, field: &field::Field, value: f64) {
        self.add(field, Value::Float(value));
    }

    fn record_str(&mut self, field: &field::Field, value: &str) {
        if field.name() == SEVERITY
            && let Some(level @ (Level::Fatal | Level::Mark)) = value.parse().ok()
        {
            self.severity = Some(level);
            return;
        }
        let range = self.fields.add(value);
        if field.name() == CATEGORY && is_below(self.target, value) {
            self.category = Some(range);
            return;
        }
        self.add(field, Value::Quoted(range));
    }

    fn record_error(&mut self, field: &field::Field, value: &(dyn std::error::Error + 'static)) {
        let range = self.fields.write(|out| {
            fmt::Write::write_fmt(out, format_args!("{value}"))?;
            let mut causes = value.source();
            while let Some(cause) = causes {
                fmt::Write::write_fmt(out, format_args!(": {cause}"))?;
                causes = cause.source();
            }
            Ok(())
        });
        self.add(field, Value::Written(range));
    }

    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        let range = self.fields.write(|out| fmt::Write::write_fmt(out, format_args!("{value:?}")));
        self.add(field, Value::Written(range));
    }
}
