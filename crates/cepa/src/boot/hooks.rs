//! The hooks that an app adds: what is to run, at which stage, and whose it is.

use std::{fmt, panic::Location};

use cepa_core::{LocalBoxFuture, Result};

use super::Boot;

/// A stage in the life of a program, named as the hooks that run in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The configuration is read, and may be changed.
    ConfigWillLoad,
    /// The configuration is settled.
    ConfigDidLoad,
    /// The app is built.
    DidLoad,
    /// All that the program is made of has loaded.
    WillReady,
    /// The process is ready to serve.
    DidReady,
    /// The server serves.
    ServerDidReady,
    /// The server has served its last request.
    BeforeClose,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConfigWillLoad => "config_will_load",
            Self::ConfigDidLoad => "config_did_load",
            Self::DidLoad => "did_load",
            Self::WillReady => "will_ready",
            Self::DidReady => "did_ready",
            Self::ServerDidReady => "server_did_ready",
            Self::BeforeClose => "before_close",
        })
    }
}

/// Runs once.
pub(super) type Run = Box<dyn for<'a> FnOnce(&'a mut Boot) -> LocalBoxFuture<'a, Result>>;

/// A hook that may still change the boot.
pub(super) fn early(hook: impl AsyncFnOnce(&mut Boot) -> Result + 'static) -> Run {
    Box::new(|boot| Box::pin(async move { hook(boot).await }))
}

/// A hook that finds all as it will stay.
pub(super) fn late(hook: impl AsyncFnOnce(&Boot) -> Result + 'static) -> Run {
    Box::new(|boot| Box::pin(async move { hook(boot).await }))
}

pub(super) struct Hook {
    stage: Stage,
    unit: usize,
    pub(super) place: &'static Location<'static>,
    pub(super) run: Run,
}

/// The hooks that have not run yet.
#[derive(Default)]
pub(super) struct Hooks {
    all: Vec<Hook>,
    /// Whose code runs now: a plugin by its place in the order, or the app behind them.
    pub(super) unit: usize,
}

impl Hooks {
    #[track_caller]
    pub(super) fn add(&mut self, stage: Stage, run: Run) {
        self.all.push(Hook { stage, unit: self.unit, place: Location::caller(), run });
    }

    /// The next hook of the current unit: the first of a stage, or the last before the end.
    pub(super) fn next(&mut self, stage: Stage) -> Option<Hook> {
        let is_next = |hook: &Hook| hook.stage == stage && hook.unit == self.unit;
        let at = match stage {
            Stage::BeforeClose => self.all.iter().rposition(is_next),
            _ => self.all.iter().position(is_next),
        };
        at.map(|at| self.all.remove(at))
    }

    /// A hook that was added when its stage was over.
    pub(super) fn missed(&self, stage: Stage) -> Option<(Stage, &'static Location<'static>)> {
        let missed = self.all.iter().find(|hook| hook.stage < stage);
        missed.map(|hook| (hook.stage, hook.place))
    }
}
