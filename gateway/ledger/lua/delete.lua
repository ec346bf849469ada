-- Delete an event: what is left is a tombstone, so that no generation repeats, and the log.
--
-- KEYS[1..10]  see prelude
-- KEYS[11...]  whatever else the event keeps
-- ARGV[1]     id of this request: asked for twice, it happens once
--
-- Returns the head of the log, or '' where this id had been carried out.

local e, err = load_event(true)
if err then
    if redis.call('HGET', KEYS[1], 'deleted_by') == ARGV[1] then
        redis.call('HSET', KEYS[1], 'deleted_by', ARGV[1]) -- who waits for it to be durable waits for a write
        return ''
    end
    return err
end
local before = {state = e.state, generation = e.generation, issued = e.issued, served_up_to = e.served,
    active = e.active, claims = e.claims}
local log_head = redis.call('HGET', KEYS[1], 'log_head')
forget_claimed(e.generation, e.claimed)
redis.call('DEL', unpack(KEYS))
redis.call('HSET', KEYS[1], 'layout', tostring(LAYOUT), 'generation', int(e.generation), 'state', 'deleted',
    'deleted_by', ARGV[1])
if log_head then
    redis.call('HSET', KEYS[1], 'log_head', log_head)
end
local head = log_act(e.generation, 'delete', AUTHOR, before, {state = 'deleted'})
redis.call('PUBLISH', KEYS[1] .. ':changed', '0')
return head
