-- What every script of the ledger begins with; joined in front of each at load.
--
-- KEYS[1]  state      hash    layout, generation, state, fence mark, ceiling, clocks, holes, …
-- KEYS[2]  issued     string  highest position handed out
-- KEYS[3]  served     string  served-up-to pointer
-- KEYS[4]  releases   zset    turn -> "active_ms:people:turn", coalesced
-- KEYS[5]  sessions   zset    position -> end, on the ledger clock
-- KEYS[6]  config     hash    the event's policy, lengths in ms
-- KEYS[7]  ended      stream  positions whose session was ended early
-- KEYS[8]  extends    hash    position -> how often its visitor lengthened the session
--
-- Two clocks run here, both in ms and in clamped steps, so that an outage or a jump of the server's
-- clock ends nobody's session and nobody's window:
--   ledger_ms  runs always; sessions end on it
--   active_ms  runs while claims can be served; windows end on it
--
-- Errors begin with a word that the adapter knows: LOST, LAYOUT, GONE, STATE, GENERATION, CONFLICT,
-- FENCED, INPUT. After one, nothing but the clocks was changed.

local LAYOUT = 1
local MAX_STEP_MS = 5000
local COALESCE_MS = 1000
local RATE_HISTORY_MS = 600000
local MAX_HOLES = 64
local MAX_POSITION = 9007199254740991 -- 2^53 - 1: a double tells no neighbours apart above it
local PASS_LIFE_MS = 86400000 -- the longest that an extension by the backend may make a session

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- Lua prints large numbers with an exponent; positions may need all 16 digits.
local function int(n)
    return string.format('%.0f', n)
end

local function whole(text)
    if not text or not string.match(text, '^%d+$') then
        return nil
    end
    local number = tonumber(text)
    return number <= MAX_POSITION and number or nil
end

local function fail(word, detail)
    return redis.error_reply(word .. ' ' .. (detail or ''))
end

local function current_mark()
    -- run_id changes at every start, the replication id at every promotion (also A -> B -> A).
    local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
    local replication = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
    return (run or '') .. ':' .. (replication or '')
end

local function parse_holes(text)
    local holes = {}
    for first, last in string.gmatch(text, '(%d+)-(%d+)') do
        holes[#holes + 1] = {tonumber(first), tonumber(last)}
    end
    return holes
end

local function format_holes(holes)
    local parts = {}
    for i, hole in ipairs(holes) do
        parts[i] = int(hole[1]) .. '-' .. int(hole[2])
    end
    return table.concat(parts, ',')
end

-- Count the turns in (after, through] that belong to somebody.
local function occupied_between(e, after, through)
    if through <= after then
        return 0
    end
    local empty = 0
    for _, hole in ipairs(e.holes) do
        local first, last = math.max(hole[1], after + 1), math.min(hole[2], through)
        if first <= last then
            empty = empty + last - first + 1
        end
    end
    return through - after - empty
end

local function add_hole(e, first, last)
    local newest = e.holes[#e.holes]
    if newest and newest[2] + 1 == first then
        newest[2] = last
    else
        e.holes[#e.holes + 1] = {first, last}
    end
    -- Past the limit a hole is forgotten, never merged over people: an empty turn that counts as a
    -- person makes someone wait, a person who counts as empty would be let in uncounted.
    while #e.holes > MAX_HOLES do
        table.remove(e.holes, 1)
    end
end

local STATES = {scheduled = true, open = true, paused = true, closed = true, bypass = true}

-- Load the event. Returns it, or nil and the error to return. Missing or unreadable is lost, not zero.
local function load_event()
    local names = {'layout', 'generation', 'state', 'mark', 'ceiling', 'next', 'active_ms', 'ledger_ms',
        'ticked_at', 'running', 'windows_ended_to', 'holes', 'message', 'claims_frozen', 'draw_hash',
        'draw_seed', 'draw_count', 'claims', 'updated_at', 'late', 'active',
        'bypass_until', 'bypass_from'} -- the last two only once there was a bypass
    local s = {}
    for i, value in ipairs(redis.call('HMGET', KEYS[1], unpack(names))) do
        s[names[i]] = value
    end
    if not s.layout then
        return nil, fail('LOST', 'state')
    end
    if s.layout ~= tostring(LAYOUT) then
        return nil, fail('LAYOUT', s.layout)
    end
    if s.state == 'deleted' then
        return nil, fail('GONE', 'deleted')
    end
    for i = 1, #names - 2 do
        if not s[names[i]] then
            return nil, fail('LOST', names[i])
        end
    end
    local e = {
        generation = whole(s.generation), state = STATES[s.state] and s.state, mark = s.mark,
        ceiling = whole(s.ceiling), next = whole(s.next), active_ms = whole(s.active_ms),
        ledger_ms = whole(s.ledger_ms), ticked_at = whole(s.ticked_at), running = s.running == '1',
        windows_ended_to = whole(s.windows_ended_to), holes = parse_holes(s.holes),
        message = s.message, claims_frozen = s.claims_frozen ~= '0',
        bypass_until = whole(s.bypass_until), bypass_from = s.bypass_from, draw_hash = s.draw_hash,
        draw_seed = s.draw_seed, draw_count = s.draw_count, claims = whole(s.claims),
        updated_at = whole(s.updated_at), late = whole(s.late), active = whole(s.active),
        issued = whole(redis.call('GET', KEYS[2])), served = whole(redis.call('GET', KEYS[3])),
    }
    for _, name in ipairs({'generation', 'state', 'ceiling', 'next', 'active_ms', 'ledger_ms',
        'ticked_at', 'windows_ended_to', 'issued', 'served', 'claims', 'updated_at', 'late',
        'active'}) do
        if not e[name] then
            return nil, fail('LOST', name)
        end
    end
    if e.state == 'bypass' and not (e.bypass_until and STATES[e.bypass_from]) then
        return nil, fail('LOST', 'bypass')
    end
    -- A set that is gone looks like an empty one. Sessions read as none would fill the backend twice;
    -- without the releases every window would begin anew. (Nothing rolls a script back that fails in the
    -- middle, so what is taken out of a set is written down first: there may be more, never fewer.)
    if redis.call('ZCARD', KEYS[5]) < e.active then
        return nil, fail('LOST', 'sessions')
    end
    if e.served > e.windows_ended_to and redis.call('ZCARD', KEYS[4]) == 0 then
        return nil, fail('LOST', 'releases')
    end
    local c = redis.call('HMGET', KEYS[6], 'window_ms', 'session_ms', 'max_sessions', 'headroom',
        'late_for_ms', 'extend_times', 'extend_ms', 'finish_grace_ms', 'one_place_per_sub')
    e.window_ms, e.session_ms, e.max_sessions = whole(c[1]), whole(c[2]), whole(c[3])
    e.headroom, e.late_for_ms = whole(c[4]), tonumber(c[5] or '')
    e.extend_times, e.extend_ms, e.finish_grace_ms = whole(c[6]), whole(c[7]), whole(c[8])
    e.one_place_per_sub = c[9] == '1'
    for _, name in ipairs({'window_ms', 'session_ms', 'max_sessions', 'headroom', 'late_for_ms',
        'extend_times', 'extend_ms', 'finish_grace_ms'}) do
        if not e[name] then
            return nil, fail('LOST', 'config ' .. name)
        end
    end
    return e
end

local function at_limit(e)
    return e.max_sessions > 0 and e.active >= e.max_sessions
end

local function serves_claims(e)
    return e.state == 'open' or e.state == 'closed' or e.state == 'bypass'
        or (e.state == 'paused' and not e.claims_frozen)
end

local function settle_running(e)
    e.running = serves_claims(e) and not at_limit(e)
end

-- Advance both clocks, end what has ended, forget releases whose window is over.
local function tick(e)
    local step = math.min(math.max(now - e.ticked_at, 0), MAX_STEP_MS)
    e.ticked_at = now
    e.ledger_ms = e.ledger_ms + step
    if e.running then
        e.active_ms = e.active_ms + step
    end
    if e.state == 'bypass' and e.bypass_until and e.ledger_ms >= e.bypass_until then
        e.state = e.bypass_from
        e.updated_at = now
    end
    local over = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', int(e.ledger_ms), 'LIMIT', 0, 1000)
    while #over > 0 do
        e.active = e.active - #over
        redis.call('HSET', KEYS[1], 'active', int(math.max(e.active, 0)))
        redis.call('HDEL', KEYS[8], unpack(over))
        redis.call('ZREM', KEYS[5], unpack(over))
        over = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', int(e.ledger_ms), 'LIMIT', 0, 1000)
    end
    e.active = redis.call('ZCARD', KEYS[5])
    local keep_ms = math.max(e.window_ms + math.max(e.late_for_ms, 0), RATE_HISTORY_MS)
    local oldest = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')
    while #oldest > 0 and tonumber(string.match(oldest[1], '^(%d+)')) + keep_ms < e.active_ms do
        e.windows_ended_to = math.max(e.windows_ended_to, tonumber(oldest[2]))
        redis.call('HSET', KEYS[1], 'windows_ended_to', int(e.windows_ended_to))
        redis.call('ZREM', KEYS[4], oldest[1])
        oldest = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')
    end
    settle_running(e)
end

local function save(e)
    redis.call('HSET', KEYS[1], 'state', e.state, 'mark', e.mark, 'ceiling', int(e.ceiling),
        'next', int(e.next), 'active_ms', int(e.active_ms), 'ledger_ms', int(e.ledger_ms),
        'ticked_at', int(e.ticked_at), 'running', e.running and '1' or '0',
        'windows_ended_to', int(e.windows_ended_to), 'holes', format_holes(e.holes),
        'claims', int(e.claims), 'active', int(e.active), 'late', int(e.late),
        'updated_at', int(e.updated_at))
end

-- A restarted, restored or promoted server starts above everything that could have been dealt.
local function fence(e)
    local mark = current_mark()
    if mark == e.mark then
        return
    end
    local top = math.max(e.issued, e.ceiling, e.next)
    if top > e.issued then
        add_hole(e, e.issued + 1, top)
        e.issued = top
        redis.call('SET', KEYS[2], int(top))
    end
    e.ceiling, e.next, e.mark = top, top, mark
    e.fenced = true
end

-- Tell every watcher that there is something to read. The key is the truth; this is a hint.
local function announce(e)
    e.updated_at = now
    redis.call('PUBLISH', KEYS[1] .. ':changed', int(e.generation))
end

-- Unix seconds at which a session ends that ends at `end_ms` of the ledger clock.
local function wall_s(e, end_ms)
    return math.floor((now + end_ms - e.ledger_ms) / 1000)
end
