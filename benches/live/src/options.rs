//! The command line.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

pub const HELP: &str = "\
cargo xtask bench live [OPTIONS]

  --connections N   subscribers to park [10000]
  --kind KIND       sse, poll or ws [sse]
  --per-process N   most connections of one process [what its descriptor limit allows]
  --messages N      messages published, one after the other [10]
  --heartbeat S     seconds between the heartbeats of an idle connection [60]";

/// How subscribers are parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sse,
    Poll,
    Ws,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::Poll => "poll",
            Self::Ws => "ws",
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Sse, Self::Poll, Self::Ws]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| format!("{text:?} is none of sse, poll, ws"))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sse => "streams of events",
            Self::Poll => "long polls",
            Self::Ws => "WebSockets",
        })
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub connections: usize,
    pub kind: Kind,
    pub per_process: Option<usize>,
    pub messages: usize,
    pub heartbeat: Duration,
}

/// What this process is to be.
pub enum Asked {
    Help,
    Run(Options),
    Serve { kind: Kind, heartbeat: Duration },
    Load { kind: Kind, source: Ipv4Addr, target: SocketAddr },
}

pub fn parse(args: &[String]) -> Result<Asked, String> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", kind, heartbeat] => Ok(Asked::Serve {
            kind: kind.parse()?,
            heartbeat: Duration::from_secs(number(heartbeat)? as u64),
        }),
        ["load", kind, source, target] => {
            let source = source.parse().map_err(|error| format!("{source}: {error}"))?;
            let target = target.parse().map_err(|error| format!("{target}: {error}"))?;
            Ok(Asked::Load { kind: kind.parse()?, source, target })
        }
        ["--help" | "-h"] => Ok(Asked::Help),
        _ => measured(&words).map(Asked::Run),
    }
}

fn measured(words: &[&str]) -> Result<Options, String> {
    let mut options = Options {
        connections: 10_000,
        kind: Kind::Sse,
        per_process: None,
        messages: 10,
        heartbeat: Duration::from_secs(60),
    };
    for pair in words.chunks(2) {
        let &[name, value] = pair else { return Err(format!("{} wants a value\n\n{HELP}", pair[0])) };
        match name {
            "--connections" => options.connections = number(value)?.max(1),
            "--kind" => options.kind = value.parse()?,
            "--per-process" => options.per_process = Some(number(value)?.max(1)),
            "--messages" => options.messages = number(value)?.max(1),
            "--heartbeat" => options.heartbeat = Duration::from_secs(number(value)? as u64),
            _ => return Err(format!("there is no {name}\n\n{HELP}")),
        }
    }
    Ok(options)
}

fn number(text: &str) -> Result<usize, String> {
    text.replace(['_', ','], "").parse().map_err(|_| format!("{text:?} is no number"))
}
