//! The command `serve`: from what the app opens to the end of its server.

use std::{io, sync::Arc};

use cepa_core::Onion;
use cepa_server::{ListenConfig, Protocol, Server, ServerConfig, listen::Endpoint};
use tokio::task::{JoinSet, spawn_blocking};
use tracing::{error, info};

use super::Failure;
use crate::{acme::Certificates, boot::Lifecycle, dev, signals::Signals};

/// Opens what the app needs, serves until a signal ends it, and closes.
pub(super) async fn live(
    mut life: Lifecycle,
    onion: Arc<Onion>,
    config: ServerConfig,
    certificates: Certificates,
    signals: &Signals,
) -> Result<(), Failure> {
    let opened = tokio::select! {
        biased;
        () = signals.told() => Ok(None),
        opened = open(&mut life, Arc::clone(&onion), config) => opened.map(Some),
    };
    let ended = match opened {
        Ok(Some(server)) => serve(&mut life, &onion, server, certificates, signals).await,
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    life.close().await;
    info!(target: "cepa", "stopped");
    ended
}

/// Opens what the app needs, and listens.
async fn open(
    life: &mut Lifecycle,
    onion: Arc<Onion>,
    config: ServerConfig,
) -> Result<(Server, Vec<&'static str>), Failure> {
    life.load().await?;
    let schemes = config.listen.iter().map(scheme).collect();
    let server = Server::bind(config, onion)?;
    life.ready().await?;
    Ok((server, schemes))
}

/// Serves until a signal ends it.
async fn serve(
    life: &mut Lifecycle,
    onion: &Arc<Onion>,
    (server, schemes): (Server, Vec<&'static str>),
    certificates: Certificates,
    signals: &Signals,
) -> Result<(), Failure> {
    let workers = server.workers();
    let running = server.start()?;
    let urls: Vec<_> = running.endpoints().iter().zip(schemes).map(|(at, scheme)| url(scheme, at)).collect();
    let stopper = running.stopper();
    signals.stop(stopper.clone());
    if let Some(dev) = dev::served() {
        dev.stops(stopper.clone());
    }
    info!(target: "cepa", env = life.boot().env(), workers, "listening on {}; Ctrl-C stops", urls.join(", "));
    let ready = tokio::select! {
        biased;
        // Nobody waits for a hook that has not ended by then.
        () = signals.told() => None,
        ready = life.server_ready() => Some(ready),
    };
    match (&ready, dev::served()) {
        (Some(Ok(())), dev) => {
            life.begin(onion);
            dev.map(dev::Served::ready).unwrap_or_default();
        }
        (Some(Err(_)), _) => stopper.drain(),
        (None, _) => {}
    }
    // Ends with this function.
    let mut kept = JoinSet::new();
    kept.spawn_local(certificates.keep());
    // This thread stays free for what has begun on it.
    let mut ended = spawn_blocking(|| running.join());
    let ended = loop {
        tokio::select! {
            ended = &mut ended => break ended,
            () = signals.told() => {
                life.end();
                break ended.await;
            }
            Some(Err(panic)) = kept.join_next() => {
                error!(target: "cepa", %panic, "certificates are not renewed any more: start this again");
            }
        }
    };
    ready.transpose()?;
    ended.map_err(io::Error::other).flatten().map_err(Failure::Worker)
}

/// What the URL of a listener begins with.
pub(crate) fn scheme(listen: &ListenConfig) -> &'static str {
    match listen.door {
        Protocol::FastCgi => "fastcgi",
        Protocol::Scgi => "scgi",
        Protocol::Tora => "tora",
        Protocol::Http if listen.tls.is_some() => "https",
        Protocol::Http => "http",
    }
}

/// What to type into a browser; a Unix socket has no URL.
pub(crate) fn url(scheme: &str, endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(address) => format!("{scheme}://{address}"),
        Endpoint::Unix(_) => endpoint.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_shown_as_what_a_browser_takes() {
        for (endpoint, shown) in [
            (Endpoint::Tcp(([127, 0, 0, 1], 80).into()), "https://127.0.0.1:80"),
            (Endpoint::Tcp("[::1]:3000".parse().unwrap()), "https://[::1]:3000"),
            (Endpoint::Unix(Some(std::path::Path::new("/run/app.sock").into())), "unix:/run/app.sock"),
        ] {
            assert_eq!(url("https", &endpoint), shown);
        }
    }
}
