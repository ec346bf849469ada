-- Move the pointer as far as the event's schedule allows by now. Any gateway may call it at any time.
--
-- KEYS[1..10]  see prelude
-- KEYS[11]    backend  hash  gateway -> "ledger_ms word": what each last saw of the site
-- ARGV[1]     what the caller sees of the site: healthy, ill, or '' for nothing
--
-- Returns strings: before, after, people, why it goes no further: no-schedule, a state but open, ill,
-- nobody-waits, rate, full, overshoot.
--
-- Two bounds, each where the policy has it. *The rate*: time adds credit, a person takes some away, all in
-- whole numbers; a call uses up only what its releases cost. Credit is never more than one interval's, so
-- idle time does not store up a flood. *The limit of sessions*: those who run, and those of whom it is
-- expected that they come, fill the places there are and those that become free until they come; and those
-- who hold a session, or a turn whose window is open, never are more than the limit and the overshoot.
--
-- Where the site is ill by what at least half of those gateways see that see anything, nothing is
-- released, and windows stand still (`ill_until`). Afterwards, and where fewer see it, a pace below 1 slows
-- both bounds; it grows back within a minute.
--
-- The state's field `schedule`: "open_ms cost credit pace_ms gone gone_at gone_per_s moved_at reason": up to
-- when time is counted; credit, and what a person costs, in people x ms x percent; the pace, as so much of the
-- minute of a recovery; sessions that have ended, when that was looked at, and how many did a second; when it
-- last moved the pointer, or 0.
--
-- A call that moves and changes nothing writes nothing, unless nobody has kept time for a second: it is as if
-- it had not been made. `follow` in
-- domain/pacing.py decides the same, and a test holds the two together.

local RECOVERY_MS = 60000
local LEAST_PACE_MS = 6000
local SEEN_FOR_MS = 10000 -- what a gateway saw counts for so long
local SEEN_AGAIN_MS = 2500
local GONE_MEMORY_MS = 60000
local LEAST_GONE_SPAN_MS = 1000
local KEPT_TIME_MS = 1000
local SPARED_MS = 200 -- not everybody waiting is let in: then no two movements are closer together
local AS_MANY_AGAIN = -1 -- overshoot: as many as the limit of sessions

local e, err = load_event()
if err then
    return err
end
local sees = ARGV[1]
local config = redis.call('HMGET', KEYS[6], 'schedule_people', 'schedule_every_ms', 'fill', 'overshoot')
local per_interval, every_ms = whole(config[1]) or 0, whole(config[2]) or 0
local has_rate = per_interval > 0 and every_ms > 0
local before = e.served

local function answer(reason)
    return {int(before), int(e.served), int(occupied_between(e, before, e.served)), reason}
end

if not has_rate and config[3] ~= '1' then
    return answer('no-schedule')
end
local active, state, ill_until, ticked_at = e.active, e.state, e.ill_until, e.ticked_at
tick(e)
if e.state ~= 'open' then
    if e.state ~= state or e.active ~= active then
        save(e)
    end
    return answer(e.state)
end

-- Return what part of the gateways that see anything of the site see it ill.
local function ill_share()
    if sees ~= '' and GATEWAY ~= '' then
        local noted = redis.call('HGET', KEYS[11], GATEWAY) or ''
        local at, word = string.match(noted, '^(%d+) (%a+)$')
        at = tonumber(at or '')
        if word ~= sees or at > e.ledger_ms or at + SEEN_AGAIN_MS < e.ledger_ms then
            redis.call('HSET', KEYS[11], GATEWAY, int(e.ledger_ms) .. ' ' .. sees)
        end
    end
    local seen, ill = redis.call('HGETALL', KEYS[11]), 0
    local fresh = 0
    for i = 1, #seen, 2 do
        local at, word = string.match(seen[i + 1], '^(%d+) (%a+)$')
        at = tonumber(at or '')
        if at and at <= e.ledger_ms and at + SEEN_FOR_MS > e.ledger_ms then
            fresh = fresh + 1
            ill = ill + (word == 'ill' and 1 or 0)
        else
            redis.call('HDEL', KEYS[11], seen[i])
        end
    end
    return fresh > 0 and ill / fresh or 0
end

-- Return the pace after so long with a part of the gateways seeing the site ill; `next_pace` in
-- domain/backoff.py.
local function next_pace(pace_ms, share, elapsed_ms)
    if share > 0 then
        return math.max(math.min(pace_ms, math.floor(RECOVERY_MS * (1 - share))), LEAST_PACE_MS)
    end
    return math.min(pace_ms + elapsed_ms, RECOVERY_MS)
end

local gone = math.max(e.claims - e.active, 0)

local function read_schedule(cost)
    local at, held_cost, credit, pace_ms, seen, gone_at, gone_per_s, moved_at, reason = string.match(
        redis.call('HGET', KEYS[1], 'schedule') or '',
        '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) ([%d.]+) (%d+) (%S+)$')
    if not at or tonumber(at) > e.open_ms or tonumber(gone_at) > e.open_ms
        or tonumber(moved_at) > e.open_ms or not tonumber(gone_per_s) then
        return {at = e.open_ms, credit = 0, pace_ms = RECOVERY_MS, gone = gone, gone_at = e.open_ms,
            gone_per_s = 0, moved_at = 0, reason = ''}
    end
    credit, held_cost = tonumber(credit), tonumber(held_cost)
    if held_cost ~= cost then
        credit = held_cost > 0 and math.floor(credit / held_cost * cost) or 0
    end
    return {at = tonumber(at), credit = credit, pace_ms = tonumber(pace_ms), gone = tonumber(seen),
        gone_at = tonumber(gone_at), gone_per_s = tonumber(gone_per_s), moved_at = tonumber(moved_at),
        reason = reason}
end

local cost = has_rate and every_ms * 100 or 0
local s = read_schedule(cost)
local elapsed_ms = e.open_ms - s.at
local pace_before, reason_before = s.pace_ms, s.reason
local share = ill_share()
local is_ill = share >= 0.5
-- Time that has passed counts at the pace that it had.
s.credit = s.credit + elapsed_ms * per_interval * math.floor(s.pace_ms * 100 / RECOVERY_MS)
-- An interval's worth, and what there is of the next person: else calls that are nearly an interval apart
-- would lose fractions.
s.credit = is_ill and 0 or math.min(s.credit, math.max(per_interval * cost + cost - 1, 0))
s.pace_ms = next_pace(s.pace_ms, is_ill and 1 or share, elapsed_ms)
s.at = e.open_ms
e.ill_until = is_ill and e.ledger_ms + SEEN_FOR_MS or 0
settle_running(e)

-- How many sessions have ended since the last look, and how many a second lately.
local span_ms = e.open_ms - s.gone_at
if span_ms >= LEAST_GONE_SPAN_MS then
    local lately = math.max(gone - s.gone, 0) / span_ms * 1000
    s.gone_per_s = s.gone_per_s + (lately - s.gone_per_s) * span_ms / (span_ms + GONE_MEMORY_MS)
    s.gone, s.gone_at = gone, e.open_ms
end

-- Return how many the limit of sessions leaves room for, and what bounds them.
local function room()
    local t = read_turnout(e)
    local chance = chances(t)
    local people, will_come = at_the_door(t, chance)
    local limit = math.floor(e.max_sessions * s.pace_ms / RECOVERY_MS)
    local overshoot = tonumber(config[4] or '') or AS_MANY_AGAIN
    overshoot = overshoot == AS_MANY_AGAIN and e.max_sessions or overshoot
    -- Those whose turn comes now come a little later: until then some sessions end.
    local ending = redis.call('ZCOUNT', KEYS[5], '-inf', int(e.ledger_ms + t.delay_ms))
    ending = math.min(math.max(ending, s.gone_per_s * t.delay_ms / 1000), e.active)
    local expected = math.floor((limit - e.active + ending - will_come) / chance[1])
    local bound = e.max_sessions + overshoot - e.active - people
    if bound < expected then
        return math.max(bound, 0), 'overshoot'
    end
    return math.max(expected, 0), 'full'
end

local waiting = occupied_between(e, before, reach(e, e.issued + e.headroom))
local people, reason = waiting, 'nobody-waits'
if is_ill then
    people, reason = 0, 'ill'
elseif has_rate and math.floor(s.credit / cost) < people then
    people, reason = math.floor(s.credit / cost), 'rate'
end
if e.max_sessions > 0 and people > 0 then
    local fits, why = room()
    if fits < people then
        people, reason = fits, why
    end
end
if people < waiting and s.moved_at > 0 and e.open_ms - s.moved_at < SPARED_MS then
    -- What many gateways ask for one after the other is one movement: each is read by all of them.
    people = 0
end
local after = people > 0 and reach(e, forward(e, before, people)) or before
s.reason = reason
if after > before then
    s.credit, s.moved_at = s.credit - people * cost, e.open_ms
end
-- The credit first: nothing rolls a script back that fails in the middle.
if after > before or reason ~= reason_before or s.pace_ms ~= pace_before or e.active ~= active
    or (e.ill_until > 0) ~= (ill_until > 0) or is_ill or now - ticked_at >= KEPT_TIME_MS then
    redis.call('HSET', KEYS[1], 'ill_until', int(e.ill_until), 'schedule', table.concat({
        int(s.at), int(cost), int(s.credit), int(s.pace_ms), int(s.gone), int(s.gone_at),
        fine(s.gone_per_s), int(s.moved_at), reason}, ' '))
    if after > before then
        move_pointer(e, after)
    end
    save(e)
end
return answer(reason)
