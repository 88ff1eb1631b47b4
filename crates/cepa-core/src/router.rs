//! Which route answers a path: patterns, the tree that finds them, their parameters and their URLs.
//!
//! In reading order: a [`Pattern`] is the parsed text of a route, a [`Tree`] finds the values stored
//! under patterns for a request path, [`Params`] are what a match has bound, [`Pattern::url`] goes
//! back from values to a path, and [`resources`] writes the seven routes of a REST resource.

mod inflect;
mod params;
mod pattern;
mod percent;
mod resources;
mod segment;
mod tree;
mod url;

pub use params::{ParamNames, ParamSpans, Params};
pub use pattern::{Pattern, PatternError, PatternFault};
pub use resources::{Action, ResourceRoute, resources};
pub use tree::{Conflict, Tree, TreeOptions};
pub use url::{UrlError, append_query};

#[cfg(test)]
mod vectors;

/// The most parameters one pattern may have.
pub const MAX_PARAMS: usize = 16;

/// The longest pattern, in bytes.
pub const MAX_PATTERN_LEN: usize = 1024;
