-- Deal positions to a group of joins, in their order, below the ceiling.
--
-- KEYS[1..10]  see prelude
-- KEYS[11]     batches  hash  gateway -> its last batch, so that a retry gets the same positions
-- KEYS[12]     subs     hash  visitor -> place, where the event gives one position a visitor
-- KEYS[13...]  idempotency rows of those joins that carry a key, in order
-- ARGV[1]      gateway id
-- ARGV[2]      batch id; the same id again returns the same answer
-- ARGV[3]      number of joins n >= 1
-- ARGV[4]      life of an idempotency row, ms
-- ARGV[5...]   for each join that is not plain: index (1-based), visitor, head start,
--              1 with an idempotency row, 1 when the visitor was named by the site
--
-- Returns strings: generation, first, granted, active_ms, served, issued, ceiling, then for each join
-- that is not plain and was granted: index, position, clk, head start, 1 when repeated, visitor.
-- Granted joins without an entry hold first, first + 1, … in their order. Joins beyond `granted` wait
-- for the ceiling to be raised.

local e, err = load_event()
if err then
    return err
end
if e.state == 'closed' then
    return fail('STATE', e.state)
end
local gateway, batch, n = ARGV[1], ARGV[2], tonumber(ARGV[3])
-- A table of a wrong type keeps nothing, and begins anew.
local function read_table(key, name)
    local held, is_unreadable = read_beside('HGET', key, name)
    if is_unreadable then
        redis.call('DEL', key)
    end
    return held
end

local last = read_table(KEYS[11], gateway)
if last then
    local words = {}
    for word in string.gmatch(last, '%S+') do
        words[#words + 1] = word
    end
    if words[1] == batch and words[3] == int(e.generation) then
        local reply = {}
        for i = 3, #words do
            reply[#reply + 1] = words[i]
        end
        return reply
    end
end

tick(e)
register_gateway()

local special = {}
local row = 13
for i = 5, #ARGV, 5 do
    local join = {visitor = ARGV[i + 1], head_start = tonumber(ARGV[i + 2]), named = ARGV[i + 4] == '1'}
    if ARGV[i + 3] == '1' then
        join.row = KEYS[row]
        row = row + 1
    end
    special[tonumber(ARGV[i])] = join
end

-- A place as the rows keep it: generation position clk head-start visitor.
local function recall(join)
    local text = join.row and read_beside('GET', join.row)
    if not text and e.one_place_per_sub and join.named then
        text = read_table(KEYS[12], join.visitor)
    end
    if not text then
        return nil
    end
    local generation, position, clk, head_start, visitor =
        string.match(text, '^(%d+) (%d+) (%d+) (%d+) (%S+)$')
    if generation ~= int(e.generation) then
        return nil
    end
    return {position = position, clk = clk, head_start = head_start, visitor = visitor}
end

local first = e.issued + 1
local granted = 0
local entries = {}
for index = 1, n do
    local join = special[index]
    local known = join and recall(join)
    if known then
        for _, value in ipairs({int(index), known.position, known.clk, known.head_start, '1',
            known.visitor}) do
            entries[#entries + 1] = value
        end
    else
        if e.issued >= e.ceiling then
            break
        end
        e.issued = e.issued + 1
        if join then
            -- Before the rows that name it: should one of them fail, the position is burned.
            set_issued(e, e.issued)
            -- An invitation gives a turn that is still to come, never one that has passed.
            local head_start = math.max(0, math.min(join.head_start, e.issued - e.served - 1))
            for _, value in ipairs({int(index), int(e.issued), int(e.active_ms), int(head_start), '0',
                join.visitor}) do
                entries[#entries + 1] = value
            end
            local place = table.concat({int(e.generation), int(e.issued), int(e.active_ms),
                int(head_start), join.visitor}, ' ')
            if join.row then
                redis.call('SET', join.row, place, 'PX', ARGV[4])
            end
            if e.one_place_per_sub and join.named then
                redis.call('HSET', KEYS[12], join.visitor, place)
            end
        end
    end
    granted = index
end
set_issued(e, e.issued)

local reply = {int(e.generation), int(first), int(granted), int(e.active_ms), int(e.served),
    int(e.issued), int(e.ceiling)}
for _, value in ipairs(entries) do
    reply[#reply + 1] = value
end
redis.call('HSET', KEYS[11], gateway, batch .. ' ' .. int(now) .. ' ' .. table.concat(reply, ' '))
if redis.call('HLEN', KEYS[11]) > 256 then
    -- Gateways that have not dealt for an hour will not retry any more.
    local batches = redis.call('HGETALL', KEYS[11])
    for i = 1, #batches, 2 do
        local at = string.match(batches[i + 1], '^%S+ (%d+)')
        if not at or tonumber(at) < now - 3600000 then
            redis.call('HDEL', KEYS[11], batches[i])
        end
    end
end
save(e)
return reply
