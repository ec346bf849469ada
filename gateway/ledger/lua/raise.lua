-- Propose a higher ceiling. It counts only once it is durable and committed.
--
-- KEYS[1..8]  see prelude
-- ARGV[1]     step, how many positions above the present ceiling
--
-- Returns strings: the proposed ceiling, the fence mark under which it was proposed.

local e, err = load_event()
if err then
    return err
end
tick(e)
fence(e)
-- A counter that stands above its ceiling (set by hand, restored) must not be raised to in small steps.
e.next = math.max(e.next, math.max(e.ceiling, e.issued) + tonumber(ARGV[1]))
save(e)
return {int(e.next), e.mark}
