//! The cases recorded from Koa, `tests/data/koa/cases.json`, and how they are replayed.
//!
//! A [`Case`] is a few requests, each with what Koa answered; [`Recording::run`] sends them and says what differs. The
//! verdict is lenient where Koa binds nobody: a JSON body is compared as a value, the reason phrase is not compared,
//! and other headers than Koa's may be there, except those that the case names as absent.
//! `docs/decisions/koa-differences.md` names the cases that Cepa answers differently on purpose ([`Differences`]).

mod case;
mod cookies;
mod differences;
mod pattern;
mod verdict;

pub use self::{
    case::{Case, Recording},
    differences::Differences,
};
