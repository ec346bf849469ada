-- How a life of the queue ends and begins; joined behind standing.lua.

-- Return a generation that never was: one more than the last, or the server's seconds if that is more.
local function next_generation(previous)
    return math.max(previous + 1, math.floor(now / 1000))
end

-- Forget the bitmaps of used positions that belong to a generation.
local function forget_claimed(generation, ranges)
    for name in string.gmatch(ranges or '', '%S+') do
        redis.call('DEL', bitmap_of({generation = generation}, name))
    end
end

-- Write the state of a queue that begins, in place of whatever state there was; of that only the
-- log's head goes on. The policy must be there.
local function begin_generation(generation, state, seed, seed_hash)
    local log_head = redis.call('HGET', KEYS[1], 'log_head')
    redis.call('DEL', KEYS[1])
    redis.call('SET', KEYS[2], '0')
    redis.call('SET', KEYS[3], '0')
    redis.call('HSET', KEYS[1], 'layout', tostring(LAYOUT), 'generation', int(generation),
        'state', state, 'mark', current_mark(), 'ceiling', '0', 'next', '0', 'active_ms', '0',
        'ledger_ms', '0', 'ticked_at', int(now), 'running', state == 'open' and '1' or '0',
        'windows_ended_to', '0', 'holes', '', 'message', '', 'claims_frozen', '1', 'claims', '0', 'active', '0',
        'late', '0', 'issued', '0', 'served', '0', 'revision', '1', 'acts', '', 'claimed', '',
        'ended_until', '0', 'healed', '', 'updated_at', int(now), 'draw_hash', seed_hash, 'draw_seed', seed,
        'draw_count', (seed ~= '' and state == 'open') and '0' or '')
    if log_head then
        redis.call('HSET', KEYS[1], 'log_head', log_head)
    end
    read_clock()
end
