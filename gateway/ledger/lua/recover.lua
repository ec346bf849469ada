-- Bring a lost event back by an operator's word, where no gateway's floor survived.
--
-- KEYS[1..10] see prelude
-- KEYS[11]    evidence, KEYS[12] batches, KEYS[13] subs
-- ARGV[1]     generation
-- ARGV[2]     highest position that is proved
-- ARGV[3]     position to go on above, at least ARGV[2]
-- ARGV[4]     pointer
-- ARGV[5]     state: paused, scheduled or open
-- ARGV[6]     hex SHA-256 of the draw's seed, ARGV[7] the seed, ARGV[8] among how many it was held; or ''
-- ARGV[9]     for how many sessions that may still run room is held, until their passes are shown or must have ended
-- ARGV[10...] policy: name, value, …
--
-- Returns the head of the log. An event that is not lost is left alone.

clear_wrong_types()
local e, err = load_event(true)
if e and tonumber(ARGV[1]) <= e.generation then
    return fail('SOUND', e.state)
end
if not e and string.match(err.err, '^LOST') == nil then
    return err
end
local sessions = tonumber(ARGV[9])
local issued, top, served = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local log_head = redis.call('TYPE', KEYS[1]).ok == 'hash' and redis.call('HGET', KEYS[1], 'log_head')
redis.call('DEL', unpack(KEYS))
local config = {}
for i = 10, #ARGV do
    config[#config + 1] = ARGV[i]
end
redis.call('HSET', KEYS[6], unpack(config))
redis.call('SET', KEYS[2], int(top))
redis.call('SET', KEYS[3], int(served))
local lengths = redis.call('HMGET', KEYS[6], 'session_ms', 'extend_times', 'extend_ms')
-- The event's clocks begin at 0.
add_stand_ins(0, tonumber(lengths[1]), tonumber(lengths[2]), tonumber(lengths[3]), sessions)
if served > 0 then
    redis.call('ZADD', KEYS[4], int(served), '0:' .. int(served) .. ':' .. int(served))
end
redis.call('HSET', KEYS[1], 'layout', tostring(LAYOUT), 'generation', ARGV[1], 'state', ARGV[5],
    'mark', current_mark(), 'ceiling', int(top), 'next', int(top), 'active_ms', '0', 'ledger_ms', '0',
    'ticked_at', int(now), 'running', ARGV[5] == 'open' and '1' or '0', 'windows_ended_to', '0',
    'holes', top > issued and (int(issued + 1) .. '-' .. int(top)) or '', 'message', '',
    'claims_frozen', '1', 'claims', '0', 'active', int(sessions), 'late', '0', 'issued', int(top),
    -- A revision beyond any that a gateway can know: what the operator says is later.
    'served', int(served), 'revision', int(now), 'acts', '', 'claimed', '', 'ended_until', '0',
    'healed', int(now) .. ' recovered ' .. int(issued) .. ' ' .. int(top) .. ' 0',
    'updated_at', int(now), 'draw_hash', ARGV[6], 'draw_seed', ARGV[7],
    'draw_count', ARGV[8])
if log_head then
    redis.call('HSET', KEYS[1], 'log_head', log_head)
end
read_clock()
local head = log_act(tonumber(ARGV[1]), 'recover', AUTHOR, {}, {
    state = ARGV[5], generation = tonumber(ARGV[1]), issued = issued, goes_on_above = top, served_up_to = served,
    sessions_held = sessions, policy = policy_words(ARGV, 10)})
redis.call('PUBLISH', KEYS[1] .. ':changed', ARGV[1])
return head
