//! Connections on their way from a worker that leaves to the one that takes its place.

use std::os::unix::net::UnixStream;

use cepa_server::moved::{Adopter, MovedConnection};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};
use tracing::{debug, warn};

use crate::ipc::{self, IpcError, MOST_DESCRIPTORS, Moved, MovedConnections, Writer};

/// The most connections with an unfinished answer that wait to be given away.
pub(super) const WAITING: usize = 64;

/// The most of them in one message, which holds so many however large they are.
const MOST_UNFINISHED: usize = 16;

/// Gives connections away as they come, until no more can come.
///
/// Those with an unfinished answer go first, and no more of them than the other worker takes: what happens while they are
/// on their way they hear of late.
pub(super) async fn give(
    mut idle: UnboundedReceiver<MovedConnection>,
    mut unfinished: Receiver<MovedConnection>,
    heir: UnixStream,
) {
    let given = match ipc::open(heir) {
        Ok((_reader, writer)) => give_all(&mut idle, &mut unfinished, &writer).await,
        Err(error) => Err(error.into()),
    };
    match given {
        Ok(count) => debug!(target: "cepa::worker", count, "connections were handed over"),
        // Those that come after this are closed, as if there were nobody to take them.
        Err(error) => {
            warn!(target: "cepa::worker", %error, "connections are closed, not handed over");
            unfinished.close();
            while let Some(connection) = unfinished.recv().await {
                connection.end();
            }
        }
    }
}

async fn give_all(
    idle: &mut UnboundedReceiver<MovedConnection>,
    unfinished: &mut Receiver<MovedConnection>,
    writer: &Writer,
) -> Result<u64, IpcError> {
    let mut count = 0;
    loop {
        let first = tokio::select! {
            biased;
            Some(first) = unfinished.recv() => first,
            Some(first) = idle.recv() => first,
            else => break,
        };
        let mut some = Vec::with_capacity(MOST_DESCRIPTORS);
        some.push(first);
        while some.len() < MOST_UNFINISHED
            && let Ok(next) = unfinished.try_recv()
        {
            some.push(next);
        }
        while some.len() < MOST_DESCRIPTORS
            && let Ok(next) = idle.try_recv()
        {
            some.push(next);
        }
        count += some.len() as u64;
        let is_urgent = some.iter().any(|connection| connection.unfinished.is_some());
        let (facts, sockets) = some
            .into_iter()
            .map(|MovedConnection { socket, served, age, unfinished }| {
                (Moved { served, age, unfinished }, socket)
            })
            .unzip();
        writer.send_in_turn(&MovedConnections(facts), sockets).await?;
        if is_urgent {
            writer.flush().await;
        }
    }
    writer.flush().await;
    Ok(count)
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
                for (Moved { served, age, unfinished }, socket) in facts.into_iter().zip(sockets) {
                    adopter.adopt(MovedConnection { socket, served, age, unfinished });
                }
            }
            Ok(None) => return debug!(target: "cepa::worker", count, "connections were taken over"),
            Err(error) => return warn!(target: "cepa::worker", %error, "some connections are not taken over"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    use cepa_server::moved::{Rest, Unfinished};
    use tokio::{
        runtime::{Builder, LocalOptions},
        sync::mpsc::{channel, unbounded_channel},
    };

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())
            .unwrap()
            .block_on(test);
    }

    fn unfinished(farewell: Vec<u8>) -> Option<Box<Unfinished>> {
        let parked = cepa_core::Parked::new("it", &"state").unwrap().with_farewell(farewell);
        Some(Box::new(Unfinished { parked, rest: Rest::UntilClose, keep: false, unread: Vec::new() }))
    }

    fn connection(unfinished: Option<Box<Unfinished>>) -> (MovedConnection, UnixStream) {
        let (socket, client) = UnixStream::pair().unwrap();
        (MovedConnection { socket: socket.into(), served: 1, age: 2, unfinished }, client)
    }

    #[test]
    fn everything_arrives_with_what_it_was_at_and_what_waits_comes_first() {
        run(async {
            let (idle, idle_taken) = unbounded_channel();
            let (waiting, waiting_taken) = channel(WAITING);
            let mut clients = Vec::new();
            for n in 0..2 * WAITING {
                let (connection, client) = connection(None);
                idle.send(connection).unwrap();
                clients.push(client);
                if n < WAITING {
                    // As large as it may be, and twice that as text.
                    let (connection, client) = self::connection(unfinished(vec![200; 4000]));
                    waiting.try_send(connection).unwrap();
                    clients.push(client);
                }
            }
            drop((idle, waiting));
            let (ours, theirs) = UnixStream::pair().unwrap();
            let giving = tokio::task::spawn_local(give(idle_taken, waiting_taken, ours));
            let (mut reader, _writer) = ipc::open(theirs).unwrap();
            let (mut facts, mut sockets) = (Vec::new(), Vec::new());
            while let Some((MovedConnections(some), with)) = reader.receive().await.unwrap() {
                facts.extend(some);
                sockets.extend(with);
            }
            giving.await.unwrap();
            assert_eq!((facts.len(), sockets.len()), (3 * WAITING, 3 * WAITING));
            assert_eq!(
                facts.iter().filter(|moved| moved.unfinished == unfinished(vec![200; 4000])).count(),
                WAITING
            );
            let at = facts.iter().rposition(|moved| moved.unfinished.is_some()).unwrap();
            assert!(at < WAITING / MOST_UNFINISHED * MOST_DESCRIPTORS);
            let mut sent = UnixStream::from(sockets.swap_remove(0));
            sent.write_all(b"x").unwrap();
        });
    }

    #[test]
    fn what_nobody_takes_is_ended_in_order() {
        run(async {
            let (idle, idle_taken) = unbounded_channel();
            let (waiting, waiting_taken) = channel(WAITING);
            let mut clients = Vec::new();
            for _ in 0..40 {
                let (connection, client) = connection(unfinished(b"bye".to_vec()));
                waiting.try_send(connection).unwrap();
                clients.push(client);
            }
            drop((idle, waiting));
            let (ours, theirs) = UnixStream::pair().unwrap();
            drop(theirs);
            give(idle_taken, waiting_taken, ours).await;
            let ends: Vec<String> = clients
                .into_iter()
                .map(|mut client| {
                    let mut text = String::new();
                    client.read_to_string(&mut text).unwrap();
                    text
                })
                .collect();
            assert!(ends.iter().filter(|end| *end == "bye").count() >= 40 - 2 * MOST_UNFINISHED, "{ends:?}");
        });
    }
}
