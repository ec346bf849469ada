-- End a session early: its capacity is free at once, and its pass is turned away.
--
-- KEYS[1..10]  see prelude
-- ARGV[1]     generation, ARGV[2] position
-- ARGV[3]     Unix seconds until which a pass of this position could be shown
--
-- Returns 1 when a session was running, else 0. Repeating it changes nothing.

local e, err = load_event()
if err then
    return err
end
if ARGV[1] ~= int(e.generation) then
    return fail('GENERATION', int(e.generation))
end
tick(e)
local position = ARGV[2]
local session = redis.call('ZSCORE', KEYS[5], position)
if not session then
    save(e)
    return 0
end
local until_s = math.max(wall_s(e, tonumber(session)), tonumber(ARGV[3]))
    + math.ceil(e.finish_grace_ms / 1000) + 1
redis.call('HDEL', KEYS[8], position)
redis.call('XADD', KEYS[7], '*', 'position', position, 'until', int(until_s))
e.ended_until = math.max(e.ended_until, until_s)
redis.call('XTRIM', KEYS[7], 'MINID', '~',
    int(now - PASS_LIFE_MS - e.session_ms - e.finish_grace_ms))
e.active = e.active - 1
settle_running(e)
announce(e)
save(e)
redis.call('ZREM', KEYS[5], position)
return 1
