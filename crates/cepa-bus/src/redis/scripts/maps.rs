//! Counters, a text each, and maps, a hash each whose fields are `version JSON`.

use super::{CLOCK, scripts};

scripts! { MAPS:
    /// Replaces an entry of a map, or takes it out.
    ///
    /// Keys: the map, the clock. Arguments: the entry; as it is to be before, empty for anything, `0` for nothing, else the
    /// version; most entries; `1` if there is a value; the value. Answer: `done` and what was there before; `not` and what is
    /// there; `full`.
    PUT = CLOCK, "
local map, entry, wish = KEYS[1], ARGV[1], ARGV[2]
local present = redis.call('HGET', map, entry)
local version = present and present:match('^%d+')
if (wish == '0' and present) or (wish ~= '' and wish ~= '0' and version ~= wish) then return {'not', present} end
if ARGV[4] ~= '1' then
    redis.call('HDEL', map, entry)
else
    if not present and redis.call('HLEN', map) >= tonumber(ARGV[3]) then return {'full'} end
    redis.call('HSET', map, entry, tick(KEYS[2]) .. ' ' .. ARGV[5])
end
return {'done', present}
";

    /// Replaces a counter if it is as expected.
    ///
    /// Keys: the counter. Arguments: the number that is expected, the new one. Answer: the number before.
    SWAP = "
local present = redis.call('GET', KEYS[1]) or '0'
if present == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end
return present
";
}
