//! What is asked as arguments of the script, and what it answers.

use std::{collections::BTreeMap, sync::LazyLock, vec};

use ::redis::{Script, ScriptInvocation};

use crate::jobs::store::{ANSWER, Answer, Ask, DeadJob, JobCounts, JobId, Slots, Taken};

/// All that is done in Redis.
static STEPS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("steps.lua")));

/// The latest time: Lua counts up to here.
const LATEST: u64 = (1 << 53) - 1;

/// The call of the script for what is asked.
pub(super) fn step(prefix: &str, ask: &Ask) -> ScriptInvocation<'static> {
    let mut call = STEPS.prepare_invoke();
    call.key(prefix);
    match ask {
        Ask::Add { kind, payload, due, now, most } => {
            begin(&mut call, "add", *now).arg(kind).arg(payload).arg((*due).min(LATEST)).arg(most);
        }
        Ask::Take { slots, holder, now, until } => {
            begin(&mut call, "take", *now).arg(holder).arg(until.saturating_sub(*now)).arg(ANSWER);
            for Slots { kind, free, attempts } in slots {
                call.arg(kind).arg(free).arg(attempts);
            }
        }
        Ask::Extend { leases, now, until } => {
            begin(&mut call, "extend", *now).arg(until.saturating_sub(*now));
            pairs(&mut call, leases);
        }
        Ask::Recover { holder, held, now } => {
            begin(&mut call, "recover", *now).arg(holder);
            pairs(&mut call, held);
        }
        Ask::Release { leases, now } => {
            begin(&mut call, "release", *now);
            pairs(&mut call, leases);
        }
        Ask::Done { id, attempt } => drop(finish(&mut call, *id, *attempt, 0).arg("done")),
        Ask::Return { id, attempt, now } => drop(finish(&mut call, *id, *attempt, *now).arg("return")),
        Ask::Bury { id, attempt, error } => {
            finish(&mut call, *id, *attempt, 0).arg("dead").arg(error);
        }
        Ask::Retry { id, attempt, error, now, due } => {
            finish(&mut call, *id, *attempt, *now).arg("waiting").arg(error).arg((*due).min(LATEST));
        }
        Ask::Dead { kind, after, most } => {
            let after = after.map_or(0, |JobId(id)| id);
            begin(&mut call, "dead", 0).arg(kind).arg(after).arg(most).arg(ANSWER);
        }
        Ask::Revive { id, now } => drop(begin(&mut call, "revive", *now).arg(number(*id))),
        Ask::Discard { id } => drop(begin(&mut call, "discard", 0).arg(number(*id))),
        Ask::Count => drop(begin(&mut call, "count", 0)),
    }
    call
}

fn begin<'c, 's>(call: &'c mut ScriptInvocation<'s>, step: &str, now: u64) -> &'c mut ScriptInvocation<'s> {
    call.arg(step).arg(now.min(LATEST))
}

fn finish<'c, 's>(
    call: &'c mut ScriptInvocation<'s>,
    id: u64,
    attempt: u32,
    now: u64,
) -> &'c mut ScriptInvocation<'s> {
    begin(call, "finish", now).arg(number(id)).arg(attempt)
}

fn pairs(call: &mut ScriptInvocation<'_>, leases: &[(u64, u32)]) {
    for (id, attempt) in leases {
        call.arg(number(*id)).arg(attempt);
    }
}

/// The number of a job as it is in Redis.
fn number(id: u64) -> String {
    format!("{id:016}")
}

/// What the script has answered; `None` for what makes no sense.
pub(super) fn answer(ask: &Ask, parts: Vec<String>) -> Option<Answer> {
    let mut parts = parts.into_iter();
    Some(match (&*parts.next()?, ask) {
        ("added", _) => Answer::Added(JobId(parts.next()?.parse().ok()?)),
        ("full", Ask::Add { most, .. }) => Answer::Full(*most),
        ("taken", _) => {
            let next = parts.next()?;
            let next = if next.is_empty() { None } else { Some(next.parse().ok()?) };
            Answer::Taken { jobs: all(parts, taken)?, next }
        }
        ("lost", _) => Answer::Lost(all(parts, |parts| parts.next()?.parse().ok())?),
        ("noted", _) => Answer::Noted,
        ("unknown", _) => Answer::Unknown,
        ("dead", _) => Answer::Dead(all(parts, dead)?),
        ("counts", _) => counts(parts)?,
        _ => return None,
    })
}

type Parts = vec::IntoIter<String>;

/// All that is left, one after the other.
fn all<T>(mut parts: Parts, one: impl Fn(&mut Parts) -> Option<T>) -> Option<Vec<T>> {
    let mut all = Vec::new();
    while parts.len() > 0 {
        all.push(one(&mut parts)?);
    }
    Some(all)
}

fn taken(parts: &mut Parts) -> Option<Taken> {
    Some(Taken {
        id: parts.next()?.parse().ok()?,
        kind: parts.next()?,
        payload: parts.next()?,
        due: parts.next()?.parse().ok()?,
        attempt: parts.next()?.parse().ok()?,
    })
}

fn dead(parts: &mut Parts) -> Option<DeadJob> {
    Some(DeadJob {
        id: JobId(parts.next()?.parse().ok()?),
        kind: parts.next()?,
        payload: parts.next()?,
        added: parts.next()?.parse().ok()?,
        attempts: parts.next()?.parse().ok()?,
        error: parts.next()?,
    })
}

fn counts(mut parts: Parts) -> Option<Answer> {
    let mut counts: BTreeMap<String, JobCounts> = BTreeMap::new();
    while let Some(name) = parts.next() {
        let (state, kind) = name.split_once(' ')?;
        let of_kind = counts.entry(kind.to_owned());
        let of_kind = of_kind.or_insert_with(|| JobCounts { kind: kind.to_owned(), ..JobCounts::default() });
        let count = match state {
            "waiting" => &mut of_kind.waiting,
            "leased" => &mut of_kind.running,
            "dead" => &mut of_kind.dead,
            _ => return None,
        };
        *count = parts.next()?.parse().ok()?;
    }
    Some(Answer::Counts(counts.into_values().collect()))
}
