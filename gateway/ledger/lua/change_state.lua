-- Carry out an operator's act: open, pause, resume, close, bypass.
--
-- KEYS[1..10]  see prelude
-- ARGV[1]     the act
-- ARGV[2]     message for the waiting page
-- ARGV[3]     1 when a pause stops releases only, and claims go on
-- ARGV[4]     length of a bypass, ms
--
-- Returns the new state. An act that leads to where the event is already changes only the message.

local FROM = {
    open = {scheduled = true, bypass = true, closed = true},
    pause = {open = true, paused = true},
    resume = {paused = true, open = true},
    close = {scheduled = true, open = true, paused = true, bypass = true, closed = true},
    bypass = {scheduled = true, open = true, paused = true, bypass = true},
}
local TO = {open = 'open', pause = 'paused', resume = 'open', close = 'closed', bypass = 'bypass'}

local e, err = load_event()
if err then
    return err
end
tick(e)
local act = ARGV[1]
if not FROM[act][e.state] and not (act == 'open' and e.state == 'open') then
    save(e)
    return fail('STATE', e.state)
end
if act == 'bypass' then
    if e.state ~= 'bypass' then
        redis.call('HSET', KEYS[1], 'bypass_from', e.state)
    end
    redis.call('HSET', KEYS[1], 'bypass_until', int(e.ledger_ms + tonumber(ARGV[4])))
end
if act == 'open' and e.draw_hash ~= '' and e.draw_count == '' then
    -- The draw, also when a bypass or a close came before the opening: the count is frozen and the
    -- seed revealed. Turns of the drawn are no positions any more, so what was known to be empty among
    -- them is not known any longer.
    redis.call('HSET', KEYS[1], 'draw_count', int(e.issued))
    e.holes = {}
end
local was = e.state
e.state = TO[act]
if act ~= 'bypass' then
    -- A bypass gives back the pause that it found.
    e.claims_frozen = not (act == 'pause' and ARGV[3] == '1')
end
local message = ARGV[2]
if act == 'pause' and was == 'paused' and message == '' then
    message = e.message -- pausing again changes how, and does not take back what was said
end
redis.call('HSET', KEYS[1], 'message', message, 'claims_frozen', e.claims_frozen and '1' or '0')
settle_running(e)
announce(e)
save(e)
return e.state
