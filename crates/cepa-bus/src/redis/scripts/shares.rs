//! Shares: a hash each, with the version `v` and the JSON `j`, which expires as a whole.

use super::{CLOCK, scripts};

/// `look(share, known, most)`: a list of what is there: `none`; `same` if it has the version that is known; `long` if it has
/// more bytes than may be; `value`, its version and its JSON.
///
/// `has(share, wish)`: whether the share is as a writer wishes: empty for anything, `0` for nothing, else the version; and
/// the version that is there.
///
/// `set(share, clock, ttl, json)`: replaces the value, and answers the new version; `ttl` is in milliseconds, 0 for ever,
/// `-` to take the value out.
pub(super) const VALUE: &str = "
local function look(share, known, most)
    local version = redis.call('HGET', share, 'v')
    if not version then return {'none'} end
    if version == known then return {'same'} end
    if redis.call('HSTRLEN', share, 'j') > tonumber(most) then return {'long'} end
    return {'value', version, redis.call('HGET', share, 'j')}
end
local function has(share, wish)
    local version = redis.call('HGET', share, 'v')
    if wish == '' then return true, version end
    if wish == '0' then return not version, version end
    return version == wish, version
end
local function set(share, clock, ttl, json)
    local version = tick(clock)
    if ttl == '-' then
        redis.call('DEL', share)
        return version
    end
    redis.call('HSET', share, 'v', version, 'j', json)
    if ttl == '0' then redis.call('PERSIST', share) else redis.call('PEXPIRE', share, ttl) end
    return version
end
";

scripts! { SHARES:
    /// The value of a share.
    ///
    /// Keys: the share. Arguments: the version that is known or nothing, most bytes. Answer: as `look`.
    LOAD = CLOCK, VALUE, "
return look(KEYS[1], ARGV[1], ARGV[2])
";
}
