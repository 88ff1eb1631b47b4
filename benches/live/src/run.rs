//! The measurement.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::{
    Options,
    children::{Process, pids},
    delays::Delays,
    memory,
};

/// Descriptors that a process needs besides its connections.
const OTHERS: usize = 500;
/// How long the machine is left alone before it is looked at.
const SETTLE: Duration = Duration::from_secs(3);

pub fn run(options: &Options) -> crate::Result {
    let limit = raise_descriptor_limit();
    let room = limit.saturating_sub(OTHERS).max(1);
    let each = options.per_process.unwrap_or(usize::MAX).min(room);
    let count = options.connections.div_ceil(each);
    println!("{} {} on {count} servers from {count} loaders", options.connections, options.kind);
    println!("a process may have {limit} descriptors: at most {each} connections each");

    let mut servers = Vec::new();
    let mut loaders = Vec::new();
    let (kind, heartbeat) = (options.kind.name(), options.heartbeat.as_secs().to_string());
    for at in 0..count {
        let mut server = Process::start(&["serve", kind, &heartbeat])?;
        let target = server.answer("listening")?;
        servers.push(server);
        // Each has addresses of its own.
        let source = format!("127.{}.{}.1", at / 250 + 1, at % 250 + 1);
        loaders.push(Process::start(&["load", kind, &source, &target])?);
    }
    sleep(SETTLE);
    let before = Memory::now(&servers, &loaders)?;

    let started = Instant::now();
    let (least, more) = (options.connections / count, options.connections % count);
    for (at, loader) in loaders.iter_mut().enumerate() {
        loader.order(&format!("connect {}", least + usize::from(at < more)))?;
    }
    for loader in &mut loaders {
        loader.answer("connected")?;
    }
    wait_until_parked(&mut servers, options.connections)?;
    let took = started.elapsed();
    println!(
        "parked in {:.1} s: {:.0} connections a second",
        took.as_secs_f64(),
        options.connections as f64 / took.as_secs_f64()
    );

    sleep(SETTLE);
    before.compare(&Memory::now(&servers, &loaders)?, options.connections);
    deliver(options, &mut servers, &mut loaders)
}

/// The most descriptors that this process and its children may have.
fn raise_descriptor_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it cannot be raised, it stays what it is.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize)
}

fn wait_until_parked(servers: &mut [Process], wanted: usize) -> crate::Result {
    loop {
        let mut parked = 0;
        for server in &mut *servers {
            server.order("count")?;
        }
        for server in &mut *servers {
            parked += server.answer("count")?.parse::<usize>()?;
        }
        if parked == wanted {
            return Ok(());
        }
        sleep(Duration::from_millis(20));
    }
}

/// Publishes messages, and says how long each took to be with everybody.
fn deliver(options: &Options, servers: &mut [Process], loaders: &mut [Process]) -> crate::Result {
    let mut all = Delays::default();
    for number in 1..=options.messages {
        wait_until_parked(servers, options.connections)?;
        for server in &mut *servers {
            server.order("publish")?;
        }
        for server in &mut *servers {
            server.answer("published")?;
        }
        let mut message = Delays::default();
        for loader in &mut *loaders {
            let heard = loader.answer("heard")?;
            let (_, delays) = heard.split_once(' ').ok_or("a loader says how long it took")?;
            message.merge(&delays.parse()?);
        }
        println!(
            "message {number}: {} deliveries, the last after {:.0} ms, 99 % after {:.0} ms, half after {:.0} ms",
            message.count(),
            message.quantile(1.0),
            message.quantile(0.99),
            message.quantile(0.5),
        );
        all.merge(&message);
    }
    println!(
        "all messages: the last after {:.0} ms, 99 % after {:.0} ms, half after {:.0} ms",
        all.quantile(1.0),
        all.quantile(0.99),
        all.quantile(0.5)
    );
    Ok(())
}

/// Where the machine's memory is.
struct Memory {
    servers: u64,
    loaders: u64,
    available: u64,
}

impl Memory {
    fn now(servers: &[Process], loaders: &[Process]) -> crate::Result<Self> {
        Ok(Self {
            servers: memory::of_processes(&pids(servers))?,
            loaders: memory::of_processes(&pids(loaders))?,
            available: memory::available()?,
        })
    }

    fn compare(&self, after: &Self, connections: usize) {
        let each = |bytes: u64| bytes / connections as u64;
        let (servers, loaders) =
            (after.servers.saturating_sub(self.servers), after.loaders.saturating_sub(self.loaders));
        let all = self.available.saturating_sub(after.available);
        let kernel = all.saturating_sub(servers + loaders);
        println!(
            "bytes for each connection: server {}, loader {}, kernel {} (both ends)",
            each(servers),
            each(loaders),
            each(kernel)
        );
        println!("all told {:.2} GiB, of it the servers' processes {:.2} GiB", gib(all), gib(after.servers));
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
