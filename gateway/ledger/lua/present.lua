-- Tell what a gateway knows of an event that is lost, behind, or on another server than before; with the
-- last of those expected, or after HEAL_WAIT_MS, the event goes on.
--
-- KEYS[1..10] see prelude
-- KEYS[11]    evidence  hash  gateway -> "generation issued served at", where only tokens are known
-- ARGV[1]     the floor, see healing.lua, or '' from a caller that knows nothing
--
-- Returns strings: what came of it (sound, waiting, healed), how many gateways are not heard yet.

clear_wrong_types()
local floor = read_floor(ARGV[1])
local e, err = load_event(true)
if err and string.match(err.err, '^LOST') == nil then
    return err
end
local is_older = e ~= nil and floor.generation > e.generation
if (not e or is_older) and not floor.record then
    if floor.generation > 0 then
        redis.call('HSET', KEYS[11], GATEWAY ~= '' and GATEWAY or 'operator', table.concat({
            int(floor.generation), int(floor.issued), int(floor.served), int(now)}, ' '))
    end
    if is_older then
        if redis.call('EXISTS', KEYS[10]) == 0 then
            begin_healing('older-generation', 0)
        end
        -- What is here belongs to an earlier queue: nothing goes on from it.
        redis.call('HSET', KEYS[10], 'needs_record', '1')
    end
    return err or fail('HEALING', 'older-generation')
end
if not e or is_older then
    if redis.call('EXISTS', KEYS[10]) == 0 then
        begin_healing('lost', 0)
    end
    if is_older then
        -- What was counted of the earlier generation says nothing of this one.
        redis.call('HSET', KEYS[10], 'reason', 'older-generation', 'issued', '0')
    end
    redis.call('HDEL', KEYS[10], 'needs_record')
    local running = rebuild(floor)
    e, err = load_event(true)
    if err then
        return err
    end
    stand_in_for_sessions(e, running, floor.record.active)
end
for name in string.gmatch(e.claimed, '%S+') do
    if is_missing_range(e, name, bitmap_of(e, name)) then
        -- Which positions of it have had their session is lost for good, and said so.
        if redis.call('EXISTS', KEYS[10]) == 0 then
            begin_healing('lost-claimed', e.issued)
        end
        e.claimed = forget_range(e.claimed, name)
        redis.call('DEL', bitmap_of(e, name)) -- of a wrong type, if it is there
    end
end
if redis.call('EXISTS', KEYS[10]) == 0 then
    local why = doubt(e)
    if not why then
        return {'sound', '0'}
    end
    begin_healing(why, e.issued)
end
if floor.generation == 0 then
    -- From who knows nothing, all that can be said is how old the state is.
    floor.age_ms = math.max(now - e.ticked_at, 0)
end
lift(e, floor)
local told = hear(e, floor)
-- Who was heard may deal the next moment: were the ledger to fail again before it is read, it is waited for.
register_gateway()
local is_over = told.missing == 0 or told.waited_ms >= HEAL_WAIT_MS
if is_over and redis.call('HEXISTS', KEYS[10], 'needs_record') == 0 then
    go_on(e, told)
    return {'healed', int(told.missing)}
end
save(e)
return {'waiting', int(told.missing)}
