//! Shares: a hash each, with the version `v` and the JSON `j`, which expires as a whole.

use super::scripts;

/// `look(share, known, most)`: a list of what is there: `none`; `same` if it has the version that is known; `long` if it has
/// more bytes than may be; `value`, its version and its JSON.
pub(super) const LOOK: &str = "
local function look(share, known, most)
    local version = redis.call('HGET', share, 'v')
    if not version then return {'none'} end
    if version == known then return {'same'} end
    if redis.call('HSTRLEN', share, 'j') > tonumber(most) then return {'long'} end
    return {'value', version, redis.call('HGET', share, 'j')}
end
";

/// `write(share, name, wish, ttl, json, most, most_names)`: replaces a value if it is as wished: empty for anything, `0` for
/// nothing, else the version. `ttl` is in milliseconds, 0 for ever, `-` to take the value out.
///
/// Answers `done` and the new version; `not` and what is there, the version if one was wished, version and JSON if nothing
/// was; `names` if there is no room for another share. Keys: 5 the clock, 7 the names of shares.
pub(super) const WRITE_IT: &str = "
local function write(share, name, wish, ttl, json, most, most_names)
    local version = redis.call('HGET', share, 'v')
    if wish == '0' and version then
        local present = look(share, '', most)
        if present[1] == 'value' then present[1] = 'not' end
        return present
    end
    if wish ~= '' and wish ~= '0' and version ~= wish then return {'not', version} end
    if ttl == '-' then
        redis.call('DEL', share)
        redis.call('ZREM', KEYS[7], name)
        return {'done', tick(KEYS[5])}
    end
    local ends = '+inf'
    if ttl ~= '0' then ends = string.format('%.0f', now + ttl) end
    if not enter(KEYS[7], name, ends, most_names) then return {'names'} end
    version = tick(KEYS[5])
    redis.call('HSET', share, 'v', version, 'j', json)
    if ttl == '0' then redis.call('PERSIST', share) else redis.call('PEXPIRE', share, ttl) end
    return {'done', version}
end
";

scripts! { SHARES:
    /// The value of a share.
    ///
    /// Keys: the share. Arguments: the version that is known or nothing, most bytes. Answer: as `look`.
    LOAD = LOOK, "
return look(KEYS[1], ARGV[1], ARGV[2])
";
}
