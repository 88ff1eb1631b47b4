//! Connections on their way from a worker that leaves to the one that takes its place.

use std::{io, os::unix::net::UnixStream};

use cepa_server::moved::{Adopter, MovedConnection, Receipt};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, unbounded_channel};
use tracing::{debug, warn};

use crate::ipc::{self, Arrived, IpcError, MOST_DESCRIPTORS, Moved, MovedConnections, Reader, Writer};

/// The most connections with an unfinished answer that wait to be given away, and that are on their way.
pub(super) const WAITING: usize = 16;
const ON_THE_WAY: usize = 64;

/// The most of them in one message, which holds so many however large they are.
const MOST_UNFINISHED: usize = 16;

/// Gives connections away as they come, until no more can come.
///
/// Those with an unfinished answer go first, and few at a time: what happens while they are on their way they hear of
/// late. This worker stays, with what it has of the bus, until the last of them has arrived.
pub(super) async fn give(
    mut idle: UnboundedReceiver<MovedConnection>,
    mut unfinished: Receiver<MovedConnection>,
    heir: UnixStream,
) {
    let given = match ipc::open(heir) {
        Ok(line) => give_all(&mut idle, &mut unfinished, line).await,
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

/// Connections on their way from this worker.
struct Giving {
    writer: Writer,
    /// Those with an unfinished answer that were sent and have not arrived.
    on_the_way: usize,
    count: u64,
}

async fn give_all(
    idle: &mut UnboundedReceiver<MovedConnection>,
    unfinished: &mut Receiver<MovedConnection>,
    (mut reader, writer): (Reader, Writer),
) -> Result<u64, IpcError> {
    let mut giving = Giving { writer, on_the_way: 0, count: 0 };
    let (mut idle_come, mut unfinished_come) = (true, true);
    while idle_come || unfinished_come || giving.on_the_way > 0 {
        tokio::select! {
            biased;
            arrived = reader.receive::<Arrived>(), if giving.on_the_way > 0 => {
                let Some((Arrived(count), _)) = arrived? else {
                    return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
                };
                giving.on_the_way = giving.on_the_way.saturating_sub(count);
            }
            first = unfinished.recv(), if unfinished_come && giving.on_the_way < ON_THE_WAY => match first {
                Some(first) => giving.give(first, idle, unfinished).await?,
                None => unfinished_come = false,
            },
            first = idle.recv(), if idle_come => match first {
                Some(first) => giving.give(first, idle, unfinished).await?,
                None => idle_come = false,
            },
        }
    }
    giving.writer.flush().await;
    Ok(giving.count)
}

impl Giving {
    /// Gives one, and with it what else is there.
    async fn give(
        &mut self,
        first: MovedConnection,
        idle: &mut UnboundedReceiver<MovedConnection>,
        unfinished: &mut Receiver<MovedConnection>,
    ) -> Result<(), IpcError> {
        let most = MOST_UNFINISHED.min(ON_THE_WAY - self.on_the_way);
        let mut some = Vec::with_capacity(MOST_DESCRIPTORS);
        some.push(first);
        while some.len() < most
            && let Ok(next) = unfinished.try_recv()
        {
            some.push(next);
        }
        while some.len() < MOST_DESCRIPTORS
            && let Ok(next) = idle.try_recv()
        {
            some.push(next);
        }
        self.count += some.len() as u64;
        self.on_the_way += some.iter().filter(|connection| connection.unfinished.is_some()).count();
        let (facts, sockets) = some
            .into_iter()
            .map(|MovedConnection { socket, served, age, unfinished, .. }| {
                (Moved { served, age, unfinished }, socket)
            })
            .unzip();
        self.writer.send_in_turn(&MovedConnections(facts), sockets).await
    }
}

/// Takes connections over, until the other worker has given all.
pub(super) async fn adopt(line: UnixStream, adopter: Adopter) {
    match take_all(line, adopter).await {
        Ok(count) => debug!(target: "cepa::worker", count, "connections were taken over"),
        Err(error) => warn!(target: "cepa::worker", %error, "some connections are not taken over"),
    }
}

async fn take_all(line: UnixStream, adopter: Adopter) -> Result<u64, IpcError> {
    let (mut reader, writer) = ipc::open(line)?;
    let (tell, mut arrivals) = unbounded_channel();
    let mut count = 0;
    loop {
        tokio::select! {
            message = reader.receive::<MovedConnections>() => {
                let Some((MovedConnections(facts), sockets)) = message? else { return Ok(count) };
                count += facts.len() as u64;
                for (Moved { served, age, unfinished }, socket) in facts.into_iter().zip(sockets) {
                    let receipt = unfinished.is_some().then(|| Receipt::new(tell.clone()));
                    adopter.adopt(MovedConnection { socket, served, age, unfinished, receipt });
                }
            }
            Some(()) = arrivals.recv() => {
                let more = std::iter::from_fn(|| arrivals.try_recv().ok()).count();
                writer.send(&Arrived(1 + more), Vec::new())?;
            }
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

    /// More than may be on the way.
    const COUNT: usize = 150;

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
        (MovedConnection { socket: socket.into(), served: 1, age: 2, unfinished, receipt: None }, client)
    }

    #[test]
    fn everything_arrives_with_what_it_was_at_and_what_waits_comes_first() {
        run(async {
            let (idle, idle_taken) = unbounded_channel();
            let (waiting, waiting_taken) = channel(COUNT);
            let mut clients = Vec::new();
            for n in 0..2 * COUNT {
                let (connection, client) = connection(None);
                idle.send(connection).unwrap();
                clients.push(client);
                if n < COUNT {
                    // As large as it may be, and twice that as text.
                    let (connection, client) = self::connection(unfinished(vec![200; 4000]));
                    waiting.try_send(connection).unwrap();
                    clients.push(client);
                }
            }
            drop((idle, waiting));
            let (ours, theirs) = UnixStream::pair().unwrap();
            let giving = tokio::task::spawn_local(give(idle_taken, waiting_taken, ours));
            let (mut reader, writer) = ipc::open(theirs).unwrap();
            let (mut facts, mut sockets, mut on_the_way, mut most) = (Vec::new(), Vec::new(), 0, 0);
            while let Some((MovedConnections(some), with)) = reader.receive().await.unwrap() {
                let unfinished = some.iter().filter(|moved| moved.unfinished.is_some()).count();
                on_the_way += unfinished;
                most = on_the_way.max(most);
                // They arrive late, and all at once.
                if on_the_way == ON_THE_WAY || facts.len() + some.len() == 3 * COUNT {
                    writer.send(&Arrived(std::mem::take(&mut on_the_way)), Vec::new()).unwrap();
                }
                facts.extend(some);
                sockets.extend(with);
            }
            giving.await.unwrap();
            assert_eq!((facts.len(), sockets.len()), (3 * COUNT, 3 * COUNT));
            assert_eq!(
                facts.iter().filter(|moved| moved.unfinished == unfinished(vec![200; 4000])).count(),
                COUNT
            );
            assert_eq!(most, ON_THE_WAY);
            let mut sent = UnixStream::from(sockets.swap_remove(0));
            sent.write_all(b"x").unwrap();
        });
    }

    #[test]
    fn what_nobody_takes_is_ended_in_order() {
        run(async {
            let (idle, idle_taken) = unbounded_channel();
            let (waiting, waiting_taken) = channel(COUNT);
            let mut clients = Vec::new();
            for _ in 0..COUNT {
                let (connection, client) = connection(unfinished(b"bye".to_vec()));
                waiting.try_send(connection).unwrap();
                clients.push(client);
            }
            drop((idle, waiting));
            let (ours, theirs) = UnixStream::pair().unwrap();
            drop(theirs);
            give(idle_taken, waiting_taken, ours).await;
            // What was sent and not written goes with the line.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            let ends: Vec<String> = clients
                .into_iter()
                .map(|mut client| {
                    let mut text = String::new();
                    client.read_to_string(&mut text).unwrap();
                    text
                })
                .collect();
            assert!(ends.iter().filter(|end| *end == "bye").count() >= COUNT - ON_THE_WAY, "{ends:?}");
        });
    }
}
