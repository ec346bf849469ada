-- Exchange a turn that has come for a session, once; repeating it finds the same session.
--
-- KEYS[1..10]  see prelude
-- KEYS[11]    claimed  bitmap: which positions of this range have had their session
-- ARGV[1]     generation, ARGV[2] position, ARGV[3] turn, ARGV[4] clk of the token
-- ARGV[5]     the position's bit in KEYS[11]
-- ARGV[6]     1 to only ask: nothing is opened, and `claimable` takes the place of a new `seated`
-- ARGV[7]     the name of the range of KEYS[11]
--
-- Returns strings: an outcome (seated, claimable, not-yet, full, ended, missed, closed), the session's end in
-- Unix seconds, 1 when this call opened it, how often the visitor may lengthen it.

local e, err = load_life(ARGV[1])
if err then
    return err
end
local position, turn, clk = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
tick(e)

-- The session first: who holds one is answered whatever became of the window meanwhile.
local session = redis.call('ZSCORE', KEYS[5], position)
if session then
    save(e)
    return {'seated', int(wall_s(e, tonumber(session))), '0', int((extensions_left(e, position)))}
end
if is_missing_range(e, ARGV[7], KEYS[11]) then
    save(e)
    return fail('LOST', 'claimed')
end
if redis.call('GETBIT', KEYS[11], ARGV[5]) == 1 then
    save(e)
    return {'ended', '0', '0', '0'}
end
if e.state == 'scheduled' or turn > e.served then
    save(e)
    return {e.state == 'closed' and 'closed' or 'not-yet', '0', '0', '0'}
end
if not serves_claims(e) then
    save(e)
    return {'not-yet', '0', '0', '0'}
end

-- The window counts from the later of the release and the visitor's own join. A release that is no
-- longer recorded is one whose window, lateness included, is over: then only the join counts.
local released_ms = 0
if turn > e.windows_ended_to then
    local released = redis.call('ZRANGEBYSCORE', KEYS[4], int(turn), '+inf', 'LIMIT', 0, 1)[1]
    released_ms = released and tonumber(string.match(released, '^(%d+)')) or e.active_ms
end
local over = e.active_ms - math.max(released_ms, clk) - e.window_ms
local late = over > 0
if late and e.late_for_ms >= 0 and over > e.late_for_ms then
    save(e)
    return {'missed', '0', '0', '0'}
end
if late and e.state == 'closed' then
    save(e)
    return {'closed', '0', '0', '0'}
end
if at_limit(e) then
    save(e)
    return {'full', '0', '0', '0'}
end

if ARGV[6] == '1' then
    save(e)
    return {'claimable', '0', '0', '0'}
end

local end_ms = e.ledger_ms + e.session_ms
redis.call('ZADD', KEYS[5], int(end_ms), position)
redis.call('SETBIT', KEYS[11], ARGV[5], 1)
note_range(e, ARGV[7])
e.claims = e.claims + 1
if late then
    e.late = e.late + 1
else
    note_claimed(e, turn, e.active_ms - math.max(released_ms, clk))
end
e.active = e.active + 1
settle_running(e)
save(e)
return {'seated', int(wall_s(e, end_ms)), '1', int(e.extend_times)}
