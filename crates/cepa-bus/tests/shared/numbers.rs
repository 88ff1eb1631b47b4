//! A queue and a share of numbers, and waiting for what becomes of them.
#![allow(dead_code, reason = "each test file uses its part")]

use std::time::Duration;

use cepa_bus::{Backend, Bus, BusConfig, Delivery, Queue, QueueOptions, Share, Subscriber};
use tokio::time::{sleep, timeout};

/// Longer than anything takes that works.
pub(crate) const LONG: Duration = Duration::from_secs(30);
/// Long enough to see that nothing comes.
pub(crate) const SHORT: Duration = Duration::from_millis(100);

pub(crate) fn config(backend: Backend) -> BusConfig {
    BusConfig { backend, wait: LONG, silence: Duration::from_secs(2), ..BusConfig::default() }
}

pub(crate) fn connect(backend: Backend) -> Bus {
    Bus::connect(&config(backend)).expect("a thread")
}

pub(crate) fn number(bus: &Bus) -> Share<u64> {
    bus.share("number", || 0).expect("a name")
}

/// A queue that keeps all that a test publishes.
pub(crate) fn numbers(bus: &Bus) -> Queue<u64> {
    let options = QueueOptions { keep: 100_000, keep_bytes: 64 << 20, ..QueueOptions::default() };
    bus.queue_with("numbers", options).expect("a name")
}

/// The next number, or how many were missed.
pub(crate) async fn next(subscriber: &mut Subscriber<u64>) -> Result<u64, Option<u64>> {
    match timeout(LONG, subscriber.next()).await.expect("something comes") {
        Some(Delivery::Message(message)) => Ok(message.value().expect("a number")),
        Some(Delivery::Missed(count)) => Err(count),
        None => panic!("it has ended: {:?}", subscriber.stopped()),
    }
}

/// Until it is so; what other processes are told of takes a moment, and nothing says when they have it.
pub(crate) async fn eventually(mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, wait).await.expect("it becomes so");
}

/// Until the bus knows that its backend is out of reach.
pub(crate) async fn is_lost(bus: &Bus) {
    eventually(async || timeout(Duration::from_millis(1), bus.ready()).await.is_err()).await;
}
