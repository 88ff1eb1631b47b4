//! Names that are bounded in number: room is made of those that nobody would miss.

use super::scripts;

scripts! { NAMING:
    /// Takes out the names of what is not there any more.
    ///
    /// Keys: the names, then what has each. Arguments: each name. Answer: how many.
    FORGET = "
local forgotten = 0
for at, name in ipairs(ARGV) do
    if redis.call('EXISTS', KEYS[at + 1]) == 0 then forgotten = forgotten + redis.call('ZREM', KEYS[1], name) end
end
return forgotten
";

    /// Forgets queues without subscribers.
    ///
    /// Keys: the names, then of each queue itself, its log, the numbers of its subscribers. Arguments: each name. Answer: how many.
    FORGET_QUEUES = "
local forgotten = 0
for at, name in ipairs(ARGV) do
    local queue, log, subscribers = KEYS[3 * at - 1], KEYS[3 * at], KEYS[3 * at + 1]
    if redis.call('EXISTS', subscribers) == 0 then
        redis.call('DEL', queue, log)
        forgotten = forgotten + redis.call('ZREM', KEYS[1], name)
    end
end
return forgotten
";
}
