-- Lengthen a session that still runs. A visitor's word that gains nothing, since an operator or the site has
-- given more, takes none of the extensions that the event allows.
--
-- Behind author.lua; it is no operator who asks where no name is given, and then nothing is logged.
--
-- KEYS[1..10]  see prelude
-- ARGV[1]     generation, ARGV[2] position
-- ARGV[3]     ms from now until the new end, or '' for the event's own length
-- ARGV[4]     1 when the visitor asks: then the event's bounds count
--
-- Returns strings: an outcome (extended, no-session, not-allowed), the session's end in Unix seconds,
-- how often the visitor may still ask, 1 when it ends later than before, the head of the log or ''. A session
-- never gets shorter by it.

local e, err = load_life(ARGV[1])
if err then
    return err
end
tick(e)
local position, by_visitor = ARGV[2], ARGV[4] == '1'
local session = redis.call('ZSCORE', KEYS[5], position)
if not session then
    save(e)
    return {'no-session', '0', '0', '0', ''}
end
local before_ms = tonumber(session)
local left, used = extensions_left(e, position)
if by_visitor and left == 0 then
    save(e)
    return {'not-allowed', int(wall_s(e, before_ms)), '0', '0', ''}
end
local length = ARGV[3] == '' and e.extend_ms or tonumber(ARGV[3])
if by_visitor then
    length = math.min(length, e.extend_ms)
end
local end_ms = math.max(before_ms, e.ledger_ms + math.min(length, PASS_LIFE_MS))
if by_visitor and wall_s(e, end_ms) > wall_s(e, before_ms) then
    left = left - 1
    redis.call('HSET', KEYS[8], position, int(used + 1))
elseif by_visitor then
    -- Not a whole second longer, as by a second click: none of those that are allowed, and nothing is given.
    end_ms = before_ms
end
redis.call('ZADD', KEYS[5], int(end_ms), position)
save(e)
local head = ''
if AUTHOR.by ~= '' and end_ms > before_ms then
    head = log_act(e.generation, 'extend-session', AUTHOR, {session_ends_at = wall_s(e, before_ms)},
        {position = tonumber(position), session_ends_at = wall_s(e, end_ms)})
end
return {'extended', int(wall_s(e, end_ms)), int(left), end_ms > before_ms and '1' or '0', head}
