//! How a running cluster is asked for something: one JSON object a line, over the control socket of its run folder.
//!
//! A request is one line, [`Request`]; it is answered by lines of [`Answer`]: any number of
//! [`Progress`](Answer::Progress), then one [`Ok`](Answer::Ok) or [`Error`](Answer::Error). A connection may ask for one
//! thing after another. Who may open the socket's file (mode 0600) may ask.
//!
//! ```text
//! → {"do":"reload"}
//! ← {"progress":"generation 2: 4 workers are starting"}
//! ← {"ok":{"generation":2}}
//! ```

pub(crate) mod apps;
mod client;
pub(crate) mod server;

pub use apps::{AppStatus, TimeStatus};
pub use client::{Client, ControlError};
pub(crate) use client::{answered, printable};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most bytes of a line of a request.
pub const LONGEST_REQUEST: usize = 64 * 1024;
/// The most bytes of a line of an answer.
pub const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

/// What a cluster can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// What runs: answered with a [`Status`].
    Status,
    /// New workers in the place of the old, with the program and the configuration that are on disk now; answered with
    /// `{"generation":N}` when the new ones serve. The old ones may still be finishing what they have begun.
    Reload,
    /// A new master in the place of this one, by the same process, then a reload; answered as that is.
    Upgrade,
    /// The end, in order: answered with `{}` when nothing but the master is left, and it ends with that. The
    /// connection closes when it is gone.
    Stop,
    /// Opens the files of the logs anew, in all processes: answered with `{}`.
    Reopen,
    /// Runs a schedule once, in a worker that serves: answered with `{"outcome":..}`, an
    /// [`Outcome`](crate::schedule::Outcome), when it has ended.
    RunSchedule {
        /// Its name.
        name: String,
    },
}

/// A line of what is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// What is being done, for people; more follows.
    Progress(String),
    /// It is done.
    Ok(Value),
    /// It is not done, and why.
    Error(String),
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The master.
    pub master: MasterStatus,
    /// How often workers were made anew as a whole: 1 from the start, and one more with each reload.
    pub generation: u64,
    /// The agent first, then the workers by slot, in each slot the oldest first.
    pub processes: Vec<ProcessStatus>,
    /// What the apps have done: first the one that all requests are made to, then those of its hosts, by their names.
    #[serde(default)]
    pub apps: Vec<AppStatus>,
}

/// The master of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MasterStatus {
    /// Its process.
    pub pid: u32,
    /// Seconds since it was started; an upgrade does not begin them anew.
    pub uptime_s: u64,
    /// The version of the program.
    pub version: String,
    /// Where the workers listen.
    pub listen: Vec<String>,
    /// As for the others.
    pub memory_bytes: u64,
}

/// A process of a cluster, other than the master.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// What it is.
    pub role: Role,
    /// Which worker it is, from 0 on; 0 for the agent.
    pub slot: u32,
    /// Its process.
    pub pid: u32,
    /// The generation it was started for.
    pub generation: u64,
    /// What it does.
    pub state: State,
    /// Seconds since it was started.
    pub uptime_s: u64,
    /// Open connections.
    pub connections: u64,
    /// Requests that were begun since it was started.
    pub requests: u64,
    /// Requests that were begun in the last second or so.
    pub requests_per_s: u64,
    /// Bytes of memory that are resident, 0 where that is not known. Most of what a small process has is the program,
    /// which all of them have in common.
    pub memory_bytes: u64,
    /// How often its place was taken over from one that had ended by itself.
    pub restarts: u64,
}

/// What a process of a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Owns what must exist once: shares, queues, the clock of the schedules.
    Agent,
    /// Serves.
    Worker,
}

/// What a process of a cluster does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It builds its app.
    Starting,
    /// It could serve, and waits until it is told to.
    Ready,
    /// It is at work.
    Serving,
    /// It takes nothing new and finishes what it has begun.
    Draining,
    /// It was told to end at once.
    Stopping,
}

impl Role {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Worker => "worker",
        }
    }
}

impl State {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
        }
    }
}

/// A value as a line.
///
/// # Panics
/// Never: the types of this module have text as their keys.
pub(crate) fn line(value: &impl Serialize) -> String {
    let mut line = serde_json::to_string(value).expect("the types of the protocol have text as their keys");
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_are_what_the_protocol_says() {
        for (request, text) in [
            (Request::Status, json!({"do": "status"})),
            (Request::Reload, json!({"do": "reload"})),
            (Request::Upgrade, json!({"do": "upgrade"})),
            (Request::Stop, json!({"do": "stop"})),
            (Request::Reopen, json!({"do": "reopen"})),
            (
                Request::RunSchedule { name: "clean".to_owned() },
                json!({"do": "run-schedule", "name": "clean"}),
            ),
        ] {
            assert_eq!(serde_json::to_value(&request).unwrap(), text);
            assert_eq!(serde_json::from_value::<Request>(text).unwrap(), request);
        }
        for text in [json!({}), json!({"do": "dance"}), json!({"do": "run-schedule"}), json!("reload")] {
            assert!(serde_json::from_value::<Request>(text).is_err());
        }
    }

    #[test]
    fn answers_are_objects_of_one_key() {
        for (answer, text) in [
            (Answer::Progress("at work".to_owned()), "{\"progress\":\"at work\"}\n"),
            (Answer::Ok(json!({"generation": 2})), "{\"ok\":{\"generation\":2}}\n"),
            (Answer::Error("no".to_owned()), "{\"error\":\"no\"}\n"),
        ] {
            assert_eq!(line(&answer), text);
            assert_eq!(serde_json::from_str::<Answer>(text).unwrap(), answer);
        }
    }
}
