//! Pages from templates, by [minijinja].
//!
//! With the feature `views`.
//!
//! [`views()`] makes a value that the app [provides](cepa_core::App::provide), and [`ViewsExt`] lets a ctx render:
//!
//! ```no_run
//! use cepa_core::{App, Ctx, Result};
//! use cepa_layers::{ViewsExt, views::{Views, views}};
//! use minijinja::context;
//!
//! fn app(views: Views) -> App {
//!     App::new().provide(views).get("/", async |ctx: &mut Ctx| {
//!         ctx.render("index.html", &context! { name => "Ada" })
//!     })
//! }
//! # fn main() -> Result {
//! let app = app(views(Default::default())?.global("title", "The onion"));
//! # Ok(())
//! # }
//! ```
//!
//! It is no layer and has no place in the onion: layers render too, outside of everything else as well.
//!
//! Beside the values that a page is rendered with, templates know what layers have left in the request's [`Locals`],
//! and `url_for("route", id=7)`, which makes the URL of a [named route](Ctx::url_for).
//!
//! The filters `sjs`, `sjson`, `surl`, `shtml` and `spath` are the functions of [`safe`](crate::safe).
//!
//! What a template shows is escaped by the ending of the template's name: `.html`, `.htm`, `.xhtml`, `.xml` and
//! `.svg` as markup, `.json` and `.js` as JSON, `.txt`, `.text`, `.md`, `.csv`, `.css`, `.ics` and `.eml` not at all;
//! any other ending as markup. `.j2`, `.jinja` and `.jinja2` at the end do not count.

mod filters;
mod load;
mod locals;
mod scope;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt, path::PathBuf};

use cepa_core::{Ctx, Error, Html, Result};
use http::header;
use minijinja::{
    AutoEscape, Environment, UndefinedBehavior, Value,
    functions::Function,
    syntax::SyntaxConfig,
    value::{FunctionArgs, FunctionResult, Serde, ValueKind},
};
use serde::{Deserialize, Serialize};

pub use self::{load::ViewsError, locals::Locals};
use crate::safe::Sanitizer;
use scope::Scope;

/// Beyond this minijinja has no stack to spare.
const MAX_RECURSION: usize = 500;

/// Where templates are, and what they may do.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The folder of the templates, default `templates`. Files and folders whose names begin with a dot are left out.
    pub dir: PathBuf,
    /// Whether a template whose file has changed is read again, for development; default false: all are read once,
    /// at start, and what does not parse is an error there. Every change keeps the old text in memory.
    pub reload: bool,
    /// Whether a name without a value is an error and not an empty place on the page; default true.
    pub strict: bool,
    /// Whether a line that holds nothing but a tag leaves no line; default true.
    pub trim: bool,
    /// Instructions that one rendering may take, default 1,000,000; 0 is no limit.
    pub fuel: u64,
    /// How deep templates may include and macros call each other, default 200; at most 500.
    pub recursion: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dir: "templates".into(),
            reload: false,
            strict: true,
            trim: true,
            fuel: 1_000_000,
            recursion: 200,
        }
    }
}

/// The templates of a folder, for [`App::provide`](cepa_core::App::provide).
///
/// # Errors
/// A depth above 500, a folder that cannot be read, more than 10,000 files, a file above 1 MiB, and, unless they are reloaded, a template
/// that does not parse.
pub fn views(options: Options) -> Result<Views, ViewsError> {
    if options.recursion > MAX_RECURSION {
        return Err(ViewsError::Recursion(options.recursion));
    }
    let mut templates = Environment::new();
    let undefined = if options.strict { UndefinedBehavior::Strict } else { UndefinedBehavior::Lenient };
    templates.set_undefined_behavior(undefined);
    templates.set_auto_escape_callback(escape_of);
    templates.set_fuel((options.fuel > 0).then_some(options.fuel));
    templates.set_recursion_limit(options.recursion);
    templates.set_debug(options.reload);
    let trimmed = SyntaxConfig::builder().trim_blocks(options.trim).lstrip_blocks(options.trim).build();
    templates.set_syntax(trimmed?);
    filters::add(&mut templates);
    load::load(&mut templates, options)?;
    Ok(Views { templates })
}

/// See [`views()`].
pub struct Views {
    templates: Environment<'static>,
}

impl Views {
    /// Gives a name a value in all templates.
    #[must_use]
    pub fn global(mut self, name: impl Into<Cow<'static, str>>, value: impl Serialize) -> Self {
        self.templates.add_global(name, Value::from(Serde(value)));
        self
    }

    /// Adds a filter, `{{ price|money }}`.
    #[must_use]
    pub fn filter<F, R, A>(mut self, name: impl Into<Cow<'static, str>>, filter: F) -> Self
    where
        F: Function<R, A>,
        R: FunctionResult,
        A: for<'a> FunctionArgs<'a>,
    {
        self.templates.add_filter(name, filter);
        self
    }

    /// Has the filter `shtml` keep other rules than the default ones.
    #[must_use]
    pub fn sanitizer(mut self, sanitizer: Sanitizer) -> Self {
        filters::add_shtml(&mut self.templates, move |html| sanitizer.clean(html));
        self
    }

    /// Adds a function, `{{ asset("style.css") }}`.
    #[must_use]
    pub fn function<F, R, A>(mut self, name: impl Into<Cow<'static, str>>, function: F) -> Self
    where
        F: Function<R, A>,
        R: FunctionResult,
        A: for<'a> FunctionArgs<'a>,
    {
        self.templates.add_function(name, function);
        self
    }

    /// The environment of minijinja, for all else that can be set there.
    pub fn environment_mut(&mut self) -> &mut Environment<'static> {
        &mut self.templates
    }

    fn render(&self, name: &str, scope: Scope) -> Result<String, minijinja::Error> {
        self.templates.get_template(name)?.render(Value::from_object(scope))
    }
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.templates.templates().map(|(name, _)| name)).finish()
    }
}

/// Rendering, for a ctx whose app provides [`Views`].
pub trait ViewsExt {
    /// Answers with a page.
    ///
    /// The type is that of the template's name, unless one is set. The status stays as it is.
    ///
    /// # Errors
    /// As [`view`](Self::view).
    fn render<T: Serialize + ?Sized>(&mut self, template: &str, values: &T) -> Result;

    /// The text of a page, to be sent in another way: as a mail, as a part of another page.
    ///
    /// # Errors
    /// 500 whose cause, for the log alone, names the template and the line: there is no such template, it does not
    /// parse, it needs more fuel or depth than it may take, or a value is missing. 500 when nothing provides [`Views`].
    fn view<T: Serialize + ?Sized>(&mut self, template: &str, values: &T) -> Result<String>;
}

impl ViewsExt for Ctx {
    #[track_caller]
    fn render<T: Serialize + ?Sized>(&mut self, template: &str, values: &T) -> Result {
        let page = self.view(template, values)?;
        if self.response.headers().contains_key(header::CONTENT_TYPE) {
            return self.set_body(page);
        }
        match extension(template) {
            "html" | "htm" => return self.set_body(Html(page)),
            extension if cepa_core::mime::from_extension(extension).is_some() => self.set_type(extension)?,
            _ => {}
        }
        self.set_body(page)
    }

    #[track_caller]
    fn view<T: Serialize + ?Sized>(&mut self, template: &str, values: &T) -> Result<String> {
        let locals = Locals::complete(self)?;
        let views: &Views = self.provided()?;
        let values = Value::from(Serde(values));
        if values.kind() == ValueKind::Invalid {
            return Err(Error::new(500, format!("the values for {template:?} do not serialise: {values}")));
        }
        match views.render(template, Scope { values, locals, urls: self.urls() }) {
            Ok(page) => Ok(page),
            Err(error) => Err(Error::new(500, format!("{template:?} cannot be rendered")).with_cause(error)),
        }
    }
}

/// The ending of a template's name without those of the engine.
fn extension(name: &str) -> &str {
    let engine = [".j2", ".jinja", ".jinja2"].iter().find_map(|ending| name.strip_suffix(ending));
    let name = engine.unwrap_or(name);
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn escape_of(name: &str) -> AutoEscape {
    match extension(name) {
        "json" | "js" => AutoEscape::Json,
        "txt" | "text" | "md" | "csv" | "css" | "ics" | "eml" => AutoEscape::None,
        // Also what is not known: an unescaped page is a hole, one escaped too much is seen.
        _ => AutoEscape::Html,
    }
}
