//! Connections that are cut in the middle of whatever they carry, and what they must not change.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use cepa_bus::Backend;
use tokio::{
    io::copy_bidirectional,
    net::{UnixListener, UnixStream},
    sync::{Semaphore, watch},
    time::timeout,
};

use crate::numbers::{SHORT, connect, eventually, next, numbers};

/// A socket whose connections lead to another one, until they are cut.
pub(crate) fn flaky(path: &Path, target: PathBuf) -> watch::Sender<()> {
    let listener = UnixListener::bind(path).expect("a socket");
    let (cut, cuts) = watch::channel(());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (target, mut cuts) = (target.clone(), cuts.clone());
            cuts.mark_unchanged();
            tokio::spawn(async move {
                let Ok(mut server) = UnixStream::connect(target).await else { return };
                tokio::select! {
                    _ = cuts.changed() => {}
                    _ = copy_bidirectional(&mut socket, &mut server) => {}
                }
            });
        }
    });
    cut
}

const PUBLISHERS: u64 = 4;
const EACH: u64 = 1000;

/// Publishes by connections that are cut so often, at even distances, and once more when all is read: all readers see the
/// same order, and each message once.
pub(crate) async fn nothing_is_lost_and_nothing_comes_twice(
    backend: Backend,
    cut: watch::Sender<()>,
    cuts: u64,
) {
    let buses = [connect(backend.clone()), connect(backend)];
    let mut readers = Vec::new();
    for bus in [&buses[0], &buses[1], &buses[1]] {
        bus.ready().await.expect("its backend is there");
        readers.push(numbers(bus).subscribe().expect("a place"));
    }
    // All are there before anything is published.
    eventually(async || numbers(&buses[0]).count().await.is_ok_and(|count| count == 3)).await;
    let published = Arc::new(Semaphore::new(0));
    let mut tasks = Vec::new();
    for publisher in 0..PUBLISHERS {
        let (queue, published) = (numbers(&buses[publisher as usize % 2]), Arc::clone(&published));
        tasks.push(tokio::spawn(async move {
            for n in 0..EACH {
                queue.notify(&(publisher * EACH + n)).await.expect("it is kept until it can be sent");
                published.add_permits(1);
            }
        }));
    }
    let between = u32::try_from(PUBLISHERS * EACH / cuts).expect("a small number");
    let cutter = tokio::spawn(async move {
        for _ in 0..cuts {
            published.acquire_many(between).await.expect("nobody closes it").forget();
            cut.send_replace(());
        }
        cut
    });
    let mut orders = Vec::new();
    for reader in &mut readers {
        let mut order = Vec::new();
        while order.len() as u64 != PUBLISHERS * EACH {
            order.push(next(reader).await.expect("nothing is missed"));
        }
        orders.push(order);
    }
    for task in tasks {
        task.await.expect("it has not fallen");
    }
    let cut = cutter.await.expect("it has not fallen");
    cut.send_replace(());
    assert!(orders.iter().all(|order| *order == orders[0]), "one order");
    let mut next_of = HashMap::new();
    for n in &orders[0] {
        let expected: &mut u64 = next_of.entry(n / EACH).or_default();
        assert_eq!(n % EACH, *expected, "each once, and in the order of its publisher");
        *expected += 1;
    }
    for reader in &mut readers {
        assert!(timeout(SHORT, reader.next()).await.is_err(), "nothing comes twice");
    }
}
