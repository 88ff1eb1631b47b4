//! Queues: a hash for what is known of each, a stream for its last messages, a channel for those that come.
//!
//! The id of a message in the stream is `number-0`. What goes through the channel is `message life number event`, a line
//! break and the JSON, or `stop life stops number`.

use super::{ALIVE, scripts};

/// `open(meta, log, era, life, keep, bytes)`: what is known of a queue, which is made anew if there is nothing, or nothing that
/// is sure to be all, because it is of an earlier era; with the life and the options that are given then.
///
/// `renew(…)`: the same, anew in any case.
const OPEN: &str = "
local function renew(meta, log, era, life, keep, bytes)
    redis.call('DEL', meta, log)
    redis.call('HSET', meta, 'life', life, 'number', 0, 'era', era, 'stops', 0, 'stopped', 0,
        'keep', keep, 'bytes', bytes, 'size', 0)
    return {life = life, number = 0, stops = 0, stopped = 0, keep = tonumber(keep), bytes = tonumber(bytes), size = 0}
end
local function open(meta, log, era, life, keep, bytes)
    local of = redis.call('HMGET', meta, 'life', 'number', 'era', 'stops', 'stopped', 'keep', 'bytes', 'size')
    if not of[1] or tonumber(of[3]) < tonumber(era) then return renew(meta, log, era, life, keep, bytes) end
    return {life = of[1], number = tonumber(of[2]), stops = tonumber(of[4]), stopped = tonumber(of[5]),
        keep = tonumber(of[6]), bytes = tonumber(of[7]), size = tonumber(of[8])}
end
local function expire(meta, log, idle)
    redis.call('PEXPIRE', meta, idle)
    redis.call('PEXPIRE', log, idle)
end
";

scripts! { QUEUES:
    /// Publishes a batch of messages of one process, once however often it is asked to.
    ///
    /// A process has one batch under way, and numbers them. The last one done is remembered with its answer. One that is sent
    /// again is not done if it cannot be known that it was not: `lost`.
    ///
    /// Keys: 1 the last batch of the process; then for each message the queue and its log. Arguments: the number of the batch;
    /// `1` if it is sent again; the era; a life for a queue that is made anew; the milliseconds after which a queue that
    /// nobody uses is forgotten; those for which the last batch is remembered; then for each message the channel, most
    /// messages and most bytes to keep, the event or nothing, the JSON.
    ///
    /// Answer: a line for each message: its id, or `!` and why it was not published.
    PUBLISH = OPEN, "
local done, answer = (redis.call('GET', KEYS[1]) or ''):match('^(%d+)\\n?(.*)$')
local batch, before = tonumber(ARGV[1]), tonumber(done or -1)
if batch <= before then return answer end
if ARGV[2] == '1' and before ~= batch - 1 then return 'lost' end
local era, life, idle = ARGV[3], ARGV[4], ARGV[5]
local function publish(meta, log, channel, keep, bytes, event, json)
    local queue = open(meta, log, era, life, keep, bytes)
    local number = queue.number + 1
    local text = string.format('%.0f', number)
    redis.call('XADD', log, text .. '-0', 'e', event, 'j', json)
    local count, size = redis.call('XLEN', log), queue.size + #json
    if count == 1 then size = #json end
    while count > queue.keep or (size > queue.bytes and count > 1) do
        local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
        redis.call('XDEL', log, oldest[1])
        count, size = count - 1, size - #oldest[2][4]
    end
    redis.call('HSET', meta, 'number', text, 'size', size)
    expire(meta, log, idle)
    redis.call('PUBLISH', channel, 'message ' .. queue.life .. ' ' .. text .. ' ' .. event .. '\\n' .. json)
    return queue.life .. '-' .. string.format('%016x', number)
end
local lines = {}
for at = 2, #KEYS, 2 do
    local from = 7 + (at - 2) / 2 * 5
    local is_done, id = pcall(publish, KEYS[at], KEYS[at + 1], unpack(ARGV, from, from + 4))
    if not is_done then
        if type(id) == 'table' then id = id.err end
        id = '!' .. tostring(id):gsub('%c', ' ')
    end
    table.insert(lines, id)
end
answer = table.concat(lines, '\\n')
redis.call('SET', KEYS[1], ARGV[1] .. '\\n' .. answer, 'PX', ARGV[6])
return answer
";

    /// Says where a queue is, for one who follows it from now on.
    ///
    /// Keys: the queue, its log. Arguments: the era, a life, most messages, most bytes, the milliseconds of idleness. Answer: the
    /// life, the number of the last message, how often it was stopped.
    FOLLOW = OPEN, "
local queue = open(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
expire(KEYS[1], KEYS[2], ARGV[5])
return {queue.life, queue.number, queue.stops}
";

    /// Some of the messages of a queue after one.
    ///
    /// Keys: the queue, its log. Arguments: the era, a life, most messages, most bytes to keep, the life and the number of the
    /// message, most bytes of an answer, but for its last message. Answer: the life, the number of the last message, how often
    /// the queue was stopped and after which message the last time; then the number, the event and the JSON of each message,
    /// from the oldest kept where the life is another one.
    CATCH_UP = OPEN, "
local queue = open(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
local after, most = 0, tonumber(ARGV[7])
if queue.life == ARGV[5] then after = tonumber(ARGV[6]) end
if after > queue.number then
    queue, after = renew(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4]), 0
end
local answer, size, from = {queue.life, queue.number, queue.stops, queue.stopped}, 0, string.format('%.0f-1', after)
local each = queue.size / math.max(redis.call('XLEN', KEYS[2]), 1)
local count = math.max(math.min(math.floor(65536 / math.max(each, 1)), 128), 1)
repeat
    local some = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', count)
    for _, message in ipairs(some) do
        local number, fields = message[1]:match('^%d+'), message[2]
        table.insert(answer, number)
        table.insert(answer, fields[2])
        table.insert(answer, fields[4])
        size, from = size + #fields[4], number .. '-1'
        if size > most then return answer end
    end
until #some == 0
return answer
";

    /// Stops a queue after its last message, if there is one.
    ///
    /// Keys: the queue, its log. Arguments: the era, a life, the channel. Answer: nothing.
    STOP = OPEN, "
local keeps = redis.call('HMGET', KEYS[1], 'keep', 'bytes')
if not keeps[1] then return nil end
local queue = open(KEYS[1], KEYS[2], ARGV[1], ARGV[2], keeps[1], keeps[2])
local stops, number = queue.stops + 1, string.format('%.0f', queue.number)
redis.call('HSET', KEYS[1], 'stops', stops, 'stopped', number)
redis.call('PUBLISH', ARGV[3], 'stop ' .. queue.life .. ' ' .. stops .. ' ' .. number)
return nil
";

    /// Says who is subscribed in a process.
    ///
    /// Keys: the numbers of subscribers by session; those of names by session and name. Arguments: the session, the number of
    /// its subscribers, `1` if the names are all that it has, the milliseconds after which both are forgotten; then names,
    /// each with its number. Answer: nothing.
    REPORT = "
local session = ARGV[1]
if ARGV[2] == '0' then redis.call('HDEL', KEYS[1], session) else redis.call('HSET', KEYS[1], session, ARGV[2]) end
if ARGV[3] == '1' then
    for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
        if field:sub(1, #session + 1) == session .. ' ' then redis.call('HDEL', KEYS[2], field) end
    end
end
for at = 5, #ARGV, 2 do
    local field = session .. ' ' .. ARGV[at]
    if ARGV[at + 1] == '0' then redis.call('HDEL', KEYS[2], field) else redis.call('HSET', KEYS[2], field, ARGV[at + 1]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return nil
";

    /// The number of subscribers.
    ///
    /// Keys: 1 the sessions, 2 the numbers by session. Answer: the sum.
    SUBSCRIBERS = ALIVE, "
local counts, sum = redis.call('HGETALL', KEYS[2]), 0
for at = 1, #counts, 2 do
    if alive(counts[at]) then sum = sum + counts[at + 1] else redis.call('HDEL', KEYS[2], counts[at]) end
end
return sum
";

    /// Some of the names of subscribers.
    ///
    /// Keys: 1 the sessions, 2 the numbers by session and name. Arguments: the cursor of HSCAN. Answer: the next cursor, then
    /// session and name, and the number, of each; some may come twice.
    PRESENT = ALIVE, "
local scanned, lives = redis.call('HSCAN', KEYS[2], ARGV[1], 'COUNT', 256), {}
local answer, some = {scanned[1]}, scanned[2]
for at = 1, #some, 2 do
    local session = some[at]:match('^%S+')
    if lives[session] == nil then lives[session] = alive(session) or false end
    if lives[session] then
        table.insert(answer, some[at])
        table.insert(answer, some[at + 1])
    else
        redis.call('HDEL', KEYS[2], some[at])
    end
end
return answer
";
}
