-- What is done with jobs in Redis, each in one step.
--
-- Keys, behind the prefix in KEYS[1]: `job:ID` is a job, a hash; `waiting:KIND` those that wait, by when they are due;
-- `leased` those that are worked on, by the end of their leases; `dead:KIND` those that have failed for good, by their
-- numbers; `counts` how many there are, by state and kind; `size` all of them; `next` the last number. Numbers of jobs have
-- 16 digits, so that those that are due at the same time come in their order.
--
-- ARGV[1] is what is asked, ARGV[2] the time of the one who asks: other times go by the clock of Redis.

local prefix, asked = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local shift = now - tonumber(ARGV[2])

local function text(number) return string.format('%.0f', number) end
local function job(id) return prefix .. 'job:' .. id end
local function field(id, name) return redis.call('HGET', job(id), name) end

local function line(state, kind)
    if state == 'leased' then return prefix .. 'leased' end
    return prefix .. state .. ':' .. kind
end

local function enter(id, kind, state, at)
    redis.call('HSET', job(id), 'state', state)
    redis.call('ZADD', line(state, kind), text(at), id)
    redis.call('HINCRBY', prefix .. 'counts', state .. ' ' .. kind, 1)
end

local function leave(id, kind, state)
    redis.call('ZREM', line(state, kind), id)
    local count = state .. ' ' .. kind
    if redis.call('HINCRBY', prefix .. 'counts', count, -1) == 0 then redis.call('HDEL', prefix .. 'counts', count) end
end

local function move(id, from, to, at)
    local kind = field(id, 'kind')
    leave(id, kind, from)
    enter(id, kind, to, at)
end

local function forget(id, state)
    leave(id, field(id, 'kind'), state)
    redis.call('DEL', job(id))
    redis.call('DECR', prefix .. 'size')
end

-- Whether this attempt still has the job.
local function held(id, attempt)
    local present = redis.call('HMGET', job(id), 'state', 'attempt')
    return present[1] == 'leased' and present[2] == attempt
end

local steps = {}

function steps.add()
    local kind, payload, due, most = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
    if tonumber(redis.call('GET', prefix .. 'size') or 0) >= most then return { 'full' } end
    local id = string.format('%016.0f', redis.call('INCR', prefix .. 'next'))
    redis.call('INCR', prefix .. 'size')
    redis.call('HSET', job(id), 'kind', kind, 'payload', payload, 'due', due, 'added', text(now), 'attempt', 0, 'error', '')
    enter(id, kind, 'waiting', tonumber(due))
    return { 'added', id }
end

-- Behind the holder, the lease and the most bytes: a kind, how many, and how often one is tried, again and again.
function steps.take()
    local holder, lease, budget = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'leased', '-inf', text(now), 'LIMIT', 0, 1000)) do
        move(id, 'leased', 'waiting', now)
    end
    local answer, bytes, first = { 'taken', '' }, 0, nil
    local function later(found)
        local at = tonumber(found[2])
        if at and (not first or at < first) then first = at end
    end
    for slot = 6, #ARGV, 3 do
        local kind, free, attempts = ARGV[slot], ARGV[slot + 1], tonumber(ARGV[slot + 2])
        local waiting = line('waiting', kind)
        for _, id in ipairs(redis.call('ZRANGEBYSCORE', waiting, '-inf', text(now), 'LIMIT', 0, free)) do
            if bytes >= budget then
                first = now
                break
            end
            local found = redis.call('HMGET', job(id), 'attempt', 'payload', 'due')
            local attempt = tonumber(found[1])
            if attempt >= attempts then
                local lost = 'it was lost at work ' .. attempt .. ' times: the process ended, or hung'
                redis.call('HSET', job(id), 'error', lost)
                move(id, 'waiting', 'dead', tonumber(id))
            else
                redis.call('HSET', job(id), 'attempt', attempt + 1, 'holder', holder)
                move(id, 'waiting', 'leased', now + lease)
                bytes = bytes + #found[2]
                for _, part in ipairs({ id, kind, found[2], found[3], text(attempt + 1) }) do
                    answer[#answer + 1] = part
                end
            end
        end
        later(redis.call('ZRANGEBYSCORE', waiting, '(' .. text(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1))
    end
    later(redis.call('ZRANGE', prefix .. 'leased', 0, 0, 'WITHSCORES'))
    if first then answer[2] = text(math.max(first - shift, 0)) end
    return answer
end

-- Behind the lease: a job and an attempt, again and again.
function steps.extend()
    local answer = { 'lost' }
    for at = 4, #ARGV, 2 do
        if held(ARGV[at], ARGV[at + 1]) then
            redis.call('ZADD', prefix .. 'leased', text(now + tonumber(ARGV[3])), ARGV[at])
        else
            answer[#answer + 1] = ARGV[at]
        end
    end
    return answer
end

-- Behind the holder: a job that it knows of and the attempt, again and again.
function steps.recover()
    local known = {}
    for at = 4, #ARGV, 2 do known[ARGV[at]] = ARGV[at + 1] end
    for _, id in ipairs(redis.call('ZRANGE', prefix .. 'leased', 0, -1)) do
        local found = redis.call('HMGET', job(id), 'holder', 'attempt')
        if found[1] == ARGV[3] and known[id] ~= found[2] then move(id, 'leased', 'waiting', now) end
    end
    return { 'noted' }
end

function steps.release()
    for at = 3, #ARGV, 2 do
        if held(ARGV[at], ARGV[at + 1]) then move(ARGV[at], 'leased', 'waiting', now) end
    end
    return { 'noted' }
end

-- Ends an attempt: what becomes of it, what it has failed with, and when it is due again.
function steps.finish()
    local id, attempt, becomes = ARGV[3], ARGV[4], ARGV[5]
    if not held(id, attempt) then return { 'unknown' } end
    if becomes == 'done' then
        forget(id, 'leased')
    elseif becomes == 'return' then
        redis.call('HSET', job(id), 'attempt', tonumber(attempt) - 1)
        move(id, 'leased', 'waiting', now)
    else
        redis.call('HSET', job(id), 'error', ARGV[6])
        if becomes == 'dead' then
            move(id, 'leased', 'dead', tonumber(id))
        else
            move(id, 'leased', 'waiting', tonumber(ARGV[7]) + shift)
        end
    end
    return { 'noted' }
end

function steps.dead()
    local kind, after, most, budget = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
    local answer, bytes = { 'dead' }, 0
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', line('dead', kind), '(' .. after, '+inf', 'LIMIT', 0, most)) do
        if bytes >= budget then break end
        local found = redis.call('HMGET', job(id), 'payload', 'added', 'attempt', 'error')
        bytes = bytes + #found[1] + #found[4]
        for _, part in ipairs({ id, kind, found[1], found[2], found[3], found[4] }) do answer[#answer + 1] = part end
    end
    return answer
end

function steps.revive()
    if field(ARGV[3], 'state') ~= 'dead' then return { 'unknown' } end
    redis.call('HSET', job(ARGV[3]), 'attempt', 0)
    move(ARGV[3], 'dead', 'waiting', now)
    return { 'noted' }
end

function steps.discard()
    if field(ARGV[3], 'state') ~= 'dead' then return { 'unknown' } end
    forget(ARGV[3], 'dead')
    return { 'noted' }
end

function steps.count()
    local answer = { 'counts' }
    for _, part in ipairs(redis.call('HGETALL', prefix .. 'counts')) do answer[#answer + 1] = part end
    return answer
end

return steps[asked]()
