//! A plugin whose type is not known any more: what a program keeps.

use cepa_core::{App, LocalBoxFuture, Result};

use super::Plugin;
use crate::{Boot, boot::Stage};

/// [`Plugin`] with boxed futures, so that it can be an object.
pub(crate) trait Erased {
    fn name(&self) -> &str;
    fn dependencies(&self) -> &[&str];
    fn optional_dependencies(&self) -> &[&str];
    fn environments(&self) -> &[&str];
    fn is_enabled(&self) -> bool;
    fn defaults(&self) -> &str;
    fn extend(&mut self, boot: &mut Boot, app: App) -> Result<App>;
    /// Runs the hook of a stage.
    fn run<'a>(&'a mut self, stage: Stage, boot: &'a mut Boot) -> LocalBoxFuture<'a, Result>;
}

impl<P: Plugin> Erased for P {
    fn name(&self) -> &str {
        Plugin::name(self)
    }

    fn dependencies(&self) -> &[&str] {
        Plugin::dependencies(self)
    }

    fn optional_dependencies(&self) -> &[&str] {
        Plugin::optional_dependencies(self)
    }

    fn environments(&self) -> &[&str] {
        Plugin::environments(self)
    }

    fn is_enabled(&self) -> bool {
        Plugin::is_enabled(self)
    }

    fn defaults(&self) -> &str {
        Plugin::defaults(self)
    }

    fn extend(&mut self, boot: &mut Boot, app: App) -> Result<App> {
        Plugin::extend(self, boot, app)
    }

    fn run<'a>(&'a mut self, stage: Stage, boot: &'a mut Boot) -> LocalBoxFuture<'a, Result> {
        match stage {
            Stage::ConfigWillLoad => Box::pin(self.config_will_load(boot)),
            Stage::ConfigDidLoad => Box::pin(self.config_did_load(boot)),
            Stage::DidLoad => Box::pin(self.did_load(boot)),
            Stage::WillReady => Box::pin(self.will_ready(boot)),
            Stage::DidReady => Box::pin(self.did_ready(boot)),
            Stage::ServerDidReady => Box::pin(self.server_did_ready(boot)),
            Stage::BeforeClose => Box::pin(self.before_close(boot)),
        }
    }
}
