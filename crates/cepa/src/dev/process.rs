//! A program of the app at work, as `dev` sees it.

use std::{
    io,
    os::{fd::OwnedFd, unix::net, unix::process::CommandExt},
    process::{Command, ExitStatus},
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf},
    sync::{mpsc, watch},
    task::{spawn_blocking, spawn_local},
    time::timeout,
};

use super::{
    line::{self, LONGEST, Order, Report},
    sockets::Sockets,
};

/// What becomes of a program.
#[derive(Debug)]
pub(super) enum News {
    /// It serves.
    Ready,
    /// It has ended, and what it has said about that.
    Ended { how: String },
}

/// A program that was started; dropped, it ends at once.
pub(super) struct Process {
    pub(super) id: u64,
    group: Group,
    orders: mpsc::UnboundedSender<Order>,
    ended: watch::Receiver<bool>,
}

impl Process {
    /// Starts a program on the sockets.
    pub(super) fn start(
        id: u64,
        mut command: Command,
        sockets: &Sockets,
        begin: Order,
        news: impl Fn(News) + 'static,
    ) -> io::Result<Self> {
        let (ours, theirs) = net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (reports, writing) = UnixStream::from_std(ours)?.into_split();
        // A group of its own: Ctrl-C reaches `dev` alone, which ends it in order, with all that it has started.
        command.stdin(OwnedFd::from(theirs)).process_group(0);
        let mut child = sockets.spawn_with(command)?;
        let group = Group::of(child.id());
        let (orders, to_be_sent) = mpsc::unbounded_channel();
        let (end, ended) = watch::channel(false);
        let _ = orders.send(begin);
        spawn_local(send(writing, to_be_sent));
        spawn_local(async move {
            let waiting = spawn_blocking(move || {
                group.outlived();
                child.wait()
            });
            let why = listen(reports, || news(News::Ready)).await;
            let status = waiting.await.map_err(io::Error::other).flatten();
            end.send_replace(true);
            news(News::Ended { how: told(&status, why) });
        });
        Ok(Self { id, group, orders, ended })
    }

    pub(super) fn order(&self, order: Order) {
        // One that has ended obeys no more.
        let _ = self.orders.send(order);
    }

    /// Ends the program: in order, then at once, then by force, with so long between these.
    pub(super) async fn end(mut self, grace: Duration) {
        self.order(Order::Drain);
        for step in 0.. {
            if timeout(grace, self.ended.wait_for(|ended| *ended)).await.is_ok() {
                break;
            }
            match step {
                0 => self.order(Order::Cut),
                _ => self.kill(),
            }
        }
    }

    fn kill(&self) {
        if !*self.ended.borrow() {
            self.group.signal(Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A process, and all that it has started.
#[derive(Clone, Copy)]
pub(super) struct Group(Option<Pid>);

impl Group {
    /// The group of a process that was started as the first of it.
    pub(super) fn of(process: u32) -> Self {
        Self(i32::try_from(process).ok().and_then(Pid::from_raw))
    }

    /// Waits for the end of the process, and ends what it has left behind.
    fn outlived(self) {
        let Some(process) = self.0 else { return };
        // It is not waited for yet, so that its number is nobody else's.
        while let Err(Errno::INTR) =
            waitid(WaitId::Pid(process), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        {}
        self.signal(Signal::KILL);
    }

    pub(super) fn signal(self, signal: Signal) {
        if let Some(group) = self.0 {
            // One that has ended takes no signal.
            let _ = kill_process_group(group, signal);
        }
    }
}

async fn send(mut line: OwnedWriteHalf, mut orders: mpsc::UnboundedReceiver<Order>) {
    while let Some(order) = orders.recv().await {
        if line.write_all(&line::line(&order)).await.is_err() {
            return;
        }
    }
}

/// Listens to a program until it hangs up; what it has said of its failure.
async fn listen(line: OwnedReadHalf, ready: impl Fn()) -> Option<String> {
    let (mut line, mut why) = (BufReader::new(line), None);
    loop {
        let mut text = Vec::new();
        match (&mut line).take(LONGEST).read_until(b'\n', &mut text).await {
            Ok(1..) => {}
            _ => return why,
        }
        match serde_json::from_slice(&text) {
            Ok(Report::Ready) => ready(),
            Ok(Report::Failed { why: text }) => why = Some(text),
            Ok(Report::Unknown) | Err(_) => {}
        }
    }
}

fn told(status: &io::Result<ExitStatus>, why: Option<String>) -> String {
    match (why, status) {
        (Some(why), _) => why,
        (None, Ok(status)) => format!("{status}; the terminal may say more"),
        (None, Err(error)) => error.to_string(),
    }
}
