-- Change an event's policy; what is not named stays.
--
-- KEYS[1..10]  see prelude
-- ARGV        name, value, name, value …
--
-- Returns 1. Repeating it changes nothing.

local e, err = load_event()
if err then
    return err
end
tick(e)
redis.call('HSET', KEYS[6], unpack(ARGV))
e.max_sessions = whole(redis.call('HGET', KEYS[6], 'max_sessions')) or e.max_sessions
settle_running(e)
announce(e)
save(e)
return 1
