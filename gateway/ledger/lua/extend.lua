-- Lengthen a session that still runs.
--
-- KEYS[1..10]  see prelude
-- ARGV[1]     generation, ARGV[2] position
-- ARGV[3]     ms from now until the new end, or '' for the event's own length
-- ARGV[4]     1 when the visitor asks: then the event's bounds count
--
-- Returns strings: an outcome (extended, no-session, not-allowed), the session's end in Unix seconds,
-- how often the visitor may still ask. A session never gets shorter by it.

local e, err = load_event()
if err then
    return err
end
if ARGV[1] ~= int(e.generation) then
    return fail('GENERATION', int(e.generation))
end
tick(e)
local position, by_visitor = ARGV[2], ARGV[4] == '1'
local session = redis.call('ZSCORE', KEYS[5], position)
if not session then
    save(e)
    return {'no-session', '0', '0'}
end
local end_ms = tonumber(session)
local used = tonumber(redis.call('HGET', KEYS[8], position) or '0')
if by_visitor and used >= e.extend_times then
    save(e)
    return {'not-allowed', int(wall_s(e, end_ms)), '0'}
end
local length = ARGV[3] == '' and e.extend_ms or tonumber(ARGV[3])
if by_visitor then
    length = math.min(length, e.extend_ms)
    used = used + 1
    redis.call('HSET', KEYS[8], position, int(used))
end
end_ms = math.max(end_ms, e.ledger_ms + math.min(length, PASS_LIFE_MS))
redis.call('ZADD', KEYS[5], int(end_ms), position)
save(e)
return {'extended', int(wall_s(e, end_ms)), int(math.max(e.extend_times - used, 0))}
