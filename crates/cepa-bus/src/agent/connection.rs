//! The thread that has the connection of a process to the agent.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{UnixStream, unix::OwnedReadHalf},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    inbox::Inbox,
    link::Link,
    wire::{Down, Up},
};

/// Between two attempts: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// How long the agent has to be found, and to say welcome.
const HELLO: Duration = Duration::from_secs(5);
/// For so long, those who come and go are told of together.
const REPORT: Duration = Duration::from_millis(50);

/// Makes the thread.
pub(super) fn spawn(link: Arc<Link>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    std::thread::Builder::new().name("cepa-bus".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = link.ended.notified() => {}
                () = run(&link) => {}
            }
        });
    })?;
    Ok(())
}

/// Connects, for ever.
async fn run(link: &Link) {
    let mut pause = PAUSE.0;
    let mut is_lost = false;
    loop {
        let mut was_there = false;
        let error = match session(link, &mut was_there).await {
            Ok(()) => io::ErrorKind::UnexpectedEof.into(),
            Err(error) => error,
        };
        link.lost(&error);
        if was_there || !is_lost {
            tracing::warn!(path = %link.path.display(), %error, "the bus is out of reach");
        }
        (is_lost, pause) = (true, if was_there { PAUSE.0 } else { pause });
        // Not all processes at the same moment.
        let more = RandomState::new().hash_one(()) % (pause.as_millis() as u64 / 2 + 1);
        sleep(pause + Duration::from_millis(more)).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

async fn session(link: &Link, was_there: &mut bool) -> io::Result<()> {
    let (read, write) = timeout(HELLO, UnixStream::connect(&link.path)).await??.into_split();
    link.outbox.clear();
    push(link, &link.hello());
    tokio::select! {
        ended = talk(link, Inbox::new(read), was_there) => ended,
        ended = link.outbox.write_to(write) => ended,
    }
}

async fn talk(link: &Link, mut inbox: Inbox<OwnedReadHalf>, was_there: &mut bool) -> io::Result<()> {
    let welcome = timeout(HELLO, async {
        loop {
            match inbox.next()? {
                Some(down) => return Ok(Some(down)),
                None if !inbox.fill().await? => return io::Result::Ok(None),
                None => {}
            }
        }
    });
    match welcome.await?? {
        Some(Down::Welcome { life }) => link.connected(life),
        Some(Down::Refused { why }) => return Err(io::Error::other(&*why)),
        _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not say welcome")),
    }
    *was_there = true;
    tracing::info!(path = %link.path.display(), "the bus is there");

    let mut beat = interval(link.silence / 3);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut report = pin!(sleep(REPORT));
    let mut is_to_report = false;
    let mut heard = Instant::now();
    loop {
        while let Some(down) = inbox.next()? {
            hear(link, down)?;
        }
        tokio::select! {
            filled = inbox.fill() => {
                heard = Instant::now();
                if !filled? {
                    return Ok(());
                }
            }
            () = link.has_changed.notified(), if !is_to_report => {
                is_to_report = true;
                report.as_mut().reset(Instant::now() + REPORT);
            }
            () = report.as_mut(), if is_to_report => {
                is_to_report = false;
                link.report();
            }
            _ = beat.tick() => {
                if heard.elapsed() >= link.silence {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "it gives no sign of life"));
                }
                push(link, &Up::Ping);
                link.unfollow_idle();
            }
        }
    }
}

fn push(link: &Link, up: &Up) {
    link.outbox.push(up).expect("a few numbers fit into a frame");
}

fn hear(link: &Link, down: Down) -> io::Result<()> {
    match down {
        Down::Ping => {}
        Down::Answer { id, answer } => link.answered(id, answer),
        Down::Part { id, entries } => link.part(id, entries),
        Down::Published { number, id } => link.published(number, id),
        Down::Followed { follow, followed } => {
            link.mirror(follow).inspect(|mirror| mirror.followed(followed));
        }
        Down::Message { follow, id, event, json } => {
            link.mirror(follow).inspect(|mirror| mirror.receive(id, event.as_deref(), &json));
        }
        Down::Stopped { follow, stops } => {
            link.mirror(follow).inspect(|mirror| mirror.stopped(stops));
        }
        Down::Told { action, one, json } => {
            if let Some(switch) = link.switch.upgrade() {
                if one {
                    switch.tell_one(&action, json);
                } else {
                    switch.tell_all(&action, &json);
                }
            }
        }
        Down::Refused { why } => return Err(io::Error::other(&*why)),
        Down::Welcome { .. } => {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it says welcome twice"));
        }
    }
    Ok(())
}
