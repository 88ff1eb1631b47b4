//! One connection of the agent: what a process asks, follows, holds and reports.

use std::{
    collections::{HashMap, hash_map::Entry as MapEntry},
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    net::{UnixStream, unix::OwnedReadHalf},
    task::{AbortHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{
    answer::Desk,
    inbox::Inbox,
    outbox::Outbox,
    peers::{Agent, Peer},
    publishers::Publisher,
    wire::{Answer, Ask, Down, Fault, Up, VERSION},
};
use crate::{
    EventId, QueueOptions, locked,
    names::{self, Key},
    queue::{Elsewhere, Relay, Relayed, Report},
};

/// Bytes that may wait for a process. One that has more to take is asked nothing until it has taken some; what it follows
/// waits in the queues.
const WAITING: usize = 1 << 20;
/// How long a process has to say who it is.
const HELLO: Duration = Duration::from_secs(5);
/// Least and most time without a sign of life.
const SILENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// One connection.
struct Session {
    agent: Arc<Agent>,
    outbox: Arc<Outbox>,
    peer: Peer,
    publisher: Arc<Mutex<Publisher>>,
    desk: Arc<Desk>,
    /// What takes longer: asks, of which each gives its number when it ends, and queues that are followed.
    tasks: JoinSet<u64>,
    asks: HashMap<u64, AbortHandle>,
    follows: HashMap<u64, AbortHandle>,
    elsewhere: HashMap<Key, Elsewhere>,
    listening: HashMap<Key, usize>,
}

/// Talks to a process until the connection ends.
pub(super) async fn run(agent: Arc<Agent>, socket: UnixStream) {
    let (read, write) = socket.into_split();
    let outbox = Arc::new(Outbox::new(WAITING));
    let mut inbox = Inbox::new(read);
    let talk = async {
        let Ok(hello) = timeout(HELLO, welcome(&agent, &mut inbox, &outbox)).await else {
            return Err(io::ErrorKind::TimedOut.into());
        };
        let Some((mut session, silence)) = hello? else { return Ok(()) };
        session.talk(&mut inbox, silence).await
    };
    let ended = tokio::select! {
        ended = talk => ended,
        ended = outbox.write_to(write) => ended,
    };
    if let Err(error) = ended {
        tracing::warn!(%error, "the agent has lost a process");
    }
}

/// Learns who it is.
async fn welcome(
    agent: &Arc<Agent>,
    inbox: &mut Inbox<OwnedReadHalf>,
    outbox: &Arc<Outbox>,
) -> io::Result<Option<(Session, Duration)>> {
    let hello = loop {
        match inbox.next() {
            Ok(None) if !inbox.fill().await? => return Ok(None),
            Ok(None) => {}
            hello => break hello.ok().flatten(),
        }
    };
    let Some(Up::Hello { version: VERSION, pid, is_worker, silence, publisher, window }) = hello else {
        let why = format!("it does not speak version {VERSION} of what the agent speaks").into();
        push(outbox, &Down::Refused { why });
        // The writer sends it, and the other end closes.
        while inbox.fill().await? {
            inbox.forget();
        }
        return Ok(None);
    };
    push(outbox, &Down::Welcome { life: agent.life });
    let session = Session {
        outbox: Arc::clone(outbox),
        peer: agent.peers.come(pid, is_worker, outbox),
        publisher: agent.publishers.welcome(publisher, window),
        desk: Arc::new(Desk::new(
            Arc::clone(&agent.hub),
            Arc::clone(outbox),
            agent.service.as_ref().map(|service| service.connected()),
        )),
        agent: Arc::clone(agent),
        tasks: JoinSet::new(),
        asks: HashMap::new(),
        follows: HashMap::new(),
        elsewhere: HashMap::new(),
        listening: HashMap::new(),
    };
    Ok(Some((session, silence.clamp(SILENCE.0, SILENCE.1))))
}

/// A frame that is known to be short enough.
fn push(outbox: &Outbox, frame: &Down) {
    outbox.push(frame).expect("what is not of a process's making fits into a frame");
}

impl Session {
    /// Most asks that a process may have under way, queues that it may follow, actions that it may listen for.
    const MOST: usize = 65_536;

    async fn talk(&mut self, inbox: &mut Inbox<OwnedReadHalf>, silence: Duration) -> io::Result<()> {
        let mut beat = interval(silence / 3);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            let outbox = Arc::clone(&self.outbox);
            let mut is_full = !outbox.has_room();
            while !is_full && let Some(up) = inbox.next()? {
                self.hear(up)?;
                is_full = !outbox.has_room();
            }
            tokio::select! {
                filled = inbox.fill(), if !is_full => {
                    heard = Instant::now();
                    if !filled? {
                        return Ok(());
                    }
                }
                () = outbox.room(), if is_full => {}
                Some(ended) = self.tasks.join_next() => {
                    // What was cancelled is not there any more.
                    ended.map(|id| self.asks.remove(&id)).ok();
                }
                _ = beat.tick() => {
                    // While it is asked nothing because it takes nothing, it is not heard either.
                    if heard.elapsed() >= silence {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    push(&outbox, &Down::Ping);
                }
            }
        }
    }

    fn hear(&mut self, up: Up) -> io::Result<()> {
        match up {
            Up::Hello { .. } => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it says hello twice"));
            }
            Up::Ping => {}
            Up::Ask { id, ask: Ask::Tell { action, to, json } } => {
                let count = self.agent.peers.tell(&self.peer, &action, to, json);
                self.desk.answer(id, Ok(Answer::Count { count }));
            }
            Up::Ask { id, ask } => self.ask(id, ask),
            Up::Cancel { id } => {
                if let Some(task) = self.asks.remove(&id) {
                    task.abort();
                }
            }
            Up::Release { token } => self.desk.release(token),
            Up::Publish { number, queue, options, event, json } => {
                let publish = || self.publish(&queue, options, event.as_deref(), &json);
                let id = locked(&self.publisher).publish(number, publish);
                push(&self.outbox, &Down::Published { number, id });
            }
            Up::Follow { follow, queue, options, last } => self.follow(follow, &queue, options, last),
            Up::Unfollow { follow } => {
                if let Some(task) = self.follows.remove(&follow) {
                    task.abort();
                }
            }
            Up::Report { queue, count, all, names } => self.report(queue, Report { count, all, names }),
            Up::Listening { action, count } => self.listen(action, count),
        }
        Ok(())
    }

    /// Answers at once what can be, and the rest beside what follows.
    fn ask(&mut self, id: u64, ask: Ask) {
        if self.asks.len() >= Self::MOST {
            return self.desk.answer(id, Err(Fault::Busy));
        }
        let desk = Arc::clone(&self.desk);
        let mut answering: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            let answer = desk.ask(id, ask).await;
            desk.answer(id, answer);
        });
        // Its next waker is that of the task.
        if answering.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Pending {
            let task = self.tasks.spawn(async move {
                answering.await;
                id
            });
            self.asks.insert(id, task);
        }
    }

    fn publish(
        &self,
        queue: &Key,
        options: QueueOptions,
        event: Option<&str>,
        json: &[u8],
    ) -> Result<EventId, Fault> {
        let queues = &self.agent.hub.queues;
        let channel = queues.open(&queue.app, &queue.name, options)?;
        Ok(queues.pass(&channel, event, json)?)
    }

    fn follow(&mut self, follow: u64, queue: &Key, options: QueueOptions, last: Option<EventId>) {
        let opened = match self.agent.hub.queues.open(&queue.app, &queue.name, options) {
            _ if self.follows.len() >= Self::MOST => Err(Fault::Busy),
            opened => opened.map_err(Fault::from),
        };
        let relay = opened.and_then(|channel| Ok(Relay::new(channel, last)?));
        let (mut relay, followed) = match relay {
            Ok(relay) => relay,
            Err(fault) => {
                tracing::warn!(app = &*queue.app, queue = &*queue.name, ?fault, "a queue cannot be followed");
                return;
            }
        };
        push(&self.outbox, &Down::Followed { follow, followed });
        let outbox = Arc::clone(&self.outbox);
        let task = self.tasks.spawn(async move {
            loop {
                outbox.room().await;
                let down = match relay.next().await {
                    Relayed::Message(frame) => {
                        let event = frame.event().map(Into::into);
                        Down::Message { follow, id: frame.id(), event, json: frame.json() }
                    }
                    Relayed::Stopped(stops) => Down::Stopped { follow, stops },
                };
                if outbox.push(&down).is_err() {
                    tracing::warn!("a message is longer than what an agent passes on");
                }
            }
        });
        if let Some(before) = self.follows.insert(follow, task) {
            before.abort();
        }
    }

    fn report(&mut self, queue: Key, mut report: Report) {
        report.names.retain(|(who, _)| names::check(who).is_ok());
        let mut elsewhere = match self.elsewhere.entry(queue) {
            MapEntry::Occupied(entry) => entry,
            MapEntry::Vacant(entry) => {
                let queue = entry.key();
                // The process follows it, and has said with which options before this.
                let opened = self.agent.hub.queues.open(&queue.app, &queue.name, QueueOptions::default());
                let Ok(channel) = opened else { return };
                entry.insert_entry(Elsewhere::new(channel))
            }
        };
        if !elsewhere.get_mut().apply(report) {
            elsewhere.remove();
        }
    }

    fn listen(&mut self, action: Key, count: usize) {
        if self.listening.len() >= Self::MOST && !self.listening.contains_key(&action) {
            return;
        }
        self.agent.peers.listening(&self.peer, &action, count);
        if count == 0 {
            self.listening.remove(&action);
        } else {
            self.listening.insert(action, count);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for action in self.listening.keys() {
            self.agent.peers.listening(&self.peer, action, 0);
        }
        self.tasks.abort_all();
        self.desk.close();
    }
}
