//! A process of a test's machine: `agent SOCKET STORE`, or `worker BACKEND TASK [SECONDS]`, with the silence it allows.

#[path = "../shared/numbers.rs"]
mod numbers;

use std::{
    env,
    io::{self, Read as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use cepa_bus::{AgentServer, Bus, BusConfig, Party};
use numbers::{LONG, config, number, numbers};
use tokio::{net::UnixListener, runtime::Builder, sync::oneshot};

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    // Whoever has started it holds the other end.
    let (left, is_left) = oneshot::channel();
    thread::spawn(move || left.send(io::stdin().read(&mut [0])));
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        tokio::select! {
            () = run(&arguments) => {}
            _ = is_left => {}
        }
    });
}

async fn run(arguments: &[&str]) {
    match *arguments {
        ["agent", socket, store] => agent(Path::new(socket), store.into()).await,
        ["worker", backend, task] => worker(backend, task, "2").await,
        ["worker", backend, task, silence] => worker(backend, task, silence).await,
        _ => panic!("agent SOCKET STORE | worker BACKEND TASK [SECONDS], not {arguments:?}"),
    }
}

async fn agent(socket: &Path, store: PathBuf) {
    let bus = Bus::connect(&BusConfig { store: Some(store), ..BusConfig::default() }).expect("a store");
    // Of one that was killed.
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket).expect("a socket");
    match AgentServer::serve(listener, bus).await {}
}

async fn worker(backend: &str, task: &str, silence: &str) {
    let silence = Duration::from_secs(silence.parse().expect("a number of seconds"));
    let backend = backend.parse().expect("a backend");
    let bus = Bus::connect(&BusConfig { silence, ..config(backend) }).expect("a thread");
    bus.ready().await.expect("its backend is there");
    match task {
        "hold" => hold(&bus).await,
        "wait" => {
            println!("ready");
            let _guard = number(&bus).lock(&mut Party::new("the one who waits"), LONG).await;
        }
        "count" => count(&bus).await,
        "publish" => publish(&bus).await,
        other => panic!("no task {other}"),
    }
}

/// Has a lock, listens and is there.
async fn hold(bus: &Bus) {
    let _guard = number(bus).lock(&mut Party::new("the killed one"), LONG).await.expect("it is free");
    let _listener = bus.messenger().on::<u8>("x").expect("a name");
    let queue = numbers(bus);
    let mut subscriber = queue.subscribe().expect("a place").named("killed").expect("a name");
    assert_eq!(queue.present().await.expect("it answers").len(), 1);
    assert!(bus.messenger().send_random("x", &1).await.expect("it answers"));
    println!("ready");
    while subscriber.next().await.is_some() {}
}

/// Says of each number whether it was written; what was not answered may have been done.
async fn count(bus: &Bus) {
    let share = bus.share("durable", || 0u64).expect("a name").durable();
    loop {
        let counted = share.update(|n| {
            *n += 1;
            *n
        });
        match counted.await {
            Ok(n) => println!("done {n}"),
            Err(error) => println!("failed {error}"),
        }
    }
}

/// Says of each number whether it was published; what was not answered may have been done.
async fn publish(bus: &Bus) {
    let queue = numbers(bus);
    for n in 0.. {
        match queue.notify(&n).await {
            Ok(_) => println!("done {n}"),
            Err(error) => println!("failed {error}"),
        }
    }
}
