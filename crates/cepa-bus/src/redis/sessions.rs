//! What a session tells Redis from time to time, and what is told to it.

use std::sync::Arc;

use ::redis::{Cmd, Value};
use bytes::Bytes;
use tokio::task::spawn_local;

use super::{
    Settings,
    connection::{Connection, Session, millis},
    keys::Kind,
    scripts,
};
use crate::{far::To, messenger::Switch, names::Key};

/// Says that the process is alive. One that was taken for dead begins anew: others may have what it held.
pub(super) fn beat(settings: &Settings, connection: &Connection) {
    let keys = &settings.keys;
    let mut beat = scripts::call(&scripts::BEAT, &[&keys.sessions, &keys.locks, &keys.waits]);
    beat.arg(&*connection.session.name).arg(millis(settings.silence));
    let (answer, connection) = (connection.beat(beat), connection.clone());
    spawn_local(async move {
        match answer.await {
            Ok(Value::Int(0)) => connection.give_up("Redis has not heard of this process in time"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "Redis was not told that this process is alive"),
        }
    });
}

/// Where it is written who listens for an action.
fn ears(settings: &Settings, action: &Key) -> String {
    settings.keys.of(Kind::Ears, action)
}

/// Says how many listen for an action in this process.
pub(super) fn tell_ears(settings: &Settings, connection: &Connection, action: &Key, count: usize) {
    let key = ears(settings, action);
    let session = &*connection.session.name;
    let mut command;
    if count == 0 {
        command = ::redis::cmd("HDEL");
        command.arg(&key).arg(session);
    } else {
        let role = if settings.is_worker { "worker" } else { "agent" };
        command = ::redis::cmd("HSET");
        command.arg(&key).arg(session).arg(format!("{count} {role} {}", settings.process));
    }
    let told = connection.ask(command);
    let mut expire = ::redis::cmd("PEXPIRE");
    expire.arg(key).arg(millis(settings.limits.queue_idle));
    let kept = connection.ask(expire);
    spawn_local(async move {
        for answer in [told.await, kept.await] {
            if let Err(error) = answer {
                tracing::warn!(%error, "Redis was not told who listens here");
            }
        }
    });
}

/// The call that passes a message on.
pub(super) fn tell(settings: &Settings, session: &Session, action: &Key, to: To, json: &Bytes) -> Cmd {
    let keys = &settings.keys;
    let (word, process) = match to {
        To::Others => ("others", 0),
        To::OtherWorkers => ("workers", 0),
        To::Agent => ("agent", 0),
        To::Random => ("one", 0),
        To::Process(id) => ("process", id),
    };
    let mut call = scripts::call(&scripts::TELL, &[&keys.sessions, &ears(settings, action)]);
    call.arg(word).arg(&*session.name).arg(super::process(process));
    // Lua knows so much exactly.
    call.arg(super::random() >> 12).arg(keys.sessions_channel());
    let how = if to == To::Random { "one" } else { "all" };
    // Names have no control characters.
    let head = ["tell ", how, "\0", &action.app, "\0", &action.name, "\0"].concat();
    call.arg([head.as_bytes(), json].concat());
    call
}

/// Passes a message that has come to those who listen here.
pub(super) fn hear(switch: &Switch, message: &Bytes) {
    let mut parts = message.splitn(4, |byte| *byte == 0);
    let mut text = || parts.next().and_then(|part| std::str::from_utf8(part).ok());
    let (Some(how), Some(app), Some(name)) = (text(), text(), text()) else { return };
    let action = Key { app: Arc::from(app), name: Arc::from(name) };
    let Some(json) = parts.next() else { return };
    let json = message.slice_ref(json);
    match how {
        "tell all" => drop(switch.tell_all(&action, &json)),
        "tell one" => drop(switch.tell_one(&action, json)),
        _ => {}
    }
}
