-- Begin a new generation of the queue: positions from 1, no sessions, the same policy.
--
-- KEYS[1..10]  see prelude; KEYS[11] batches, KEYS[12] subs
-- ARGV[1]     initial state: scheduled or open
-- ARGV[2]     hex seed for a draw, ARGV[3] its hex SHA-256; used where the event draws
-- ARGV[4]     the generation that is to end
-- ARGV[5]     id of this request: asked for twice, it happens once
--
-- Returns strings: the new generation; the head of the log, or '' where this id had been carried out.

local e, err = load_event()
if err then
    return err
end
if redis.call('HGET', KEYS[1], 'reset_by') == ARGV[5] then
    redis.call('HSET', KEYS[1], 'reset_by', ARGV[5]) -- who waits for it to be durable waits for a write
    return {int(e.generation), ''}
end
if ARGV[4] ~= int(e.generation) then
    return fail('RESET', int(e.generation))
end
local before = {state = e.state, generation = e.generation, issued = e.issued, served_up_to = e.served,
    active = e.active, claims = e.claims}
local generation = next_generation(e.generation)
local draws = redis.call('HGET', KEYS[6], 'draw') == '1'
forget_claimed(e.generation, e.claimed)
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[7], KEYS[8], KEYS[11], KEYS[12])
begin_generation(generation, ARGV[1], draws and ARGV[2] or '', draws and ARGV[3] or '')
redis.call('HSET', KEYS[1], 'reset_by', ARGV[5])
local head = log_act(generation, 'reset', AUTHOR, before, {state = ARGV[1], generation = generation,
    draw_commitment = draws and ARGV[3] or nil})
redis.call('PUBLISH', KEYS[1] .. ':changed', int(generation))
return {int(generation), head}
