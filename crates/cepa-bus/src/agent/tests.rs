use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use super::wire::{self, Answer, Ask, Down, Up, VERSION};
use crate::{
    AgentClient, AgentServer, AgentService, Backend, BackendError, Bus, BusConfig, Party, QueueOptions, Role,
    ServiceAnswer, far::Change, names::Key,
};

const LONG: Duration = Duration::from_secs(20);

/// An agent, with its bus and a folder that goes with it.
fn agent() -> (PathBuf, Bus, impl Drop) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus");
    let bus = Bus::new();
    tokio::spawn(AgentServer::serve(UnixListener::bind(&path).unwrap(), bus.clone()));
    (path, bus, folder)
}

fn config(path: &Path) -> BusConfig {
    BusConfig { backend: Backend::Agent(path.to_owned()), wait: LONG, ..BusConfig::default() }
}

/// A process that says what it is told to.
struct Raw(UnixStream);

impl Raw {
    async fn connect(path: &Path) -> Self {
        Self(UnixStream::connect(path).await.unwrap())
    }

    async fn say(&mut self, up: &Up) {
        let mut bytes = Vec::new();
        wire::write(up, &mut bytes).unwrap();
        self.0.write_all(&bytes).await.unwrap();
    }

    async fn hello(path: &Path, publisher: u64) -> Self {
        let mut raw = Self::connect(path).await;
        raw.say(&hello(VERSION, publisher)).await;
        assert!(matches!(raw.hear().await, Some(Down::Welcome { .. })));
        raw
    }

    /// What it is told, apart from signs of life; `None` at the end.
    async fn hear(&mut self) -> Option<Down> {
        loop {
            let length = timeout(LONG, self.0.read_u32()).await.expect("it is told something").ok()?;
            let mut frame = length.to_be_bytes().to_vec();
            frame.resize(4 + length as usize, 0);
            self.0.read_exact(&mut frame[4..]).await.ok()?;
            let (down, _) = wire::read(&frame).unwrap().expect("it is all there");
            if down != Down::Ping {
                return Some(down);
            }
        }
    }
}

fn hello(version: u32, publisher: u64) -> Up {
    Up::Hello { version, pid: 1, is_worker: true, silence: LONG, publisher, window: 10 }
}

fn key(name: &str) -> Key {
    Key { app: "app".into(), name: name.into() }
}

#[tokio::test]
async fn another_version_is_refused() {
    let (path, _bus, _folder) = agent();
    for first in [hello(VERSION + 1, 1), Up::Ping] {
        let mut raw = Raw::connect(&path).await;
        raw.say(&first).await;
        assert!(matches!(raw.hear().await, Some(Down::Refused { .. })));
    }
    let mut raw = Raw::connect(&path).await;
    raw.0.write_all(&[0, 0, 0, 2, 1, 9]).await.unwrap();
    assert!(matches!(raw.hear().await, Some(Down::Refused { .. })), "a hello of another shape too");
}

#[tokio::test]
async fn nonsense_ends_the_connection_that_it_comes_by() {
    let (path, _bus, _folder) = agent();
    let bus = Bus::connect(&config(&path)).unwrap();
    bus.counter("c").unwrap().add(1).await.unwrap();
    let long = u32::try_from(wire::FRAME + 1).unwrap().to_be_bytes();
    for nonsense in [&[0, 0, 0, 1, 0xff][..], &[0, 0, 0, 0], &long, &[0xff; 64]] {
        let mut raw = Raw::hello(&path, 1).await;
        raw.0.write_all(nonsense).await.unwrap();
        assert_eq!(raw.hear().await, None, "{nonsense:?}");
    }
    let mut raw = Raw::hello(&path, 1).await;
    raw.say(&hello(VERSION, 1)).await;
    assert_eq!(raw.hear().await, None, "hello twice");
    assert_eq!(bus.counter("c").unwrap().get().await.unwrap(), 1);
}

#[tokio::test]
async fn a_process_that_takes_no_answers_is_asked_nothing_more() {
    let (path, kept, _folder) = agent();
    let bus = Bus::connect(&config(&path)).unwrap();
    bus.share("large", || "x".repeat(100_000)).unwrap().read().await.unwrap();
    let mut raw = Raw::hello(&path, 1).await;
    // It asks for ten gigabytes, and takes nothing.
    let mut bytes = Vec::new();
    for id in 0..100_000 {
        wire::write(&Up::Ask { id, ask: Ask::Load { share: key("large"), known: None } }, &mut bytes)
            .unwrap();
    }
    let counted = Up::Ask { id: 1, ask: Ask::Count { counter: key("c"), change: Change::Add(1) } };
    wire::write(&counted, &mut bytes).unwrap();
    assert!(timeout(Duration::from_millis(300), raw.0.write_all(&bytes)).await.is_err(), "it is not read");
    assert_eq!(kept.counter("c").unwrap().get().await.unwrap(), 0);
    assert_eq!(bus.counter("c").unwrap().add(5).await.unwrap(), 5, "others go on");
}

#[tokio::test]
async fn a_message_that_is_sent_again_is_published_once() {
    let (path, kept, _folder) = agent();
    let publish = |number, queue: &str| Up::Publish {
        number,
        queue: key(queue),
        options: QueueOptions { message: 10, ..QueueOptions::default() },
        event: None,
        json: "1".into(),
    };
    let mut raw = Raw::hello(&path, 7).await;
    raw.say(&publish(1, "q")).await;
    let Some(Down::Published { number: 1, id: Ok(id) }) = raw.hear().await else { panic!() };
    drop(raw);
    // Over two connections at once, too.
    let (mut first, mut second) = (Raw::hello(&path, 7).await, Raw::hello(&path, 7).await);
    for raw in [&mut first, &mut second] {
        raw.say(&publish(1, "q")).await;
        raw.say(&publish(2, "q")).await;
        assert_eq!(raw.hear().await, Some(Down::Published { number: 1, id: Ok(id) }));
        assert!(matches!(raw.hear().await, Some(Down::Published { number: 2, id: Ok(_) })));
    }
    assert_eq!(kept.queues()[0].published, 2);
    let mut other = Raw::hello(&path, 8).await;
    other.say(&publish(1, "q")).await;
    assert!(matches!(other.hear().await, Some(Down::Published { number: 1, id: Ok(_) })));
    assert_eq!(kept.queues()[0].published, 3, "another process is another publisher");
    let long = Up::Publish {
        number: 2,
        queue: key("q"),
        options: QueueOptions::default(),
        event: None,
        json: "[1,2,3,4,5,6]".into(),
    };
    other.say(&long).await;
    let too_long = Err(wire::Fault::TooLong { most: 10 });
    assert_eq!(other.hear().await, Some(Down::Published { number: 2, id: too_long }));
}

#[tokio::test]
async fn a_token_is_worth_nothing_to_others() {
    let (path, _bus, _folder) = agent();
    let hold = |id| Up::Ask {
        id,
        ask: Ask::Hold { share: key("x"), party: 1, label: "it".into(), wait: LONG, known: None },
    };
    let store = |token| Up::Ask { id: 9, ask: Ask::Store { token, value: None, and_release: true } };
    let (mut first, mut second) = (Raw::hello(&path, 1).await, Raw::hello(&path, 2).await);
    first.say(&hold(1)).await;
    let Some(Down::Answer { id: 1, answer: Ok(Answer::Held { hold: held }) }) = first.hear().await else {
        panic!()
    };
    second.say(&store(held.token)).await;
    assert_eq!(second.hear().await, Some(Down::Answer { id: 9, answer: Err(wire::Fault::LockLost) }));
    // Nor to itself once it is given back; and a wait that is given up leaves nothing.
    second.say(&hold(2)).await;
    second.say(&Up::Cancel { id: 2 }).await;
    second.say(&Up::Release { token: held.token }).await;
    first.say(&store(held.token)).await;
    assert!(matches!(first.hear().await, Some(Down::Answer { id: 9, answer: Ok(_) })));
    first.say(&store(held.token)).await;
    assert_eq!(first.hear().await, Some(Down::Answer { id: 9, answer: Err(wire::Fault::LockLost) }));
    first.say(&hold(3)).await;
    assert!(matches!(first.hear().await, Some(Down::Answer { id: 3, answer: Ok(_) })));
    drop(first);
    second.say(&hold(4)).await;
    assert!(
        matches!(second.hear().await, Some(Down::Answer { id: 4, answer: Ok(_) })),
        "free with its connection"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agents_own_code_is_one_of_the_processes() {
    let (path, kept, _folder) = agent();
    let own = Bus::connect_as(Role::Agent, &config(&path)).unwrap();
    let worker = Bus::connect(&config(&path)).unwrap();
    let mut at_home = own.messenger().on::<u8>("x").unwrap();
    let mut at_work = worker.messenger().on::<u8>("x").unwrap();
    let wait = async {
        while own.messenger().broadcast("x", &0).await.unwrap() < 2
            || worker.messenger().broadcast("x", &0).await.unwrap() < 2
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, wait).await.expect("they know of each other");
    assert_eq!(worker.messenger().send_to_agent("x", &1).await.unwrap(), 1);
    assert_eq!(own.messenger().send_to_app("x", &2).await.unwrap(), 1);
    assert_eq!(worker.messenger().send_to_app("x", &3).await.unwrap(), 1);
    assert!(own.messenger().send_random("x", &4).await.unwrap());
    let mut heard = Vec::new();
    while heard.last() != Some(&1) {
        heard.push(timeout(LONG, at_home.next()).await.unwrap().unwrap());
    }
    assert!(heard[..heard.len() - 1].iter().all(|n| *n == 0), "{heard:?}");
    let mut heard = std::collections::BTreeSet::new();
    while heard.len() < 4 {
        heard.insert(timeout(LONG, at_work.next()).await.unwrap().unwrap());
    }
    assert_eq!(heard.into_iter().collect::<Vec<_>>(), [0, 2, 3, 4]);

    // Whoever looks after the agent sees what all have.
    let share = worker.share("x", || 7u64).unwrap();
    let guard = share.lock(&mut Party::new("GET /"), LONG).await.unwrap();
    let info = &kept.shares()[0];
    assert_eq!((&*info.name, info.owner.as_deref(), info.bytes), ("x", Some("GET /"), Some(1)));
    drop(guard);
    assert!(kept.share("x", || 7u64).is_err(), "its bus has JSON, and is asked by a connection");
    let queue = own.queue::<u64>("q").unwrap();
    let _subscriber = queue.subscribe().unwrap().named("ada").unwrap();
    assert_eq!(queue.present().await.unwrap(), [(Arc::from("ada"), 1)]);
    assert_eq!((kept.queues()[0].subscribers, &*kept.queues()[0].name), (1, "q"));
}

/// Answers what it is asked backwards, and never what begins with a dot; tells of those who have gone.
struct Backwards(tokio::sync::mpsc::UnboundedSender<&'static str>);

impl AgentService for Backwards {
    fn connected(&self) -> Box<dyn AgentClient> {
        Box::new(One(Told(self.0.clone(), "a process")))
    }
}

struct One(Told);

/// Tells when it is dropped.
struct Told(tokio::sync::mpsc::UnboundedSender<&'static str>, &'static str);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}

impl AgentClient for One {
    fn ask(&self, question: Bytes) -> ServiceAnswer {
        let told = Told(self.0.0.clone(), "an answer");
        Box::pin(async move {
            if question.starts_with(b".") {
                let _kept = told;
                std::future::pending::<()>().await;
            }
            if question.is_empty() {
                Err("nothing".into())
            } else {
                Ok(question.iter().rev().copied().collect())
            }
        })
    }
}

#[tokio::test]
async fn a_service_beside_the_bus_knows_who_asks_and_who_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus");
    let (told, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(AgentServer::serve_with(listener, Bus::new(), Arc::new(Backwards(told))));
    let bus = Bus::connect(&config(&path)).unwrap();
    assert_eq!(bus.ask_agent(Bytes::from_static(b"abc")).await.unwrap(), "cba");
    assert_eq!(ended.recv().await, Some("an answer"));
    assert_eq!(bus.ask_agent(Bytes::new()).await, Err(BackendError::Refused("nothing".into())));
    assert_eq!(ended.recv().await, Some("an answer"));
    // What is not waited for any more is given up there.
    assert!(timeout(Duration::from_millis(50), bus.ask_agent(Bytes::from_static(b".."))).await.is_err());
    assert_eq!(timeout(LONG, ended.recv()).await.unwrap(), Some("an answer"));
    drop(bus);
    assert_eq!(timeout(LONG, ended.recv()).await.unwrap(), Some("a process"));

    let (path, bus, _folder) = agent();
    let refused = |why: &str| Err(BackendError::Refused(why.into()));
    assert_eq!(bus.ask_agent(Bytes::new()).await, refused("no agent keeps this bus"));
    let other = Bus::connect(&config(&path)).unwrap();
    assert_eq!(other.ask_agent(Bytes::new()).await, refused("this agent keeps a bus, and nothing else"));
}
