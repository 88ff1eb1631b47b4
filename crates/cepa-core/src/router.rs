//! Which route answers a path: patterns, the tree that finds them, their parameters and their URLs.
//!
//! In reading order: a [`Router`] groups [`Route`]s, [`Mount`]s and [`Resources`]; the table resolves them at
//! start. Beneath: a [`Pattern`] is the parsed text of a route, a [`Tree`] finds the values stored
//! under patterns for a request path, [`Params`] are what a match has bound, [`Pattern::url`] goes
//! back from values to a path, and [`resources()`] writes the seven routes of a REST resource.

mod builder;
mod inflect;
mod mount;
mod params;
mod pattern;
mod redirect;
mod resolve;
mod resource;
mod resources;
mod route;
mod segment;
mod table;
mod tree;
mod url;

pub use builder::Router;
pub(crate) use builder::What;
pub use mount::{ByHandler, ByService, IntoMount, Mount};
pub use params::{ParamNames, ParamSpans, Params};
pub use pattern::{Pattern, PatternError, PatternFault};
pub use resolve::BuildError;
pub(crate) use resolve::{Fault, OrderFault, TableBuilder};
pub use resource::Resources;
pub use resources::{Action, ResourceRoute, resources};
pub(crate) use route::{Endpoint, Layer};
pub use route::{Route, all, delete, get, head, options, patch, post, put};
pub(crate) use table::{BELOW, Found, Resolved, Table};
pub use tree::{Conflict, Tree, TreeOptions};
pub use url::{UrlError, append_query};

#[cfg(test)]
mod vectors;

/// The most parameters one pattern may have.
pub const MAX_PARAMS: usize = 16;

/// The longest pattern, in bytes.
pub const MAX_PATTERN_LEN: usize = 1024;
