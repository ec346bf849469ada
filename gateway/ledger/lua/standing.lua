-- The state that an event stands in, and how the clock changes it; joined behind log.lua.
--
-- `opens_at` opens a scheduled event and `closes_at` closes it, by the server's wall clock, once for each time
-- that is set: what an operator does before or after stays done. The state's field `clock`: "opens closes", the
-- times that are still to come, in Unix seconds, or 0. A time that had passed already when it was set, or when
-- an event of a version before is first read, is none of them.
--
-- A wall clock may jump, and an opening cannot be taken back: after a jump, or on another server, the clock does
-- nothing before it has run evenly for BELIEVE_AFTER_MS (prelude.lua).

-- Return a set time, or 0 when it has passed.
local function still_to_come(set)
    local at = whole(set) or 0
    return at * 1000 > now and at or 0
end

local function set_clock(opens, closes)
    redis.call('HSET', KEYS[1], 'clock', int(opens) .. ' ' .. int(closes))
end

local function read_clock()
    local opens, closes = string.match(redis.call('HGET', KEYS[1], 'clock') or '', '^(%d+) (%d+)$')
    if opens then
        return tonumber(opens), tonumber(closes)
    end
    local set = redis.call('HMGET', KEYS[6], 'opens_at', 'closes_at')
    opens, closes = still_to_come(set[1]), still_to_come(set[2])
    set_clock(opens, closes)
    return opens, closes
end

-- What an act changes, as the log shows it.
local function standing(e)
    local words = {state = e.state, message = e.message, claims_frozen = e.claims_frozen and 1 or 0}
    if e.draw_count ~= '' then
        words.draw_count = tonumber(e.draw_count)
    end
    if e.state == 'bypass' then
        words.bypass_ends_at = wall_s(e, e.bypass_until)
    end
    return words
end

-- Hold the draw at the first opening, also when a bypass or a close came before it: the count is frozen and the
-- seed revealed. Turns of the drawn are no positions any more, so what was known to be empty among them is not
-- known any longer.
local function hold_draw(e)
    if e.draw_hash ~= '' and e.draw_count == '' then
        e.draw_count, e.holes = int(e.issued), {}
        redis.call('HSET', KEYS[1], 'draw_count', e.draw_count)
    end
end

local function set_standing(e, state, message, claims_frozen)
    e.state, e.message, e.claims_frozen = state, message, claims_frozen
    redis.call('HSET', KEYS[1], 'message', message, 'claims_frozen', claims_frozen and '1' or '0')
    settle_running(e)
    announce(e)
end

local function act_by_clock(e, act, state)
    local before = standing(e)
    if state == 'open' then
        hold_draw(e)
    end
    set_standing(e, state, '', true)
    log_act(e.generation, act, CLOCK, before, standing(e))
end

-- Open or close the event if its time has come. Who calls it saves the event.
local function by_the_clock(e)
    local opens, closes = read_clock()
    local opening, closing = opens > 0 and opens * 1000 <= now, closes > 0 and closes * 1000 <= now
    -- A bypass has an end of its own; what the clock has to do it does then.
    if not (opening or closing) or e.state == 'bypass' or e.ledger_ms < e.wall_doubted_until then
        return
    end
    set_clock(opening and 0 or opens, closing and 0 or closes)
    local awaits_opening = e.state == 'scheduled' and opens > 0 and not opening
    if closing and e.state ~= 'closed' and not awaits_opening then
        act_by_clock(e, 'close', 'closed')
    elseif opening and e.state == 'scheduled' then
        act_by_clock(e, 'open', 'open')
    end
end

-- An operator who opens an event when its time to close has passed means it, whether or not the clock has acted.
local function let_pass_what_is_due()
    local opens, closes = read_clock()
    set_clock(still_to_come(int(opens)), still_to_come(int(closes)))
end
