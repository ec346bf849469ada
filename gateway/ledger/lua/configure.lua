-- Change an event's policy; what is not named stays.
--
-- KEYS[1..10]  see prelude
-- ARGV        name, value, name, value …
--
-- Returns the head of the log, or '' where nothing is another than it was. Repeating it changes nothing.

local e, err = load_event()
if err then
    return err
end
tick(e)
local before, after = {}, {}
for i = 1, #ARGV, 2 do
    local name, value = ARGV[i], ARGV[i + 1]
    local held = redis.call('HGET', KEYS[6], name)
    if held ~= value then
        before[name] = held and (tonumber(held) or held) or ''
        after[name] = tonumber(value) or value
    end
end
local opens, closes = read_clock()
redis.call('HSET', KEYS[6], unpack(ARGV))
if after.opens_at or after.closes_at then
    set_clock(after.opens_at and still_to_come(int(after.opens_at)) or opens,
        after.closes_at and still_to_come(int(after.closes_at)) or closes)
end
e.max_sessions = whole(redis.call('HGET', KEYS[6], 'max_sessions')) or e.max_sessions
settle_running(e)
announce(e)
save(e)
return next(after) and log_act(e.generation, 'configure', AUTHOR, before, after) or ''
