-- What the scripts share that bring a lost or doubted event back; joined behind the prelude for them.
--
-- A floor is what one gateway knows for certain: numbers that were handed out or published cannot have
-- been less. It comes as JSON:
--   generation, issued, ceiling, served   the highest that it dealt, read, or saw proved by a token
--   age_ms      how long ago it last read or dealt well
--   rate        the highest pace of joins that it saw, per second
--   stands_for  ids that it speaks for: its own, and those whose floor files it took over
--   ended_well  those of them whose file was written after they had dealt for the last time
--   gateways    ids that it knows of
--   record      the last good read whole, or absent where only tokens are known

local HEAL_WAIT_MS = 5000
local LARGEST_COUNTED_AGE_MS = 2000 -- a gateway reads, and writes its file, once a second
local REVISIONS_SKIPPED = 100000
local LEAST_RATE = 10 -- where nobody has seen any

-- Of KEYS[1..10] and the evidence.
local TYPES = {'hash', 'string', 'string', 'zset', 'zset', 'hash', 'stream', 'hash', 'hash', 'hash', 'hash'}

local function read_floor(text)
    if text == '' then
        return {generation = 0, issued = 0, ceiling = 0, served = 0, age_ms = 0, rate = LEAST_RATE,
            stands_for = {}, ended_well = {}, gateways = {}}
    end
    return cjson.decode(text)
end

-- Remove what is not even of the right type; it cannot be read, and would stop everything else.
local function clear_wrong_types()
    for i, kind in ipairs(TYPES) do
        local found = redis.call('TYPE', KEYS[i]).ok
        if found ~= 'none' and found ~= kind then
            redis.call('DEL', KEYS[i])
        end
    end
end

-- The pointer stands in three places. One that another hand has set is alone with what it says: set
-- forward it would let everybody in, and set back it would turn people away.
local function agreed_served(s)
    local counter, noted = whole(redis.call('GET', KEYS[3])), whole(s.served)
    local latest = redis.call('ZRANGE', KEYS[4], -1, -1, 'WITHSCORES')
    local released = latest[2] and tonumber(latest[2]) or whole(s.windows_ended_to)
    if noted and (noted == counter or noted == released) then
        return noted
    end
    return counter and counter == released and counter or 0
end

-- Add the releases of a record that are missing here.
local function merge_releases(releases, windows_ended_to)
    for _, release in ipairs(releases) do
        local turn = string.match(release, '(%d+)$')
        if tonumber(turn) > windows_ended_to and redis.call('ZCOUNT', KEYS[4], turn, turn) == 0 then
            redis.call('ZADD', KEYS[4], turn, release)
        end
    end
end

-- Write down a movement of the pointer of which it is not known when it was: its window begins now.
local function note_release_of_now(holes, active_ms, before, after)
    if after > before and redis.call('ZCOUNT', KEYS[4], int(after), '+inf') == 0 then
        local people = occupied_between({holes = holes}, before, after)
        redis.call('ZADD', KEYS[4], int(after), int(active_ms) .. ':' .. int(people) .. ':' .. int(after))
    end
end

-- Whether what an operator decided can be read from a state of which something else is missing.
local function is_readable(s)
    for _, name in ipairs({'message', 'holes', 'acts', 'draw_count', 'claims_frozen'}) do
        if not s[name] then
            return false
        end
    end
    return STATES[s.state] ~= nil
        and (s.state ~= 'bypass' or (whole(s.bypass_until) ~= nil and STATES[s.bypass_from] ~= nil))
end

-- Write an event from a floor's record and from what is still readable of the same generation. The
-- highest of both counts; where they differ in what an operator decided, the later revision does.
local function rebuild(floor)
    local r, s = floor.record, raw_state()
    -- Where the state is gone whole, what lies beside it was of the same life: a new one clears it first.
    local same = s.generation == int(floor.generation) or not (s.layout or s.generation)
    local function kept(name)
        return same and whole(s[name]) or 0
    end
    if not same then
        redis.call('DEL', KEYS[4], KEYS[5], KEYS[7], KEYS[8])
    end
    -- What an operator decided and was published since the floor last read stands in the state itself.
    local decided = r
    if kept('revision') > r.revision and is_readable(s) then
        decided = s
    end
    if decided == r or redis.call('HLEN', KEYS[6]) * 2 < #r.config then
        redis.call('DEL', KEYS[6])
        redis.call('HSET', KEYS[6], unpack(r.config))
    end
    local issued = floor.issued
    local ceiling = math.max(floor.ceiling, kept('ceiling'), kept('next'), issued)
    for _, counter in ipairs({kept('issued'), same and whole(redis.call('GET', KEYS[2])) or 0}) do
        if counter <= ceiling then
            -- No position was ever dealt above the ceiling: a counter beyond it was set by another hand.
            issued = math.max(issued, counter)
        end
    end
    local served = math.max(floor.served, same and agreed_served(s) or 0)
    local active_ms = math.max(r.active_ms, kept('active_ms'))
    local windows_ended_to = math.max(r.windows_ended_to, kept('windows_ended_to'))
    merge_releases(r.releases, windows_ended_to)
    local latest = redis.call('ZRANGE', KEYS[4], -1, -1, 'WITHSCORES')[2]
    note_release_of_now(parse_holes(decided.holes), active_ms,
        math.max(windows_ended_to, tonumber(latest or '0')), served)
    local ranges = {}
    for name in string.gmatch(r.claimed, '%S+') do
        local bitmap = string.gsub(KEYS[1], 'state$', 'claimed:' .. int(floor.generation) .. ':' .. name)
        if redis.call('EXISTS', bitmap) == 1 then
            ranges[#ranges + 1] = name
        end
    end
    redis.call('SET', KEYS[2], int(issued))
    redis.call('SET', KEYS[3], int(served))
    redis.call('HSET', KEYS[1], 'layout', tostring(LAYOUT), 'generation', int(floor.generation),
        'state', decided.state, 'mark', '', 'ceiling', int(ceiling), 'next', int(ceiling),
        'active_ms', int(active_ms),
        'ledger_ms', int(math.max(r.ledger_ms, kept('ledger_ms'))), 'ticked_at', int(now),
        'running', '0', 'windows_ended_to', int(windows_ended_to),
        'holes', decided.holes, 'message', decided.message, 'claims_frozen', decided.claims_frozen,
        'claims', int(math.max(r.claims, kept('claims'))), 'late', int(math.max(r.late, kept('late'))),
        'issued', int(issued), 'served', int(served),
        -- Of what was taken: another floor may know a later one.
        'revision', int(tonumber(decided.revision)), 'acts', decided.acts,
        'claimed', table.concat(ranges, ' '), 'ended_until', '0', 'healed', '',
        'updated_at', int(now), 'draw_hash', r.draw_hash, 'draw_seed', r.draw_seed,
        'draw_count', decided.draw_count, 'active', int(redis.call('ZCARD', KEYS[5])))
    if decided ~= r then
        redis.call('HSET', KEYS[1], 'bypass_from', s.bypass_from or '',
            'bypass_until', s.bypass_until or '')
    elseif r.state == 'bypass' then
        redis.call('HSET', KEYS[1], 'bypass_from', r.bypass_from,
            'bypass_until', int(math.max(r.ledger_ms, kept('ledger_ms')) + r.bypass_left_ms))
    end
    -- What the clock has still to do, and how far the operator log had come, where that is gone too.
    if r.clock and (decided == r or redis.call('HEXISTS', KEYS[1], 'clock') == 0) then
        redis.call('HSET', KEYS[1], 'clock', r.clock)
    end
    redis.call('HSET', KEYS[1], 'log_before', r.log_head or '')
    return math.max(r.active, kept('active'))
end

local function forget_range(ranges, gone)
    local kept = {}
    for name in string.gmatch(ranges, '%S+') do
        if name ~= gone then
            kept[#kept + 1] = name
        end
    end
    return table.concat(kept, ' ')
end

-- Let rows stand in for so many sessions, for as long as the longest of them can still run.
local function add_stand_ins(ledger_ms, session_ms, extend_times, extend_ms, missing)
    local longest_ms = math.max(session_ms, extend_times > 0 and extend_ms or 0)
    local i = 0
    while missing > 0 do
        i = i + 1
        missing = missing - redis.call('ZADD', KEYS[5], 'NX', int(ledger_ms + longest_ms), 'lost-' .. int(i))
    end
end

-- Let as many sessions count as ran, where rows of them are gone.
local function stand_in_for_sessions(e, running, known, is_later)
    if is_later then
        -- Who tells of a later moment than those before knows better how many there were.
        local i = 1
        while redis.call('ZREM', KEYS[5], 'lost-' .. i) == 1 do
            i = i + 1
        end
    end
    -- What the state says alone may have been set by another hand; more than the limit stops nobody else.
    running = e.max_sessions > 0 and math.min(running, e.max_sessions) or known
    local missing = running - redis.call('ZCARD', KEYS[5])
    add_stand_ins(e.ledger_ms, e.session_ms, e.extend_times, e.extend_ms, missing)
    e.active = redis.call('ZCARD', KEYS[5])
end

-- Take from a floor whatever is later or higher than what is here.
local function lift(e, floor)
    if floor.generation ~= e.generation then
        return
    end
    local known = math.max(tonumber(redis.call('HGET', KEYS[10], 'issued') or '0'), floor.issued)
    redis.call('HSET', KEYS[10], 'issued', int(known))
    e.ceiling = math.max(e.ceiling, floor.ceiling)
    e.next = math.max(e.next, e.ceiling)
    local r = floor.record
    if r and (r.revision > e.revision or floor.issued > e.issued) then
        -- This server has missed something: maybe sessions too.
        stand_in_for_sessions(e, r.active, r.active, r.revision > e.revision)
    end
    if r then
        merge_releases(r.releases, e.windows_ended_to)
        local held = {}
        for _, entry in ipairs(redis.call('XRANGE', KEYS[7], '-', '+')) do
            held[entry[2][2]] = true
        end
        for i = 1, #r.ended, 2 do
            if not held[r.ended[i]] then
                redis.call('XADD', KEYS[7], '*', 'position', r.ended[i], 'until', r.ended[i + 1])
                held[r.ended[i]] = true
            end
            e.ended_until = math.max(e.ended_until, tonumber(r.ended[i + 1]))
            if redis.call('ZREM', KEYS[5], r.ended[i]) == 1 then
                e.active = redis.call('ZCARD', KEYS[5])
            end
        end
        e.active_ms = math.max(e.active_ms, r.active_ms)
        if r.revision > e.revision then
            -- What an operator did, and what was published of it, that this server missed.
            e.state, e.message, e.holes, e.acts = r.state, r.message, parse_holes(r.holes), r.acts
            e.claims_frozen, e.revision = r.claims_frozen ~= '0', r.revision
            e.draw_count = r.draw_count
            redis.call('HSET', KEYS[1], 'message', r.message, 'claims_frozen', r.claims_frozen,
                'draw_count', r.draw_count)
            redis.call('HSET', KEYS[6], unpack(r.config))
            if r.clock then
                redis.call('HSET', KEYS[1], 'clock', r.clock)
            end
            if r.state == 'bypass' then
                e.bypass_from, e.bypass_until = r.bypass_from, e.ledger_ms + r.bypass_left_ms
                redis.call('HSET', KEYS[1], 'bypass_from', e.bypass_from,
                    'bypass_until', int(e.bypass_until))
            end
        end
    end
    if floor.served > e.served then
        note_release_of_now(e.holes, e.active_ms, e.served, floor.served)
        set_served(e, floor.served)
    end
end

local function join_names(set)
    local names = {}
    for name in pairs(set) do
        names[#names + 1] = name
    end
    return table.concat(names, ' ')
end

-- Return the highest that the ceiling can have been raised to since a floor was known. No gateway has to speak for
-- it: raise.lua holds all of them to it. A healing in between, which goes on higher than that, lasted five seconds
-- at least if this floor was not heard in it; nothing was dealt in them, so the bound holds.
local function may_reach(ceiling, age_ms)
    return ceiling + CLIMB_PER_S + math.ceil(CLIMB_PER_S * age_ms / 1000)
end

-- Note who was heard; return how many of those expected were not, the oldest age and the highest pace that
-- were told, and the lowest of what bounds the ceiling.
local function hear(e, floor)
    local h = {}
    local flat = redis.call('HGETALL', KEYS[10])
    for i = 1, #flat, 2 do
        h[flat[i]] = flat[i + 1]
    end
    -- For who has ended another speaks, from a file that may be a second old, unless it was its last word.
    local heard, by_proxy, expected = {}, {}, {}
    for id in string.gmatch(h.heard or '', '%S+') do
        heard[id] = true
    end
    for id in string.gmatch(h.by_proxy or '', '%S+') do
        by_proxy[id] = true
    end
    for id in string.gmatch(h.expected or '', '%S+') do
        expected[id] = true
    end
    for _, id in ipairs(floor.stands_for) do
        heard[id] = true
        by_proxy[id] = id ~= GATEWAY or nil
    end
    for _, id in ipairs(floor.ended_well) do
        by_proxy[id] = nil
    end
    for _, id in ipairs(floor.gateways) do
        expected[id] = true
    end
    local missing, silent = 0, 0
    for id in pairs(expected) do
        missing = missing + (heard[id] and 0 or 1)
        silent = silent + ((by_proxy[id] or not heard[id]) and 1 or 0)
    end
    local oldest_ms = math.max(tonumber(h.oldest_ms or '0'), floor.age_ms)
    local rate = math.max(tonumber(h.rate or '0'), floor.rate)
    local reach = tonumber(h.reach or '')
    if floor.generation == e.generation then
        local mine = may_reach(math.max(floor.ceiling, floor.issued), floor.age_ms)
        reach = reach and math.min(reach, mine) or mine
    end
    -- A clock that was set back must not make the wait endless.
    local started_at = math.min(tonumber(h.started_at or int(now)), now)
    redis.call('HSET', KEYS[10], 'heard', join_names(heard), 'by_proxy', join_names(by_proxy),
        'expected', join_names(expected), 'oldest_ms', int(oldest_ms),
        'rate', tostring(rate), 'reach', reach and int(reach) or '', 'started_at', int(started_at))
    return {missing = missing, silent = silent, oldest_ms = oldest_ms, rate = rate, reach = reach,
        waited_ms = now - started_at, issued = tonumber(h.issued or '0'), reason = h.reason or ''}
end

-- Go on, above everything that can have been dealt.
--
-- Where everyone was heard, `issued` is exact and all above it is empty. Where nobody speaks for a gateway, or only
-- its file does, all below the ceiling may belong to somebody; and it may have raised the ceiling and dealt on after
-- the others last read, as far as any could. A gap costs nothing, a duplicate never heals; and people in what counts
-- as empty would be let in uncounted, so what is likely theirs does not count as empty: as many as would have come
-- at the highest pace seen.
local function go_on(e, told)
    local dealt = math.max(told.issued, e.issued)
    local top = math.max(dealt, e.next)
    if told.silent > 0 then
        dealt = math.max(dealt, e.ceiling)
        -- Where only who knows nothing was heard, the state itself says how old it is.
        top = math.max(top, told.reach or may_reach(e.ceiling, math.max(now - e.ticked_at, 0)))
    end
    if told.missing > 0 then
        dealt = dealt + math.ceil(told.rate * math.min(told.oldest_ms, LARGEST_COUNTED_AGE_MS) / 1000)
    end
    top = math.max(top, dealt)
    local first_empty = dealt + 1
    if first_empty <= top then
        add_hole(e, first_empty, top)
    end
    e.healed = table.concat({int(now), told.reason, int(math.max(told.issued, e.issued)), int(top),
        int(told.silent)}, ' ')
    set_issued(e, top)
    e.ceiling, e.next, e.mark, e.ticked_at = top, top, current_mark(), now
    redis.call('HSET', KEYS[1], 'healed', e.healed)
    redis.call('HDEL', KEYS[1], 'climb')
    redis.call('DEL', KEYS[10], KEYS[11])
    e.wall_doubted_until = e.ledger_ms + BELIEVE_AFTER_MS -- another server may have another clock
    settle_running(e)
    -- Whoever comes late knows decisions of before the loss; those made from here on are later.
    e.revision = e.revision + REVISIONS_SKIPPED
    announce(e)
    save(e)
end
