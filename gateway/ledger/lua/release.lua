-- Move the pointer forward, never back, never past issued plus headroom.
--
-- KEYS[1..10]  see prelude
-- KEYS[11]    record of this request id
-- ARGV[1]     'by' (people) or 'to' (a turn)
-- ARGV[2]     how many, or which turn
-- ARGV[3]     1 for a dry run
-- ARGV[4]     1 when there is a request id
-- ARGV[5]     how long a request id is remembered, ms
-- ARGV[6]     hash of the request id; the latest are kept with the state too, so that every gateway knows
--             them and a release whose record was lost is not carried out twice
--
-- Returns strings: before, after, people, 1 when capped, 1 when this id had been carried out. Turns
-- inside holes belong to nobody: they are not counted and the pointer crosses them for free.

local MAX_HISTORY = 120

local e, err = load_event()
if err then
    return err
end
local mode, amount, dry_run, has_id = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', ARGV[4] == '1'
if has_id then
    local record = read_beside('GET', KEYS[11])
    local noted = string.match(e.acts, ARGV[6] .. '=(%S+)')
    if not record and noted then
        record = int(e.generation) .. ' ' .. string.gsub(noted, ';', ' ')
    end
    if record then
        local generation, asked, before, after, people, capped =
            string.match(record, '^(%d+) (%S+) (%d+) (%d+) (%d+) (%d)$')
        if generation == int(e.generation) then
            if asked ~= mode .. ':' .. ARGV[2] then
                return fail('CONFLICT', asked)
            end
            -- Written once more, since who waits for it to be durable waits for what it has written.
            redis.call('SET', KEYS[11], record, 'PX', ARGV[5])
            return {before, after, people, capped, '1'}
        end
    end
end
tick(e)
if e.state ~= 'open' then
    save(e)
    return fail('STATE', e.state)
end

local function note_act(e, act)
    local acts = {}
    for known in string.gmatch(e.acts, '%S+') do
        acts[#acts + 1] = known
    end
    acts[#acts + 1] = act
    e.acts = table.concat(acts, ' ', math.max(#acts - MAX_ACTS + 1, 1))
end

local function skip_holes(turn)
    for _, hole in ipairs(e.holes) do
        if turn >= hole[1] - 1 and turn < hole[2] then
            turn = hole[2]
        end
    end
    return turn
end

local function forward(from, people)
    local turn = from
    for _, hole in ipairs(e.holes) do
        if hole[2] > turn then
            local before_hole = math.max(hole[1] - 1 - turn, 0)
            if people < before_hole then
                break
            end
            people = people - before_hole
            turn = hole[2]
        end
    end
    return turn + people
end

local cap = e.issued + e.headroom
local before = e.served
local target = mode == 'by' and forward(before, amount) or skip_holes(amount)
local after = math.max(before, skip_holes(math.min(target, cap)))
local people = occupied_between(e, before, after)
local capped = target > cap and '1' or '0'
if dry_run then
    -- The clocks have moved, and with them what is over.
    save(e)
    return {int(before), int(after), int(people), capped, '0'}
end

-- Note in the history that people were let in. It is bounded by its count, not by its age: bursts by hand
-- half an hour apart are in it for days. Past the bound the two neighbours become one that lie closest
-- together for their age, so that what is recent stays sharp.
local function note_in_history(moved_from)
    if people == 0 then
        return moved_from
    end
    local entries = {}
    for at, count, movements in string.gmatch(moved_from, '(%d+):(%d+):(%d+)') do
        entries[#entries + 1] = {tonumber(at), tonumber(count), tonumber(movements)}
    end
    local at, latest = math.floor(e.open_ms / COALESCE_MS), entries[#entries]
    if latest and latest[1] > at then
        -- The open clock was lost: on the new one these times say nothing.
        entries, latest = {}, nil
    end
    if latest and latest[1] == at then
        latest[2] = latest[2] + people
    else
        entries[#entries + 1] = {at, people, 1}
    end
    if #entries > MAX_HISTORY then
        local closest, least = 2, math.huge
        for i = 2, #entries - 1 do
            local since = entries[i - 1][1]
            local share = (entries[i + 1][1] - since) / (at - since)
            if share < least then
                closest, least = i, share
            end
        end
        local earlier = table.remove(entries, closest)
        local later = entries[closest]
        later[2], later[3] = later[2] + earlier[2], later[3] + earlier[3]
    end
    for i, entry in ipairs(entries) do
        entries[i] = int(entry[1]) .. ':' .. int(entry[2]) .. ':' .. int(entry[3])
    end
    return table.concat(entries, ',')
end

if after > before then
    local history = note_in_history(read_history(e))
    -- Movements of the same second of the event clock are one record. It keeps the later time: no
    -- window gets shorter, and none by more than a second longer.
    local newest = redis.call('ZRANGE', KEYS[4], -1, -1)[1]
    local all = people
    if newest then
        local at, count = string.match(newest, '^(%d+):(%d+):')
        if math.floor(e.active_ms / COALESCE_MS) == math.floor(tonumber(at) / COALESCE_MS) then
            all = all + tonumber(count)
        else
            newest = nil
        end
    end
    redis.call('ZADD', KEYS[4], int(after),
        int(e.active_ms) .. ':' .. int(all) .. ':' .. int(after))
    if newest then
        redis.call('ZREM', KEYS[4], newest)
    end
    set_served(e, after)
    redis.call('HSET', KEYS[1], 'history', int(after) .. ' ' .. history)
    announce(e)
end
if has_id then
    local told = {mode .. ':' .. ARGV[2], int(before), int(after), int(people), capped}
    redis.call('SET', KEYS[11], int(e.generation) .. ' ' .. table.concat(told, ' '), 'PX', ARGV[5])
    note_act(e, ARGV[6] .. '=' .. table.concat(told, ';'))
end
save(e)
return {int(before), int(after), int(people), capped, '0'}
