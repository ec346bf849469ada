-- Make a proposed ceiling the ceiling, unless the server is another one than it was proposed to.
--
-- KEYS[1..10]  see prelude
-- ARGV[1]     the proposed ceiling
-- ARGV[2]     the mark that raise returned
--
-- Returns the ceiling. Repeating it changes nothing.

local e, err = load_event()
if err then
    return err
end
if e.mark ~= ARGV[2] then
    return fail('FENCED', 'the server changed between raise and commit')
end
e.ceiling = math.max(e.ceiling, tonumber(ARGV[1]))
e.next = math.max(e.next, e.ceiling)
save(e)
return int(e.ceiling)
