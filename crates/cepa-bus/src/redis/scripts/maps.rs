//! Counters, a text each, and maps, a hash each whose fields are `version JSON`.

use super::{CLOCK, NAMES, NOW, scripts};

scripts! { MAPS:
    /// Replaces an entry of a map, or takes it out.
    ///
    /// Keys: the map, the clock, the names of maps. Arguments: the name; the entry; as it is to be before, empty for anything,
    /// `0` for nothing, else the version; most entries; most maps; `1` if there is a value; the value. Answer: `done` and what
    /// was there before; `not` and what is there; `full`; `names` if there is no room for another map.
    PUT = NOW, CLOCK, NAMES, "
local map, names, name, entry, wish = KEYS[1], KEYS[3], ARGV[1], ARGV[2], ARGV[3]
local present = redis.call('HGET', map, entry)
local version = present and present:match('^%d+')
if (wish == '0' and present) or (wish ~= '' and wish ~= '0' and version ~= wish) then return {'not', present} end
if ARGV[6] ~= '1' then
    redis.call('HDEL', map, entry)
    if redis.call('EXISTS', map) == 0 then redis.call('ZREM', names, name) end
    return {'done', present}
end
if not present then
    local entries = redis.call('HLEN', map)
    if entries >= tonumber(ARGV[4]) then return {'full'} end
    if entries == 0 and not enter(names, name, '+inf', ARGV[5]) then return {'names'} end
end
redis.call('HSET', map, entry, tick(KEYS[2]) .. ' ' .. ARGV[7])
return {'done', present}
";

    /// Takes all entries out of a map.
    ///
    /// Keys: the map, the names of maps. Arguments: the name. Answer: nothing.
    CLEAR = "
redis.call('UNLINK', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return nil
";

    /// Replaces a counter if it is as expected.
    ///
    /// Keys: the counter, the names of counters. Arguments: the name, the number that is expected, the new one, most counters.
    /// Answer: the number before; `names` if there is no room for another counter.
    SWAP = NOW, NAMES, "
local present = redis.call('GET', KEYS[1])
if (present or '0') == ARGV[2] then
    if not present and not enter(KEYS[2], ARGV[1], '+inf', ARGV[4]) then return 'names' end
    redis.call('SET', KEYS[1], ARGV[3])
end
return present or '0'
";

    /// Gives a counter that was just made a name, or takes it away.
    ///
    /// Keys: the counter, the names of counters. Arguments: the name, most counters. Answer: 1; 0 if there is no room for it.
    NAME = NOW, NAMES, "
if enter(KEYS[2], ARGV[1], '+inf', ARGV[2]) then return 1 end
redis.call('DEL', KEYS[1])
return 0
";
}
