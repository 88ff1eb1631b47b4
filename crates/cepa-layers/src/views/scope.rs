//! What a template sees: the values it is rendered with, what layers have left, and the routes.

use std::{fmt, sync::Arc};

use cepa_core::Urls;
use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, Object},
};

use super::Locals;

/// The outermost scope of one rendering. Names are looked for in the order of its fields.
pub(super) struct Scope {
    pub(super) values: Value,
    pub(super) locals: Locals,
    pub(super) urls: Urls,
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        if let Ok(value) = self.values.get_attr(name)
            && !value.is_undefined()
        {
            return Some(value);
        }
        if let Some(value) = self.locals.get(name) {
            return Some(value);
        }
        (name == "url_for").then(|| {
            let urls = self.urls.clone();
            Value::from_function(move |route: &str, params: Kwargs| url_for(&urls, route, &params))
        })
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("locals", &self.locals).finish_non_exhaustive()
    }
}

/// `url_for("user", id=7, tab="posts")`; a value that is none or undefined is left out.
fn url_for(urls: &Urls, route: &str, params: &Kwargs) -> Result<String, Error> {
    let mut texts = Vec::new();
    for name in params.args() {
        let value: Value = params.get(name)?;
        if !value.is_undefined() && !value.is_none() {
            texts.push((name, value.to_string()));
        }
    }
    let pairs: Vec<_> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    urls.url_for(route, &pairs).map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
}
