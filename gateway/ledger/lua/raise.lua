-- Propose a higher ceiling. It counts only once it is durable and committed.
--
-- KEYS[1..10]  see prelude
-- ARGV[1]     step, how many positions above the present ceiling
--
-- Returns strings: the proposed ceiling, the fence mark under which it was proposed, and how durable it
-- must be (level, replicas) before it is committed.

local e, err = load_event()
if err then
    return err
end
tick(e)
-- A counter that stands above its ceiling (set by hand, restored) must not be raised to in small steps.
e.next = math.max(e.next, math.max(e.ceiling, e.issued) + tonumber(ARGV[1]))
save(e)
local level = redis.call('HMGET', KEYS[6], 'durability', 'replicas')
return {int(e.next), e.mark, level[1] or '1', level[2] or '1'}
