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
-- KEYS[9]  gateways   hash    gateway -> when it last read or dealt, ms
-- KEYS[10] healing    hash    only while what every gateway knows is being gathered
-- ARGV[1]  floor      what the caller knows: "generation:issued:served", or ''
-- ARGV[2]  gateway    the caller's id, or '' where it is no gateway
--                     Both are taken off ARGV here: the scripts count their own from 1.
--
-- Three clocks run here, all in ms and in clamped steps, so that an outage or a jump of the server's
-- clock ends nobody's session and nobody's window:
--   ledger_ms  runs always; sessions end on it
--   active_ms  runs while claims can be served and the site is well; windows end on it
--   open_ms    runs while the event is open; waiting times are told on it
--
-- Errors begin with a word that the adapter knows: LOST, HEALING, LAYOUT, GONE, STATE, GENERATION,
-- CONFLICT, FENCED. After one, nothing but the clocks was changed.

local LAYOUT = 2
local MAX_STEP_MS = 5000
local COALESCE_MS = 1000
local RATE_HISTORY_MS = 600000
local MAX_HOLES = 64
local CLIMB_PER_S = 16384 -- the ceiling rises by no more in a second: far more than gateways can sign
local MAX_POSITION = 9007199254740991 -- 2^53 - 1: a double tells no neighbours apart above it
local PASS_LIFE_MS = 86400000 -- the longest that an extension by the backend may make a session
local KNOWN_FOR_MS = 10000 -- a gateway that has not read for so long, when the others have, is gone
local MAX_ACTS = 16
local BELIEVE_AFTER_MS = 10000 -- the wall clock must have run evenly for so long to open or close an event

local FLOOR = table.remove(ARGV, 1)
local GATEWAY = table.remove(ARGV, 1)

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

-- Read a key beside the event's own, or nil, true where it has a wrong type: that must stop nobody.
local function read_beside(...)
    local held = redis.pcall(...)
    if type(held) ~= 'table' then
        return held
    end
    if string.find(held.err, 'WRONGTYPE', 1, true) then
        return nil, true
    end
    return redis.call(...)
end

local function current_mark()
    -- run_id changes at every start, the replication id at every promotion (also A -> B -> A).
    local info = redis.call('INFO', 'server', 'replication')
    return (string.match(info, 'run_id:(%w+)') or '') .. ':'
        .. (string.match(info, 'master_replid:(%w+)') or '')
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

-- Return the ids of the gateways that were there together with the latest, parted by spaces.
local function known_gateways()
    local seen = redis.call('HGETALL', KEYS[9])
    local latest, known = 0, {}
    for i = 2, #seen, 2 do
        latest = math.max(latest, tonumber(seen[i]) or 0)
    end
    for i = 1, #seen, 2 do
        if (tonumber(seen[i + 1]) or 0) >= latest - KNOWN_FOR_MS then
            known[#known + 1] = seen[i]
        end
    end
    return table.concat(known, ' ')
end

-- Begin to gather what the gateways know: until all have told it, or have had the time to, nothing that
-- could be wrong is decided.
local function begin_healing(reason, issued)
    redis.call('HSET', KEYS[10], 'reason', reason, 'started_at', int(now), 'issued', int(issued),
        'expected', known_gateways())
    redis.call('PUBLISH', KEYS[1] .. ':changed', '0')
end

-- Say why the state cannot be relied on before the gateways were heard, or nil.
local function doubt(e)
    local generation, issued, served = string.match(FLOOR, '^(%d+):(%d+):(%d+)$')
    generation = tonumber(generation or '0')
    if generation > e.generation then
        return 'older-generation'
    end
    if e.mark ~= current_mark() then
        -- Restarted, restored or promoted: it may lack what it once had answered.
        return 'server-changed'
    end
    if generation == e.generation
        and (tonumber(issued) > e.issued or tonumber(served) > e.served) then
        return 'behind'
    end
    return nil
end

-- The names of the state's fields. Those in the second list are there only after a first bypass; those
-- in the third only once this version has saved the state: a gateway of the version before leaves them as
-- they are, and what is lost with them is a guess at the waiting time, and for a moment at whether the site
-- is ill, so their absence is no loss.
local FIELDS = {'layout', 'generation', 'state', 'mark', 'ceiling', 'next', 'active_ms', 'ledger_ms',
    'ticked_at', 'running', 'windows_ended_to', 'holes', 'message', 'claims_frozen', 'draw_hash',
    'draw_seed', 'draw_count', 'claims', 'updated_at', 'late', 'active', 'issued', 'served',
    'revision', 'acts', 'claimed', 'ended_until', 'healed'}
local BYPASS_FIELDS = {'bypass_until', 'bypass_from'}
local LATER_FIELDS = {'open_ms', 'ill_until', 'wall_doubted_until'}
local NUMBERS = {'generation', 'ceiling', 'next', 'active_ms', 'ledger_ms', 'ticked_at',
    'windows_ended_to', 'claims', 'updated_at', 'late', 'active', 'issued', 'served', 'revision',
    'ended_until'}

local function raw_state()
    local names, s = {}, {}
    for _, list in ipairs({FIELDS, BYPASS_FIELDS, LATER_FIELDS}) do
        for _, name in ipairs(list) do
            names[#names + 1] = name
        end
    end
    for i, value in ipairs(redis.call('HMGET', KEYS[1], unpack(names))) do
        s[names[i]] = value
    end
    return s
end

-- Bring the state of the layout before to this one; from then on gateways of that version refuse it, and
-- go on with what they know. What it did not note of its sets, it cannot find missing.
local function upgrade()
    redis.call('HSET', KEYS[1], 'issued', redis.call('GET', KEYS[2]) or '',
        'served', redis.call('GET', KEYS[3]) or '', 'revision', '1', 'acts', '', 'claimed', '',
        'ended_until', '0', 'healed', '', 'layout', tostring(LAYOUT))
    return raw_state()
end

-- Load the event. Returns it, or nil and the error to return. Missing or unreadable is lost, not zero;
-- and what is there is not relied on while there is a doubt, unless the caller takes it `as_it_is`.
local function load_event(as_it_is)
    local s = raw_state()
    if not s.layout then
        return nil, fail('LOST', 'state')
    end
    if s.layout == tostring(LAYOUT - 1) then
        s = upgrade()
    end
    if s.layout ~= tostring(LAYOUT) then
        return nil, fail('LAYOUT', s.layout)
    end
    if s.state == 'deleted' then
        return nil, fail('GONE', 'deleted')
    end
    for _, name in ipairs(FIELDS) do
        if not s[name] then
            return nil, fail('LOST', name)
        end
    end
    local e = {
        state = STATES[s.state] and s.state, mark = s.mark, running = s.running == '1',
        holes = parse_holes(s.holes), message = s.message, claims_frozen = s.claims_frozen ~= '0',
        bypass_until = whole(s.bypass_until), bypass_from = s.bypass_from, draw_hash = s.draw_hash,
        draw_seed = s.draw_seed, draw_count = s.draw_count, acts = s.acts, claimed = s.claimed,
        healed = s.healed, open_ms = whole(s.open_ms) or 0, ill_until = whole(s.ill_until) or 0,
        wall_doubted_until = whole(s.wall_doubted_until) or 0,
    }
    for _, name in ipairs(NUMBERS) do
        e[name] = whole(s[name])
        if not e[name] then
            return nil, fail('LOST', name)
        end
    end
    if not e.state then
        return nil, fail('LOST', 'state')
    end
    if e.state == 'bypass' and not (e.bypass_until and STATES[e.bypass_from]) then
        return nil, fail('LOST', 'bypass')
    end
    -- Each number stands in two places, so that one which another hand has set is found out.
    if whole(redis.call('GET', KEYS[2])) ~= e.issued then
        return nil, fail('LOST', 'issued')
    end
    if whole(redis.call('GET', KEYS[3])) ~= e.served then
        return nil, fail('LOST', 'served')
    end
    -- A set that is gone looks like an empty one. Sessions read as none would fill the backend twice;
    -- without the releases every window would begin anew; without the ended sessions their passes
    -- would be good again. (Nothing rolls a script back that fails in the middle, so what is taken out
    -- of a set is written down first: there may be more, never fewer.)
    if redis.call('ZCARD', KEYS[5]) < e.active then
        return nil, fail('LOST', 'sessions')
    end
    if e.served > e.windows_ended_to and redis.call('ZCARD', KEYS[4]) == 0 then
        return nil, fail('LOST', 'releases')
    end
    if e.ended_until > now / 1000 and redis.call('EXISTS', KEYS[7]) == 0 then
        return nil, fail('LOST', 'ended')
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
    if not as_it_is then
        local healing = redis.call('EXISTS', KEYS[10]) == 1
        local why = healing and 'under way' or doubt(e)
        if why then
            if not healing then
                begin_healing(why, e.issued)
            end
            return nil, fail('HEALING', why)
        end
    end
    return e
end

-- Load the event in the one life of its queue that the caller speaks of. An error counts before the event.
local function load_life(generation)
    local e, err = load_event()
    if not err and generation ~= int(e.generation) then
        err = fail('GENERATION', int(e.generation))
    end
    return e, err
end

local function at_limit(e)
    return e.max_sessions > 0 and e.active >= e.max_sessions
end

-- Sessions that ran and whose rows are gone still fill the backend: their passes admit to their end. A row
-- without a position stands in for each: lost-1, lost-2, … without a gap. Return how many there are.
local function stand_ins()
    local low, high = 0, 1
    while redis.call('ZSCORE', KEYS[5], 'lost-' .. int(high)) do
        low, high = high, high * 2
    end
    while high - low > 1 do
        local middle = math.floor((low + high) / 2)
        if redis.call('ZSCORE', KEYS[5], 'lost-' .. int(middle)) then
            low = middle
        else
            high = middle
        end
    end
    return low
end

-- How often the visitor of a running session may still lengthen it, and how often they have.
local function extensions_left(e, position)
    local used = tonumber(redis.call('HGET', KEYS[8], position) or '0')
    return math.max(e.extend_times - used, 0), used
end

local function serves_claims(e)
    return e.state == 'open' or e.state == 'closed' or e.state == 'bypass'
        or (e.state == 'paused' and not e.claims_frozen)
end

local function settle_running(e)
    e.running = serves_claims(e) and not at_limit(e) and e.ledger_ms >= e.ill_until
end

-- Advance both clocks, end what has ended, forget releases whose window is over.
local function tick(e)
    local step = math.min(math.max(now - e.ticked_at, 0), MAX_STEP_MS)
    local is_jump = math.abs(now - e.ticked_at) > 2 * MAX_STEP_MS
    e.ticked_at = now
    e.ledger_ms = e.ledger_ms + step
    if is_jump then
        e.wall_doubted_until = e.ledger_ms + BELIEVE_AFTER_MS
    end
    if e.running then
        e.active_ms = e.active_ms + step
    end
    if e.state == 'open' then
        e.open_ms = e.open_ms + step
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
        'updated_at', int(e.updated_at), 'revision', int(e.revision), 'acts', e.acts,
        'claimed', e.claimed, 'ended_until', int(e.ended_until), 'open_ms', int(e.open_ms),
        'wall_doubted_until', int(e.wall_doubted_until))
end

-- The history of releases, from which waiting times are told: "served open_s:people:movements,…" with the
-- latest last. It speaks for the pointer that it names: one moved by who keeps no history (a gateway of
-- the version before, healing) makes it void, and '' is returned.
local function read_history(e)
    local served, entries =
        string.match(redis.call('HGET', KEYS[1], 'history') or '', '^(%d+) ([%d:,]+)$')
    return served == int(e.served) and entries or ''
end

-- A number is kept twice; both places in one step, the counter before anything that names it. Nothing
-- rolls a script back that fails in the middle: should a right be missing, it fails before the first.
local function set_number(e, name, key, number)
    e[name] = number
    redis.call('HSET', KEYS[1], 'ticked_at', int(e.ticked_at))
    redis.call('SET', key, int(number))
    redis.call('HSET', KEYS[1], name, int(number))
end

local function set_issued(e, issued)
    set_number(e, 'issued', KEYS[2], issued)
end

local function set_served(e, served)
    set_number(e, 'served', KEYS[3], served)
end

local function register_gateway()
    if GATEWAY == '' then
        return
    end
    if redis.call('HSET', KEYS[9], GATEWAY, int(now)) == 1 then
        -- The others learn at once for whom they would have to wait.
        redis.call('PUBLISH', KEYS[1] .. ':changed', '0')
    end
    if redis.call('HLEN', KEYS[9]) > 256 then
        local seen = redis.call('HGETALL', KEYS[9])
        for i = 1, #seen, 2 do
            if (tonumber(seen[i + 1]) or 0) < now - 3600000 then
                redis.call('HDEL', KEYS[9], seen[i])
            end
        end
    end
end

-- The bitmaps of used positions by their ranges: one that is gone must not read as "nobody was in".
local function is_missing_range(e, name, bitmap)
    return string.find(' ' .. e.claimed .. ' ', ' ' .. name .. ' ', 1, true) ~= nil
        and redis.call('TYPE', bitmap).ok ~= 'string'
end

local function note_range(e, name)
    if not string.find(' ' .. e.claimed .. ' ', ' ' .. name .. ' ', 1, true) then
        e.claimed = e.claimed == '' and name or (e.claimed .. ' ' .. name)
    end
end

local function bitmap_of(e, name)
    return (string.gsub(KEYS[1], 'state$', 'claimed:' .. int(e.generation) .. ':' .. name))
end

-- Tell every watcher that there is something to read. The key is the truth; this is a hint.
local function announce(e)
    e.updated_at = now
    e.revision = e.revision + 1
    redis.call('PUBLISH', KEYS[1] .. ':changed', int(e.generation))
end

-- A token was shown of a position that was taken for empty: those up to it belong to somebody.
local function refute_hole(e, position)
    for i, hole in ipairs(e.holes) do
        if hole[1] <= position and position <= hole[2] then
            hole[1] = position + 1
            if hole[1] > hole[2] then
                table.remove(e.holes, i)
            end
            announce(e)
            return
        end
    end
end

-- Unix seconds at which a session ends that ends at `end_ms` of the ledger clock.
local function wall_s(e, end_ms)
    return math.floor((now + end_ms - e.ledger_ms) / 1000)
end
