//! Connections on their way from a worker that leaves to the one that takes its place.

use std::os::unix::net::UnixStream;

use cepa_server::moved::{Adopter, MovedConnection};
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{debug, warn};

use crate::ipc::{self, MOST_DESCRIPTORS, Moved, MovedConnections};

/// Gives connections away as they come, until no more can come.
pub(super) async fn give(mut moved: UnboundedReceiver<MovedConnection>, heir: UnixStream) {
    let (_reader, writer) = match ipc::open(heir) {
        Ok(line) => line,
        Err(error) => return warn!(target: "cepa::worker", %error, "connections are closed, not handed over"),
    };
    let (mut some, mut count) = (Vec::new(), 0_u64);
    while moved.recv_many(&mut some, MOST_DESCRIPTORS).await > 0 {
        count += some.len() as u64;
        let (facts, sockets) = some
            .drain(..)
            .map(|MovedConnection { socket, served, age }| (Moved { served, age }, socket))
            .unzip();
        if let Err(error) = writer.send_in_turn(&MovedConnections(facts), sockets).await {
            // Those that come after this are closed, as if there were nobody to take them.
            return warn!(target: "cepa::worker", %error, "connections are closed, not handed over");
        }
    }
    writer.flush().await;
    debug!(target: "cepa::worker", count, "connections were handed over");
}

/// Takes connections over, until the other worker has given all.
pub(super) async fn adopt(line: UnixStream, adopter: Adopter) {
    let (mut reader, _writer) = match ipc::open(line) {
        Ok(line) => line,
        Err(error) => return warn!(target: "cepa::worker", %error, "connections are not taken over"),
    };
    let mut count = 0_u64;
    loop {
        match reader.receive::<MovedConnections>().await {
            Ok(Some((MovedConnections(facts), sockets))) => {
                count += facts.len() as u64;
                for (Moved { served, age }, socket) in facts.into_iter().zip(sockets) {
                    adopter.adopt(MovedConnection { socket, served, age });
                }
            }
            Ok(None) => return debug!(target: "cepa::worker", count, "connections were taken over"),
            Err(error) => return warn!(target: "cepa::worker", %error, "some connections are not taken over"),
        }
    }
}
