//! What page one of an app needs: `use cepa::prelude::*;`.
//!
//! The derive macros of serde are not here. Their expansion names the crate `serde`, so that an app that uses them
//! has to depend on it anyway, and two ways to the same macro are one too many.

pub use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

#[cfg(feature = "cluster")]
pub use cepa_cluster::{JobCtx, JobOptions, Jobs, Schedule};
pub use cepa_core::{
    App, Body, Ctx, Error, Handler, Html, Json, Middleware, Next, Reply, Result, Service, Text,
    router::{Mount, Resources, Router},
};
pub use cepa_server::Blocking;
pub use http::{Method, StatusCode, header};

pub use crate::Boot;
