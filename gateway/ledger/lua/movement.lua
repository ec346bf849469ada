-- How the pointer moves, for whoever moves it: an operator's release or the schedule. Joined behind the
-- prelude and turnout.lua for them.

local MAX_HISTORY = 120

-- Return the end of the hole that begins just after a turn, or the turn.
local function skip_holes(e, turn)
    for _, hole in ipairs(e.holes) do
        if turn >= hole[1] - 1 and turn < hole[2] then
            turn = hole[2]
        end
    end
    return turn
end

-- Return the turn so many people behind another; holes are crossed for free.
local function forward(e, from, people)
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

-- Return how far the pointer goes that is sent to `target`: never back, never past issued plus headroom.
local function reach(e, target)
    return math.max(e.served, skip_holes(e, math.min(target, e.issued + e.headroom)))
end

-- Note in the history that people were let in. It is bounded by its count, not by its age: bursts by hand
-- half an hour apart are in it for days. Past the bound the two neighbours become one that lie closest
-- together for their age, so that what is recent stays sharp.
local function note_in_history(e, moved_from, people)
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

-- Move the pointer on to `after`, and write down whom that lets in.
local function move_pointer(e, after)
    local people = occupied_between(e, e.served, after)
    local history = note_in_history(e, read_history(e), people)
    local turnout = read_turnout(e)
    note_released(turnout, after, people)
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
    redis.call('HSET', KEYS[1], 'history', int(after) .. ' ' .. history,
        'turnout', format_turnout(turnout))
    announce(e)
end
