//! The program `cepa`: hosts a site, makes an app, and serves it while it is written.
//!
//! In reading order: [`run`] reads the command line; [`new`] makes the folder of an app. `dev` is that of every app's
//! own program, [`cepa::develop`]; all that hosts a site is [`cepa_site::program`].

mod command;
pub mod import_apache;
pub mod new;

pub use self::command::run;
