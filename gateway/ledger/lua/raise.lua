-- Propose a higher ceiling. It counts only once it is durable and committed.
--
-- KEYS[1..10]  see prelude
-- ARGV[1]     step, how many positions above the present ceiling
--
-- Returns strings: the proposed ceiling, the fence mark under which it was proposed, how durable it must be
-- (level, replicas) before it is committed, and 0; or, where the ceiling has climbed too fast to be raised now, the
-- ms after which to ask again in place of the 0.

local WORTH_A_RAISE = 256 -- positions

-- A bucket of CLIMB_PER_S that fills as the ledger clock runs: how far a gateway that has not read for a while can
-- have been left behind is known by it (healing.lua, may_reach). Returns how much of `wanted` is in it, and
-- takes it out; where that is nothing, also the ms until there is something worth a raise.
local function room_to_climb(e, wanted)
    local taken, at = string.match(redis.call('HGET', KEYS[1], 'climb') or '', '^(%d+) (%d+)$')
    local since_ms = math.max(e.ledger_ms - (tonumber(at) or 0), 0)
    local level = math.max((tonumber(taken) or 0) - math.floor(since_ms * CLIMB_PER_S / 1000), 0)
    local room = math.min(wanted, CLIMB_PER_S - level)
    if room < math.min(wanted, WORTH_A_RAISE) then
        return 0, math.ceil((level + WORTH_A_RAISE - CLIMB_PER_S) * 1000 / CLIMB_PER_S)
    end
    redis.call('HSET', KEYS[1], 'climb', int(level + room) .. ' ' .. int(e.ledger_ms))
    return room, 0
end

local e, err = load_event()
if err then
    return err
end
tick(e)
-- A counter that stands above its ceiling (set by hand, restored) must not be raised to in small steps.
local from = math.max(e.next, e.issued)
local wanted = math.max(math.max(e.ceiling, e.issued) + tonumber(ARGV[1]) - from, 0)
local room, wait_ms = room_to_climb(e, wanted)
e.next = math.max(e.next, from + room)
save(e)
local level = redis.call('HMGET', KEYS[6], 'durability', 'replicas')
return {int(e.next), e.mark, level[1] or '1', level[2] or '1', int(wait_ms)}
