//! All that is known of a failed request, for a developer.

use std::{
    env,
    error::Error as StdError,
    fmt, fs,
    panic::Location,
    path::{Path, PathBuf},
};

use cepa_core::{Ctx, Error, StepKind};
use serde::Serialize;

/// All that is known of a failed request.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) method: String,
    pub(super) url: String,
    /// What the error says, public or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    /// What the error comes from, the nearest first.
    pub(super) causes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<Place>,
    pub(super) layers: Vec<Layer>,
    /// What else is known of the request.
    #[serde(skip)]
    pub(super) facts: Vec<(&'static str, String)>,
    #[serde(skip)]
    pub(super) headers: Vec<(String, String)>,
}

/// Where an error was made.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    /// File, line and column.
    pub(super) at: String,
    #[serde(skip)]
    pub(super) source: Option<Excerpt>,
}

/// Some lines of a file.
#[derive(Debug)]
pub(super) struct Excerpt {
    pub(super) first: u32,
    pub(super) marked: u32,
    pub(super) lines: Vec<String>,
}

/// A step of the way of the request.
#[derive(Debug, Serialize)]
pub(super) struct Layer {
    pub(super) kind: String,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<String>,
    /// Whether the error was made in the source file of this layer, and of no other.
    pub(super) is_origin: bool,
    /// Not where the request was turned away before it came to its route.
    pub(super) may_have_run: bool,
}

/// Most causes that are told, lest one that is its own source goes on for ever.
const MOST_CAUSES: usize = 32;
/// Lines that are shown before and after the one where an error was made.
const AROUND: u32 = 5;
/// Bytes of the largest source file that is read.
const MOST_SOURCE: u64 = 1 << 20;

impl Report {
    pub(super) fn new(ctx: &Ctx, error: Option<&Error>) -> Self {
        let place = error.map(Error::place);
        Self {
            method: ctx.method().to_string(),
            url: ctx.original_url().to_owned(),
            message: error.map(|error| error.message().to_owned()),
            causes: error.map(causes).unwrap_or_default(),
            place: place.map(|place| Place { at: place.to_string(), source: excerpt(place) }),
            layers: layers(ctx, place),
            facts: facts(ctx),
            headers: headers(ctx),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.method, self.url)?;
        if let Some(message) = &self.message {
            writeln!(f, "{message}")?;
        }
        for cause in &self.causes {
            writeln!(f, "  because: {cause}")?;
        }
        if let Some(place) = &self.place {
            writeln!(f, "  made at: {}", place.at)?;
        }
        for layer in &self.layers {
            let origin = if layer.is_origin { " <- the error was made in its source" } else { "" };
            writeln!(f, "  {}: {}{origin}", layer.kind, layer.name)?;
        }
        Ok(())
    }
}

fn causes(error: &Error) -> Vec<String> {
    let mut next = error.cause().map(|cause| cause as &dyn StdError);
    let chain = std::iter::from_fn(|| {
        let cause = next?;
        next = cause.source();
        Some(cause)
    });
    chain.take(MOST_CAUSES).map(ToString::to_string).collect()
}

fn layers(ctx: &Ctx, place: Option<&Location<'_>>) -> Vec<Layer> {
    let steps = ctx.explain();
    let is_routed = ctx.route_pattern().is_some() || place.is_none();
    let made_in: Vec<bool> =
        steps.iter().map(|step| place.is_some_and(|place| is_in_file(&step.name, place.file()))).collect();
    let is_only = made_in.iter().filter(|made_in| **made_in).count() == 1;
    let steps = steps.into_iter().zip(made_in);
    let layer = |(step, made_in): (cepa_core::Step, bool)| Layer {
        kind: step.kind.to_string(),
        may_have_run: is_routed || step.kind == StepKind::AppLayer && step.depth == 0,
        name: step.name,
        place: step.place.map(ToString::to_string),
        is_origin: made_in && is_only,
    };
    steps.map(layer).collect()
}

/// Whether a type or function of this name, such as `guestbook::pages::sign`, stands in this file, such as
/// `examples/guestbook/src/pages.rs`.
fn is_in_file(name: &str, file: &str) -> bool {
    let Some((folder, file)) = file.rsplit_once("src/") else { return false };
    let Some(module) = file.strip_suffix(".rs") else { return false };
    let module = match module {
        "main" | "lib" => "",
        module => module.strip_suffix("/mod").unwrap_or(module),
    };
    let package = folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default().replace('-', "_");
    let name = name.split('<').next().unwrap_or_default();
    let mut names = name.split("::");
    let is_package = names.next().is_some_and(|krate| package.is_empty() || krate == package);
    let modules = module.split('/').filter(|module| !module.is_empty());
    is_package && modules.into_iter().all(|module| names.next() == Some(module)) && {
        // What follows is the function or type itself, maybe with closures inside: not a module below this one.
        let item = names.next();
        item.is_some() && names.all(|inner| inner.starts_with("{{"))
    }
}

/// The lines around a place, if its file is where it was when the program was built.
///
/// It is read at once: that holds the thread up for longer than a server should, on a developer's machine.
fn excerpt(place: &Location<'_>) -> Option<Excerpt> {
    let path = find(Path::new(place.file()))?;
    if fs::metadata(&path).ok()?.len() > MOST_SOURCE {
        return None;
    }
    let text = fs::read_to_string(path).ok()?;
    let marked = place.line();
    let first = marked.saturating_sub(AROUND).max(1);
    let count = (marked + AROUND + 1 - first) as usize;
    let lines: Vec<String> = text.lines().skip(first as usize - 1).take(count).map(str::to_owned).collect();
    (lines.len() as u32 > marked - first).then_some(Excerpt { first, marked, lines })
}

/// The file of a path that is relative to the folder of the workspace, in which or below which the program runs.
fn find(file: &Path) -> Option<PathBuf> {
    let here = env::current_dir().ok()?;
    here.ancestors().take(8).map(|folder| folder.join(file)).find(|path| path.is_file())
}

fn facts(ctx: &Ctx) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("client", ctx.client().to_string()),
        ("door", ctx.connection().door().to_owned()),
        ("host", ctx.host().to_owned()),
    ];
    if let Some(route) = ctx.route_pattern() {
        facts.push(("route", route.to_owned()));
    }
    facts.extend(ctx.param_pairs().map(|(name, value)| ("parameter", format!("{name} = {value}"))));
    if let Some(id) = ctx.state::<crate::RequestId>() {
        facts.push(("id", id.as_str().to_owned()));
    }
    facts
}

/// The headers of the request. Those that let somebody in are not shown: pages end up on screens and in issues.
fn headers(ctx: &Ctx) -> Vec<(String, String)> {
    const SECRET: [&str; 8] =
        ["auth", "cookie", "token", "secret", "key", "password", "session", "signature"];
    let shown = |name: &str, value: &[u8]| match SECRET.iter().any(|secret| name.contains(secret)) {
        true => "…".to_owned(),
        false => String::from_utf8_lossy(value).into_owned(),
    };
    let headers = ctx.request.headers().iter();
    headers.map(|(name, value)| (name.to_string(), shown(name.as_str(), value.as_bytes()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_name() {
        for (name, file, expected) in [
            ("guestbook::pages::sign", "examples/guestbook/src/pages.rs", true),
            ("guestbook::pages::sign::{{closure}}", "examples/guestbook/src/pages.rs", true),
            ("guestbook::pages::Page<a::b>", "src/pages.rs", true),
            ("cepa_layers::a::b::C", "crates/cepa-layers/src/a/b.rs", true),
            ("cepa_layers::a::b::C", "crates/cepa-layers/src/a.rs", false),
            ("app::main::{{closure}}", "app/src/main.rs", true),
            ("other::pages::sign", "examples/guestbook/src/pages.rs", false),
            ("404 Not Found", "src/pages.rs", false),
            ("", "", false),
        ] {
            assert_eq!(is_in_file(name, file), expected, "{name} {file}");
        }
    }
}
