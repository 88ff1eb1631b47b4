//! The onion: what a request passes, and what answers it.

use cepa::{
    bus::{Bus, BusConfig},
    layers::{
        secure_headers,
        static_files::{self, static_files},
    },
    prelude::*,
    router::get,
};
use serde::Deserialize;

use crate::{doors, room::Rooms};

/// The section `[chat]` of the configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Lines that a room keeps.
    keep: usize,
}

/// Builds the app.
///
/// # Errors
/// A configuration that cannot be used.
pub fn app(boot: &mut Boot) -> Result<App> {
    let bus: BusConfig = boot.config("bus")?;
    let Settings { keep } = boot.config("chat")?;
    let public = static_files::Options { root: boot.root().join("public"), ..Default::default() };
    let bus = Bus::connect(&bus)?;
    Ok(App::new()
        .provide(Rooms::new(bus.clone(), keep))
        .provide(bus)
        .with(secure_headers(Default::default())?)
        .with(static_files(public)?)
        .route("/rooms/{room}", get(doors::stream).post(doors::say))
        .get("/rooms/{room}/poll", doors::poll)
        .get("/rooms/{room}/socket", doors::socket)
        .resume(doors::STREAM, doors::go_on_streaming)
        .resume(doors::SOCKET, doors::go_on_talking))
}
