-- Create an event, or change nothing when it exists.
--
-- KEYS[1..10] see prelude; KEYS[11] batches, KEYS[12] subs: what an earlier generation left
-- KEYS[13]    evidence: what gateways know from tokens alone of an event that was lost
-- ARGV[1]     initial state: scheduled or open
-- ARGV[2]     hex seed of the draw, or ''
-- ARGV[3]     hex SHA-256 of the seed, or ''
-- ARGV[4...]  policy: name, value, name, value …
--
-- Returns strings: 1 when created, 0 when it was there; the head of the log, or ''.

if redis.call('EXISTS', KEYS[13]) == 1 then
    -- A new life of the queue would void every token of the one that was lost.
    return fail('LOST', 'state')
end
local old = redis.call('HMGET', KEYS[1], 'layout', 'generation', 'state', 'claimed')
if old[1] and old[3] ~= 'deleted' then
    -- Written once more, since who waits for it to be durable waits for what it has written.
    redis.call('HSET', KEYS[1], 'layout', old[1])
    return {'0', ''}
end
local previous = whole(old[2]) or 0
local generation = next_generation(previous)
forget_claimed(previous, old[4])
-- Of a tombstone the state stays until the new one takes over what goes on.
redis.call('DEL', unpack(KEYS, 2))
local config = {}
for i = 4, #ARGV do
    config[#config + 1] = ARGV[i]
end
redis.call('HSET', KEYS[6], unpack(config))
begin_generation(generation, ARGV[1], ARGV[2], ARGV[3])
local head = log_act(generation, 'create', AUTHOR, {},
    {state = ARGV[1], generation = generation, policy = policy_words(ARGV, 4),
        -- Before anybody knows a position: the seed at the opening must be that of this hash.
        draw_commitment = ARGV[3] ~= '' and ARGV[3] or nil})
redis.call('PUBLISH', KEYS[1] .. ':changed', int(generation))
return {'1', head}
