-- Create an event, or change nothing when it exists.
--
-- KEYS[1..10] see prelude; KEYS[11] batches, KEYS[12] subs: what an earlier generation left
-- KEYS[13]    evidence: what gateways know from tokens alone of an event that was lost
-- ARGV[1]     initial state: scheduled or open
-- ARGV[2]     hex seed of the draw, or ''
-- ARGV[3]     hex SHA-256 of the seed, or ''
-- ARGV[4...]  policy: name, value, name, value …
--
-- Returns 1 when created, 0 when it was there. A generation never repeats: it is the previous one
-- plus 1 or the server's seconds, whichever is more.

if redis.call('EXISTS', KEYS[13]) == 1 then
    -- A new life of the queue would void every token of the one that was lost.
    return fail('LOST', 'state')
end
local old = redis.call('HMGET', KEYS[1], 'layout', 'generation', 'state')
if old[1] and old[3] ~= 'deleted' then
    -- Written once more, since who waits for it to be durable waits for what it has written.
    redis.call('HSET', KEYS[1], 'layout', old[1])
    return 0
end
local generation = math.max((whole(old[2]) or 0) + 1, math.floor(now / 1000))
redis.call('DEL', unpack(KEYS))
local config = {}
for i = 4, #ARGV do
    config[#config + 1] = ARGV[i]
end
redis.call('HSET', KEYS[6], unpack(config))
redis.call('SET', KEYS[2], '0')
redis.call('SET', KEYS[3], '0')
redis.call('HSET', KEYS[1], 'layout', tostring(LAYOUT), 'generation', int(generation),
    'state', ARGV[1], 'mark', current_mark(), 'ceiling', '0', 'next', '0', 'active_ms', '0',
    'ledger_ms', '0', 'ticked_at', int(now), 'running', ARGV[1] == 'open' and '1' or '0',
    'windows_ended_to', '0', 'holes', '', 'message', '', 'claims_frozen', '1', 'claims', '0', 'active', '0',
    'late', '0', 'issued', '0', 'served', '0', 'revision', '1', 'acts', '', 'claimed', '',
    'ended_until', '0', 'healed', '', 'updated_at', int(now), 'draw_hash', ARGV[3], 'draw_seed', ARGV[2],
    'draw_count', (ARGV[2] ~= '' and ARGV[1] == 'open') and '0' or '')
redis.call('PUBLISH', KEYS[1] .. ':changed', int(generation))
return 1
