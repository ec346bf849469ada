-- End a session early: its capacity is free at once, and its pass is turned away.
--
-- Behind author.lua; it is no operator who asks where no name is given, and then nothing is logged.
--
-- KEYS[1..10]  see prelude
-- ARGV[1]     generation, ARGV[2] position
-- ARGV[3]     Unix seconds until which a pass of this position could be shown
--
-- Returns strings: 1 when a session was running, else 0; the head of the log or ''. Repeating it changes nothing.

local e, err = load_life(ARGV[1])
if err then
    return err
end
tick(e)
local position = ARGV[2]
local session = redis.call('ZSCORE', KEYS[5], position)
local row = position

-- A pass that has not ended, and no row of its session: the row was lost, or this was asked before.
if not session and tonumber(ARGV[3]) > now / 1000 then
    local is_ended = false
    for _, entry in ipairs(redis.call('XRANGE', KEYS[7], '-', '+')) do
        is_ended = is_ended or entry[2][2] == position
    end
    if not is_ended then
        session = int(e.ledger_ms)
        -- One of the rows that stand in for those that were lost goes with it.
        local count = stand_ins()
        row = count > 0 and 'lost-' .. int(count) or nil
    end
end
if not session then
    save(e)
    return {'0', ''}
end
local until_s = math.max(wall_s(e, tonumber(session)), tonumber(ARGV[3]))
    + math.ceil(e.finish_grace_ms / 1000) + 1
redis.call('HDEL', KEYS[8], position)
redis.call('XADD', KEYS[7], '*', 'position', position, 'until', int(until_s))
e.ended_until = math.max(e.ended_until, until_s)
redis.call('XTRIM', KEYS[7], 'MINID', '~',
    int(now - PASS_LIFE_MS - e.session_ms - e.finish_grace_ms))
if row then
    e.active = e.active - 1
end
settle_running(e)
announce(e)
save(e)
if row then
    redis.call('ZREM', KEYS[5], row)
end
if AUTHOR.by == '' then
    return {'1', ''}
end
local before = {session_ends_at = wall_s(e, tonumber(session))}
local after = {position = tonumber(position), session_ends_at = math.floor(now / 1000)}
return {'1', log_act(e.generation, 'end-session', AUTHOR, before, after)}
