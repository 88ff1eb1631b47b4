//! Locks of shares, and who waits for them.
//!
//! All locks are in one hash, and so are all waits, so that a script finds every way through them by keys that it was given.
//! A party is its session and its number there. What is held or waited for by a session that is no more is passed over, and
//! taken out where it is met.

use super::{
    ALIVE, CLOCK, NAMES, NOW, scripts,
    shares::{LOOK, WRITE_IT},
};

/// `holder(lock)`: the token, the party, the label and the attempt of who holds a lock.
///
/// `first()`: the party whose turn it is once this lock is free.
///
/// `wake(channels)`: tells that party, through the channel of its session, that the lock is free.
///
/// Keys: 1 the sessions, 2 the locks, by name: token, session, number, attempt and label; 3 the waits, by party: the lock; 4 the line
/// of those who wait for this lock, by the time at which they came. The first argument is the name of the lock.
const LINE: &str = "
local locks, waits, line, lock = KEYS[2], KEYS[3], KEYS[4], ARGV[1]
local function holder(of)
    local held = redis.call('HGET', locks, of)
    if not held then return nil end
    local token, session, number, attempt, label = held:match('^(%d+) (%S+) (%d+) (%d+) (.*)$')
    if alive(session) then return token, session .. ' ' .. number, label, attempt end
    redis.call('HDEL', locks, of)
    return nil
end
local function leave(party)
    redis.call('ZREM', line, party)
    redis.call('HDEL', waits, party)
end
local function first()
    while true do
        local party = redis.call('ZRANGE', line, 0, 0)[1]
        if not party or alive(party:match('^%S+')) then return party end
        leave(party)
    end
end
local function wake(channels)
    if holder(lock) then return end
    local party = first()
    if not party then return end
    local session, number = party:match('^(%S+) (%d+)$')
    redis.call('PUBLISH', channels .. session, 'turn ' .. number)
end
";

scripts! { LOCKS:
    /// Writes a share whose lock is free.
    ///
    /// Keys: 1 to 4, 5 the clock, 6 the share, 7 the names of shares. Arguments: the lock, the wish, the time to live, the JSON,
    /// most bytes of an answer, most shares. Answer: as `write`; `held` if the lock is not free, unless nothing was to be there
    /// and something is.
    WRITE = NOW, ALIVE, CLOCK, NAMES, LOOK, WRITE_IT, LINE, "
local is_in_vain = ARGV[2] == '0' and redis.call('EXISTS', KEYS[6]) == 1
if not is_in_vain and (holder(lock) or first()) then return {'held'} end
return write(KEYS[6], lock, ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6])
";

    /// Takes a lock, or a place in its line; asked again by one who has a place, it is the same place.
    ///
    /// A wait that could never end is refused: the holder of this lock waits for one whose holder waits for one, and so on, to
    /// one that this party holds. As a wait is entered in the same step, the last of those that make a circle sees it. It
    /// looks 256 waits far.
    ///
    /// Keys: 1 to 4, 5 the clock, 6 the share. Arguments: the lock, the session, the number, the attempt, the label, most
    /// that wait, the version that is known or nothing, most bytes of a value.
    ///
    /// Answer: `lock`, the token, and as `look`; `wait` and the label of the holder; `full`; `dead`, if the session is over;
    /// `circle`, then for each wait of it the label and the lock.
    HOLD = NOW, ALIVE, CLOCK, LOOK, LINE, "
local clock, share = KEYS[5], KEYS[6]
local me, label = ARGV[2] .. ' ' .. ARGV[3], ARGV[5]
if not alive(ARGV[2]) then return {'dead'} end
local token, by, by_label = holder(lock)
local head = first()
if not token and (not head or head == me) then
    leave(me)
    token = tick(clock)
    redis.call('HSET', locks, lock, token .. ' ' .. me .. ' ' .. ARGV[4] .. ' ' .. label)
    local answer = look(share, ARGV[7], ARGV[8])
    table.insert(answer, 1, token)
    table.insert(answer, 1, 'lock')
    return answer
end
local circle, at = {'circle', label, lock}, lock
for _ = 1, 256 do
    if not by then break end
    if by == me then return circle end
    local next_lock = redis.call('HGET', waits, by)
    if not next_lock or next_lock == at then break end
    table.insert(circle, by_label)
    table.insert(circle, next_lock)
    at = next_lock
    local _, next_by, next_label = holder(at)
    by, by_label = next_by, next_label
end
if not redis.call('ZSCORE', line, me) then
    if redis.call('ZCARD', line) >= tonumber(ARGV[6]) then return {'full'} end
    redis.call('ZADD', line, tick(clock), me)
    redis.call('HSET', waits, me, lock)
end
redis.call('PEXPIRE', line, 86400000)
local _, _, present = holder(lock)
return {'wait', present or 'another'}
";

    /// Writes a share whose lock is held, and gives the lock back if so wished.
    ///
    /// Keys: 1 to 4, 5 the clock, 6 the share, 7 the names of shares. Arguments: the lock, the token, the wish, the time to
    /// live, the JSON, most bytes of an answer, most shares, `1` to give the lock back, the beginning of the channels of
    /// sessions. Answer: as `write`, and after `names` the lock is still held; `lost` if it is no longer this token's.
    STORE = NOW, ALIVE, CLOCK, NAMES, LOOK, WRITE_IT, LINE, "
if holder(lock) ~= ARGV[2] then return {'lost'} end
local answer = write(KEYS[6], lock, ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7])
if ARGV[8] == '1' and answer[1] ~= 'names' then
    redis.call('HDEL', locks, lock)
    wake(ARGV[9])
end
return answer
";

    /// Gives a lock back, if it is still this token's.
    ///
    /// Keys: 1 to 4. Arguments: the lock, the token, the beginning of the channels of sessions. Answer: nothing.
    RELEASE = NOW, ALIVE, LINE, "
if holder(lock) ~= ARGV[2] then return nil end
redis.call('HDEL', locks, lock)
wake(ARGV[3])
return nil
";

    /// Gives up an attempt to get a lock: the place in the line, and the lock if it was given after all.
    ///
    /// Keys: 1 to 4. Arguments: the lock, the session, the number, the attempt, the beginning of the channels of sessions.
    /// Answer: nothing.
    GIVE_UP = NOW, ALIVE, LINE, "
local me = ARGV[2] .. ' ' .. ARGV[3]
leave(me)
local _, party, _, attempt = holder(lock)
if party == me and attempt == ARGV[4] then redis.call('HDEL', locks, lock) end
wake(ARGV[5])
return nil
";
}
