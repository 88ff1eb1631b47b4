//! The order of messages, whatever is cut or killed meanwhile.

use cepa_bus::{Backend, Bus, QueueOptions};
use cepa_programs::needs;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::{
    SYNCED,
    flaky::{flaky, nothing_is_lost_and_nothing_comes_twice},
    numbers::{connect, eventually, next, numbers},
    redis_server::Redis,
    worker,
};

/// A server with a socket, and a socket that leads there by connections that can be cut.
struct Flaky {
    server: Redis,
    backend: Backend,
    cut: watch::Sender<()>,
    _folder: TempDir,
}

impl Flaky {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [socket, path] = ["redis", "flaky"].map(|name| folder.path().join(name));
        let server = Redis::start(&["--unixsocket", socket.to_str().expect("a text")]);
        let backend = format!("unix://{}", path.display()).parse().expect("an address");
        Self { server, backend, cut: flaky(&path, socket), _folder: folder }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn broken_connections_lose_nothing_and_repeat_nothing() {
    needs!("redis-server");
    let flaky = Flaky::start();
    // Each time it rests longer before it connects again.
    nothing_is_lost_and_nothing_comes_twice(flaky.backend, flaky.cut, 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_is_killed_order_is_kept_and_nothing_comes_twice() {
    needs!("redis-server");
    for (options, is_kept) in [(SYNCED, true), (&["--appendonly", "no"], false)] {
        let mut server = Redis::start(options);
        let bus = connect(server.backend());
        let mut reader = numbers(&bus).subscribe().unwrap();
        eventually(async || numbers(&bus).count().await.is_ok_and(|count| count == 1)).await;
        let clients = server.clients();
        for round in 0..4 {
            let mut worker = worker(&server, "publish");
            let (mut last, mut gaps, mut kills) = (None, 0, 0);
            while last < Some(2000) {
                match next(&mut reader).await {
                    Ok(n) => {
                        assert!(Some(n) > last, "{n} after {last:?} in round {round}");
                        assert!(gaps > 0 || last.map_or(n == 0, |last| n == last + 1), "{n} after {last:?}");
                        (last, gaps) = (Some(n), 0);
                    }
                    Err(_) => gaps += 1,
                }
                assert!(gaps == 0 || !is_kept, "what is kept is not missed");
                if round % 2 == 1 && kills < 2 && last > Some(500 * (kills + 1)) {
                    kills += 1;
                    server.kill();
                    server.start_again();
                }
            }
            worker.kill();
            // What the killed one had under way comes before what anybody publishes once it is gone.
            eventually(async || server.clients() == clients).await;
            numbers(&bus).notify(&u64::MAX).await.unwrap();
            while next(&mut reader).await != Ok(u64::MAX) {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_kept_any_more_is_counted() {
    needs!("redis-server");
    let Flaky { server, backend, cut, _folder } = Flaky::start();
    let few = |bus: &Bus| {
        bus.queue_with::<u64>("few", QueueOptions { keep: 10, ..QueueOptions::default() }).unwrap()
    };
    let (away, here) = (connect(backend), connect(server.backend()));
    let mut subscriber = few(&away).subscribe().unwrap();
    few(&here).notify(&0).await.unwrap();
    few(&away).notify(&1).await.unwrap();
    while next(&mut subscriber).await != Ok(1) {}
    for n in 2..500 {
        cut.send_replace(());
        few(&here).notify(&n).await.unwrap();
    }
    let (mut expected, mut missed) = (2, 0);
    while expected < 500 {
        match next(&mut subscriber).await {
            Ok(n) => {
                assert_eq!(n, expected);
                expected += 1;
            }
            Err(gap) => {
                let gap = gap.expect("numbers tell how many");
                (expected, missed) = (expected + gap, missed + gap);
            }
        }
    }
    assert!(missed > 0);
    let kept = server.command("XLEN cepa:app:log:few");
    assert!(kept.starts_with(":10"), "{kept}");
}
