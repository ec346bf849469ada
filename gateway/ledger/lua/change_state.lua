-- Carry out an operator's act: open, pause, resume, close, bypass, message.
--
-- KEYS[1..10]  see prelude
-- ARGV[1]     the act
-- ARGV[2]     message for the waiting page
-- ARGV[3]     1 when a pause stops releases only, and claims go on
-- ARGV[4]     length of a bypass, ms
--
-- Returns strings: the new state; the head of the log, or '' where nothing is another than it was. An act that
-- leads to where the event is already changes only the message.

local FROM = {
    open = {scheduled = true, open = true, bypass = true, closed = true},
    pause = {open = true, paused = true},
    resume = {paused = true, open = true},
    close = {scheduled = true, open = true, paused = true, bypass = true, closed = true},
    bypass = {scheduled = true, open = true, paused = true, bypass = true},
    message = {scheduled = true, open = true, paused = true, bypass = true, closed = true},
}
local TO = {open = 'open', pause = 'paused', resume = 'open', close = 'closed', bypass = 'bypass'}

local e, err = load_event()
if err then
    return err
end
tick(e)
by_the_clock(e)
local act = ARGV[1]
if not FROM[act][e.state] then
    save(e)
    return fail('STATE', e.state)
end
local before = standing(e)
if act == 'bypass' then
    if e.state ~= 'bypass' then
        redis.call('HSET', KEYS[1], 'bypass_from', e.state)
    end
    e.bypass_until = e.ledger_ms + tonumber(ARGV[4])
    redis.call('HSET', KEYS[1], 'bypass_until', int(e.bypass_until))
end
if act == 'open' then
    hold_draw(e)
    let_pass_what_is_due()
end
local message, claims_frozen = ARGV[2], e.claims_frozen
if act == 'pause' and e.state == 'paused' and message == '' then
    message = e.message -- pausing again changes how, and does not take back what was said
end
if act ~= 'bypass' and act ~= 'message' then
    -- A bypass gives back the pause that it found.
    claims_frozen = not (act == 'pause' and ARGV[3] == '1')
end
set_standing(e, TO[act] or e.state, message, claims_frozen) -- a message leaves the state as it is
save(e)
local after = standing(e)
local is_another = canonical(before) ~= canonical(after)
return {e.state, is_another and log_act(e.generation, act, AUTHOR, before, after) or ''}
