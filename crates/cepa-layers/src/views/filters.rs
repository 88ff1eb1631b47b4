//! The filters that make values safe for places that escaping as markup does not know.

use minijinja::{Environment, Error, ErrorKind, Value};

use crate::safe;

/// Adds those that need nothing to be told.
pub(super) fn add(templates: &mut Environment<'static>) {
    templates.add_filter("sjs", |text: String| shown(safe::js(&text)));
    templates.add_filter("sjson", |value: Value| -> Result<Value, Error> {
        let json = safe::json(&value);
        json.map(shown).map_err(|error| Error::new(ErrorKind::BadSerialization, "no JSON").with_source(error))
    });
    templates.add_filter("surl", |url: String| shown(safe::url(&url).into_owned()));
    templates.add_filter("spath", |path: String| safe::path(&path).map(str::to_owned));
    add_shtml(templates, safe::html);
}

pub(super) fn add_shtml(
    templates: &mut Environment<'static>,
    clean: impl Fn(&str) -> String + Send + Sync + 'static,
) {
    templates.add_filter("shtml", move |html: String| shown(clean(&html)));
}

/// Text that is not escaped again.
fn shown(text: String) -> Value {
    Value::from_safe_string(text)
}
