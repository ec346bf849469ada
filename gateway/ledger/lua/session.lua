-- Tell how the session of one position stands. Nothing but the clocks is changed.
--
-- KEYS[1..10]  see prelude
-- KEYS[11]    claimed  bitmap: which positions of this range have had their session
-- ARGV[1]     generation, ARGV[2] position
-- ARGV[3]     the position's bit in KEYS[11], ARGV[4] the name of that range
--
-- Returns strings: running, over (it was opened once) or none; its end in Unix seconds; seconds left; how often
-- its visitor has lengthened it, and may still.

local e, err = load_life(ARGV[1])
if err then
    return err
end
tick(e)
save(e)
local position = ARGV[2]
local session = tonumber(redis.call('ZSCORE', KEYS[5], position) or '')
if session then
    local left, used = extensions_left(e, position)
    local left_s = math.floor((session - e.ledger_ms) / 1000)
    return {'running', int(wall_s(e, session)), int(left_s), int(used), int(left)}
end
if is_missing_range(e, ARGV[4], KEYS[11]) then
    return fail('LOST', 'claimed')
end
local was_used = redis.call('GETBIT', KEYS[11], ARGV[3]) == 1
return {was_used and 'over' or 'none', '0', '0', '0', '0'}
