//! Sessions: a process, from when it has connected until that connection is lost.

use super::{ALIVE, CLOCK, NOW, scripts};

scripts! { SESSIONS:
    /// Begins a session, and ends the one that the process had before.
    ///
    /// The era is a number that grows whenever Redis may have forgotten something that it had told others. That is so when it
    /// runs anew, unless it writes everything down before it answers.
    ///
    /// Keys: 1 the sessions, 2 the clock, 3 the era, 4 the last batch of the process. Arguments: the session; its lease in
    /// milliseconds; the one before or nothing; the run of Redis; `1` if a new run of it has all that the one before had; the
    /// milliseconds for which the last batch is kept. Answer: the era.
    BEGIN = NOW, ALIVE, CLOCK, "
redis.call('ZADD', sessions, now + ARGV[2], ARGV[1])
if ARGV[3] ~= '' then redis.call('ZADD', sessions, 'XX', 0, ARGV[3]) end
local present = redis.call('HMGET', KEYS[3], 'run', 'number')
local era = present[2]
if present[1] ~= ARGV[4] then
    if not era or ARGV[5] ~= '1' then era = tick(KEYS[2]) end
    redis.call('HSET', KEYS[3], 'run', ARGV[4], 'number', era)
end
if ARGV[3] == '' then redis.call('SET', KEYS[4], '0', 'NX', 'PX', ARGV[6]) end
return era
";

    /// Keeps a session alive, and takes out what is left of those that are not.
    ///
    /// Keys: 1 the sessions, 2 the locks, 3 the waits. Arguments: the session, its lease in milliseconds. Answer: 1; 0 if it was
    /// taken for dead.
    BEAT = NOW, ALIVE, "
if not alive(ARGV[1]) then return 0 end
redis.call('ZADD', sessions, now + ARGV[2], ARGV[1])
local dead, is_dead = redis.call('ZRANGEBYSCORE', sessions, '-inf', now, 'LIMIT', 0, 64), {}
if #dead == 0 then return 1 end
for _, session in ipairs(dead) do
    is_dead[session] = true
    redis.call('ZREM', sessions, session)
end
local held = redis.call('HGETALL', KEYS[2])
for at = 1, #held, 2 do
    if is_dead[held[at + 1]:match('^%d+ (%S+)')] then redis.call('HDEL', KEYS[2], held[at]) end
end
for _, party in ipairs(redis.call('HKEYS', KEYS[3])) do
    if is_dead[party:match('^%S+')] then redis.call('HDEL', KEYS[3], party) end
end
return 1
";

    /// Ends a session.
    ///
    /// Keys: the sessions. Arguments: the session. Answer: nothing.
    END = "
redis.call('ZADD', KEYS[1], 'XX', 0, ARGV[1])
return nil
";

    /// Passes a message to those who listen for an action.
    ///
    /// Keys: 1 the sessions, 2 the ears: by session how many they are, `worker` or `agent`, the id of the process and the name
    /// of its machine. Arguments: `others`, `workers`, `agent`, `one` or `process`; the session that asks; the id of a
    /// process and the name of its machine; a random number; the beginning of the channels of sessions; the message.
    /// Answer: how many listen.
    TELL = NOW, ALIVE, "
local to, me, process = ARGV[1], ARGV[2], ARGV[3]
local heard, all, sum = redis.call('HGETALL', KEYS[2]), {}, 0
for at = 1, #heard, 2 do
    local session = heard[at]
    local count, role, id = heard[at + 1]:match('^(%d+) (%S+) (.*)$')
    if not alive(session) then
        redis.call('HDEL', KEYS[2], session)
    elseif (to == 'others' and session ~= me) or (to == 'workers' and session ~= me and role == 'worker')
        or (to == 'agent' and role == 'agent') or (to == 'one' and role == 'worker')
        or (to == 'process' and id == process) then
        table.insert(all, {session, tonumber(count)})
        sum = sum + count
    end
end
if sum == 0 then return 0 end
local place, told = tonumber(ARGV[4]) % sum, 0
for _, ear in ipairs(all) do
    if to ~= 'one' or (place >= 0 and place < ear[2]) then
        if redis.call('PUBLISH', ARGV[5] .. ear[1], ARGV[6]) > 0 then told = told + ear[2] end
    end
    place = place - ear[2]
end
if to == 'one' and told > 0 then return 1 end
return told
";
}
