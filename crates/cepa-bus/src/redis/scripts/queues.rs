//! Queues: a hash for what is known of each, a stream for its last messages, a channel for those that come.
//!
//! The id of a message in the stream is `number-0`. What goes through the channel is `message life number event`, a line
//! break and the JSON, or `stop life stops number`.

use super::{ALIVE, NAMES, NOW, scripts};

/// `open(queue)`: what is known of a queue, which is made anew if there is nothing, or nothing that is sure to be all, because
/// it is of an earlier era; `nil` if there is no room for another. `renew(queue)`: the same, anew in any case. What they are
/// given has the keys `meta` and `log`, the `name`, and how much to `keep`, in messages and `bytes`, if it is made.
///
/// `touch(queue)`: it is in use, and not to be forgotten for so long.
///
/// Keys: 1 the names of queues. Arguments: 1 the era, 2 a life for what is made anew, 3 the milliseconds after which a queue
/// that nobody uses is forgotten, 4 most queues.
const OPEN: &str = "
local names, era, life, idle, most_queues = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local function touch(queue)
    queue.ends = now + idle
    local ends = string.format('%.0f', queue.ends)
    redis.call('ZADD', names, ends, queue.name)
    redis.call('HSET', queue.meta, 'ends', ends)
    redis.call('PEXPIRE', queue.meta, idle)
    redis.call('PEXPIRE', queue.log, idle)
end
local function renew(queue)
    if not enter(names, queue.name, string.format('%.0f', now + idle), most_queues) then return nil end
    redis.call('DEL', queue.meta, queue.log)
    redis.call('HSET', queue.meta, 'life', life, 'number', 0, 'era', era, 'stops', 0, 'stopped', 0,
        'keep', queue.keep, 'bytes', queue.bytes, 'size', 0)
    queue.life, queue.number, queue.stops, queue.stopped, queue.size = life, 0, 0, 0, 0
    queue.keep, queue.bytes = tonumber(queue.keep), tonumber(queue.bytes)
    touch(queue)
    return queue
end
local function open(queue)
    local of = redis.call('HMGET', queue.meta, 'life', 'number', 'era', 'stops', 'stopped', 'keep', 'bytes', 'size', 'ends')
    if not of[1] or tonumber(of[3]) < tonumber(era) then return renew(queue) end
    queue.life, queue.number, queue.stops, queue.stopped = of[1], tonumber(of[2]), tonumber(of[4]), tonumber(of[5])
    queue.keep, queue.bytes, queue.size, queue.ends = tonumber(of[6]), tonumber(of[7]), tonumber(of[8]), tonumber(of[9])
    return queue
end
";

scripts! { QUEUES:
    /// Publishes a batch of messages of one process, once however often it is asked to.
    ///
    /// A process has one batch under way, and numbers them. The last one done is remembered with its answer. One that is sent
    /// again is not done if it cannot be known that it was not: `lost`.
    ///
    /// Keys: 1, 2 the last batch of the process; then for each message the queue and its log. Arguments: 1 to 4; the number of
    /// the batch; `1` if it is sent again; the milliseconds for which it is remembered; then for each message the name of the
    /// queue, the channel, most messages and most bytes to keep, the event or nothing, the JSON.
    ///
    /// Answer: a line for each message: its id, `names` if there is no room for another queue, or `!` and why it was not
    /// published.
    PUBLISH = NOW, NAMES, OPEN, "
local done, answer = (redis.call('GET', KEYS[2]) or ''):match('^(%d+)\\n?(.*)$')
local batch, before = tonumber(ARGV[5]), tonumber(done or -1)
if batch <= before then return answer end
if ARGV[6] == '1' and before ~= batch - 1 then return 'lost' end
local function publish(meta, log, name, channel, keep, bytes, event, json)
    local queue = open({meta = meta, log = log, name = name, keep = keep, bytes = bytes})
    if not queue then return 'names' end
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
    if count == 1 or queue.ends - now < idle * 3 / 4 then touch(queue) end
    redis.call('PUBLISH', channel, 'message ' .. queue.life .. ' ' .. text .. ' ' .. event .. '\\n' .. json)
    return queue.life .. '-' .. string.format('%016x', number)
end
local lines = {}
for at = 3, #KEYS, 2 do
    local from = 8 + (at - 3) / 2 * 6
    local is_done, id = pcall(publish, KEYS[at], KEYS[at + 1], unpack(ARGV, from, from + 5))
    if not is_done then
        if type(id) == 'table' then id = id.err end
        id = '!' .. tostring(id):gsub('%c', ' ')
    end
    table.insert(lines, id)
end
answer = table.concat(lines, '\\n')
redis.call('SET', KEYS[2], ARGV[5] .. '\\n' .. answer, 'PX', ARGV[7])
return answer
";

    /// Says where a queue is, for one who follows it from now on.
    ///
    /// Keys: 1, the queue, its log. Arguments: 1 to 4, the name, most messages, most bytes. Answer: the life, the number of the
    /// last message, how often it was stopped; nothing if there is no room for another queue.
    FOLLOW = NOW, NAMES, OPEN, "
local queue = open({meta = KEYS[2], log = KEYS[3], name = ARGV[5], keep = ARGV[6], bytes = ARGV[7]})
if not queue then return {} end
touch(queue)
return {queue.life, queue.number, queue.stops}
";

    /// Some of the messages of a queue after one.
    ///
    /// Keys: 1, the queue, its log. Arguments: 1 to 4, the name, most messages, most bytes to keep, the life and the number of
    /// the message, most bytes of an answer, but for its last message. Answer: the life, the number of the last message, how
    /// often the queue was stopped and after which message the last time; then the number, the event and the JSON of each
    /// message, from the oldest kept where the life is another one; nothing if there is no room for another queue.
    CATCH_UP = NOW, NAMES, OPEN, "
local queue = open({meta = KEYS[2], log = KEYS[3], name = ARGV[5], keep = ARGV[6], bytes = ARGV[7]})
local after, most = 0, tonumber(ARGV[10])
if queue and queue.life == ARGV[8] then after = tonumber(ARGV[9]) end
if queue and after > queue.number then queue, after = renew(queue), 0 end
if not queue then return {} end
local answer, size, from = {queue.life, queue.number, queue.stops, queue.stopped}, 0, string.format('%.0f-1', after)
-- Reads at a time what is about 64 KiB.
local each = queue.size / math.max(redis.call('XLEN', queue.log), 1)
local count = math.max(math.min(math.floor(65536 / math.max(each, 1)), 128), 1)
repeat
    local some = redis.call('XRANGE', queue.log, from, '+', 'COUNT', count)
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

    /// Keeps a queue that is followed from being forgotten.
    ///
    /// Keys: 1, the queue, its log, the numbers of subscribers, those of names. Arguments: 1 to 4, the name. Answer: nothing.
    KEEP = NOW, NAMES, OPEN, "
if redis.call('EXISTS', KEYS[2]) == 1 then touch({meta = KEYS[2], log = KEYS[3], name = ARGV[5]}) end
redis.call('PEXPIRE', KEYS[4], idle)
redis.call('PEXPIRE', KEYS[5], idle)
return nil
";

    /// Stops a queue after its last message, if there is one.
    ///
    /// Keys: 1, the queue, its log. Arguments: 1 to 4, the name, the channel. Answer: nothing.
    STOP = NOW, NAMES, OPEN, "
local keeps = redis.call('HMGET', KEYS[2], 'keep', 'bytes')
if not keeps[1] then return nil end
local queue = open({meta = KEYS[2], log = KEYS[3], name = ARGV[5], keep = keeps[1], bytes = keeps[2]})
if not queue then return nil end
local stops, number = queue.stops + 1, string.format('%.0f', queue.number)
redis.call('HSET', queue.meta, 'stops', stops, 'stopped', number)
redis.call('PUBLISH', ARGV[6], 'stop ' .. queue.life .. ' ' .. stops .. ' ' .. number)
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
    SUBSCRIBERS = NOW, ALIVE, "
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
    PRESENT = NOW, ALIVE, "
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
