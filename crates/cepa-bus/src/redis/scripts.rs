//! What Redis does in one step: scripts in its Lua.
//!
//! A script names all keys it touches, the same ones in the same places for those that share a part. Whoever runs one
//! passes texts; numbers are written in decimal. An answer is one value, or a list that begins with a word for what came of
//! it. Lua knows numbers up to 2^53 exactly: [versions](CLOCK) and numbers of messages stay below.

mod locks;
mod maps;
mod names;
mod queues;
mod sessions;
mod shares;

use std::sync::LazyLock;

use ::redis::Cmd;

pub(super) use self::{locks::*, maps::*, names::*, queues::*, sessions::*, shares::*};

/// Declares scripts, each put together from parts.
macro_rules! scripts {
    ($all:ident: $($(#[$doc:meta])* $name:ident = $($part:expr),+;)+) => {
        $(
            $(#[$doc])*
            pub(in crate::redis) static $name: std::sync::LazyLock<$crate::redis::scripts::Script> =
                std::sync::LazyLock::new(|| $crate::redis::scripts::Script::new(&[$($part),+]));
        )+
        pub(super) static $all: &[&std::sync::LazyLock<$crate::redis::scripts::Script>] = &[$(&$name),+];
    };
}
use scripts;

/// A script, and the hash that it is called by once it is loaded.
pub(super) struct Script {
    pub(super) code: String,
    hash: String,
}

impl Script {
    fn new(parts: &[&str]) -> Self {
        let code = parts.concat();
        Self { hash: ::redis::Script::new(&code).get_hash().to_owned(), code }
    }
}

/// All scripts, for a new connection to load.
pub(super) fn all() -> impl Iterator<Item = &'static LazyLock<Script>> {
    [locks::LOCKS, maps::MAPS, names::NAMING, queues::QUEUES, sessions::SESSIONS, shares::SHARES]
        .into_iter()
        .flatten()
        .copied()
}

/// `tick(key)`: a number that was never answered before, also when Redis has forgotten everything since: microseconds
/// since 1970, or one more than the last. It is the version of what is written, the token of a lock, the number of an era.
const CLOCK: &str = "
local function tick(key)
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local last = tonumber(redis.call('GET', key) or 0)
    if now <= last then now = last + 1 end
    local text = string.format('%.0f', now)
    redis.call('SET', key, text)
    return text
end
";

/// `now`: the millisecond that it is in Redis.
const NOW: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
";

/// `alive(session)`: whether Redis has heard of a session within its lease. `KEYS[1]` are the sessions, a sorted set by the
/// millisecond at which the lease ends.
const ALIVE: &str = "
local sessions = KEYS[1]
local function alive(session)
    local ends = redis.call('ZSCORE', sessions, session)
    return ends and tonumber(ends) > now
end
";

/// `enter(names, name, ends, most)`: whether a name is among those of its kind, a sorted set by the millisecond at which each
/// ends, or there is room for it.
const NAMES: &str = "
local function enter(names, name, ends, most)
    if not redis.call('ZSCORE', names, name) and redis.call('ZCARD', names) >= tonumber(most) then
        redis.call('ZREMRANGEBYSCORE', names, '-inf', now)
        if redis.call('ZCARD', names) >= tonumber(most) then return false end
    end
    redis.call('ZADD', names, ends, name)
    return true
end
";

/// The call of a script, so far with its keys.
pub(super) fn call(script: &Script, keys: &[&str]) -> Cmd {
    let mut call = ::redis::cmd("EVALSHA");
    call.arg(&*script.hash).arg(keys.len()).arg(keys);
    call
}
