-- Count sessions again whose passes are shown after the event was brought back: their rows may be lost.
--
-- KEYS[1..10] see prelude
-- ARGV[1]     generation
-- ARGV[2...]  of each pass: position, end in Unix seconds, name of the range and bit that note it as used
--
-- Returns how many had no row. Each takes the place of one of the rows that stand in for those lost, where any
-- is left; without one it counts all the same, for its bearer is inside. A pass that has ended, or whose
-- session was ended early, is none. Repeating it changes nothing.

local e, err = load_life(ARGV[1])
if err then
    return err
end
for i = 2, #ARGV, 4 do
    if is_missing_range(e, ARGV[i + 2], bitmap_of(e, ARGV[i + 2])) then
        return fail('LOST', 'claimed')
    end
end
tick(e)
local ended = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[7], '-', '+')) do
    ended[entry[2][2]] = true
end
local left, seated = stand_ins(), 0
for i = 2, #ARGV, 4 do
    local position, range, bit = ARGV[i], ARGV[i + 2], ARGV[i + 3]
    local runs_ms = math.min(tonumber(ARGV[i + 1]) * 1000 - now, PASS_LIFE_MS)
    -- A row that is there says when its session ends; the pass may be one from before a change of clocks.
    if runs_ms > 0 and not ended[position] and not redis.call('ZSCORE', KEYS[5], position) then
        redis.call('ZADD', KEYS[5], int(e.ledger_ms + runs_ms), position)
        redis.call('SETBIT', bitmap_of(e, range), bit, 1)
        note_range(e, range)
        if left > 0 then
            redis.call('ZREM', KEYS[5], 'lost-' .. int(left))
            left = left - 1
        end
        seated = seated + 1
    end
end
e.active = redis.call('ZCARD', KEYS[5])
settle_running(e)
save(e)
return int(seated)
