//! The app of one host, as the configuration has it.

use std::{borrow::Cow, path::Path, time::Duration};

use cepa_core::{App, Ctx, LocalBoxFuture, Middleware, Next, Policy, Result};
use cepa_layers::{concurrency_limit, concurrency_limit::NoPlaces, logger};

use crate::{
    config::{HostConfig, HostLimits, HostLog, MountConfig},
    errors::Pages,
    mount::Placed,
    reading::OneReading,
};

/// How long a request waits for a place among those that are handled.
const WAIT: Duration = Duration::from_secs(1);

/// The mounts of a host: those that it names, else those of its folder.
pub(crate) fn mounts(host: &HostConfig, folder: &Path) -> Vec<Placed> {
    let place = |mount: MountConfig| Placed::new(mount, folder);
    if !host.mounts.is_empty() {
        return host.mounts.iter().cloned().map(place).collect();
    }
    let mut mounts = Vec::new();
    if folder.join("public").is_dir() {
        mounts.push(MountConfig::files("/", "public".into()));
    }
    if folder.join("cgi").is_dir() {
        mounts.push(MountConfig::cgi("/cgi-bin", "cgi".into()));
    }
    mounts.into_iter().map(place).collect()
}

/// The layers of a host, around nothing yet.
pub(crate) fn layers(host: &HostConfig, pages: Pages, mounts: &[Placed]) -> Result<App, NoPlaces> {
    let mut app = App::new();
    if let HostLog { category: Some(category), format } = host.log.clone() {
        app = app.with(logger(logger::Options { format, category, ..Default::default() }));
    }
    app = app.with(pages.layer());
    let HostLimits { body, request_time, at_once } = host.limits;
    let policy = Policy {
        body_limit: Some(body).filter(|body| *body > 0),
        request_time: Some(request_time).filter(|time| !time.is_zero()),
        ..Policy::default()
    };
    if policy != Policy::default() {
        app = app.with(Limits(policy));
    }
    if at_once > 0 {
        let options = concurrency_limit::Options { at_once, queue: at_once, wait: WAIT, retry_after: WAIT };
        app = app.with(concurrency_limit(options)?);
    }
    Ok(app.with(OneReading::new(mounts.iter().map(Placed::path))))
}

/// What the requests of a host may cost.
struct Limits(Policy);

impl Middleware for Limits {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        ctx.set_policy(self.0);
        next.run(ctx).boxed()
    }

    fn name(&self) -> Cow<'static, str> {
        "limits".into()
    }
}
