-- Who of those let in come, from counts alone; joined behind the prelude. `domain/turnout.py` says the same
-- in Python, and a test holds the two together.
--
-- People let in during one slot (a sixteenth of the claim window, on the event clock) are a cohort. At
-- each age, in slots, a part of those who have not come yet comes: its hazard. Hazards are learnt from the
-- cohorts that have passed that age; those of ages that none has passed are taken for the one before, and
-- the first, before anything was seen, for 1: then everybody counts as coming.
--
-- The state's field `turnout`: "served over_to width_ms slot delay_ms delays|slot:turn:people:came_before:came,…|
-- people:came,…": the pointer that it speaks for; the turn up to which windows are over; the latest slot; the
-- mean time from a turn to its claim, and of how many; the cohorts whose window is open, with who of them
-- came before the present slot, and until now; for each age those who entered it and those who came in it.

local SLOTS = 16
local AGES = 17 -- who was let in late in a slot has a window to late in the sixteenth after it
local MEMORY = 500 -- people: so many new ones weigh as much as all before them
local PRIOR = 20 -- people: what is expected before anything was seen weighs as much as so many
local MOST_DELAYS = 200

local function fine(n)
    return string.format('%.3f', n)
end

local function slot_of(e, width_ms)
    return math.floor(e.active_ms / width_ms)
end

-- Add people who were let in up to a turn in the present slot.
local function note_released(t, turn, people)
    local newest = t.cohorts[#t.cohorts]
    if newest and newest.slot == t.slot then
        newest.turn, newest.people = turn, newest.people + people
    else
        t.cohorts[#t.cohorts + 1] =
            {slot = t.slot, turn = turn, people = people, came_before = 0, came = 0}
    end
    t.served = turn
end

local function keep_open(t, open, cohort, slot)
    if slot - cohort.slot < AGES then
        open[#open + 1] = cohort
    else
        t.over_to = cohort.turn
    end
end

-- Let one slot pass: every cohort has one age more behind it.
local function pass_slot(t)
    local open = {}
    for _, cohort in ipairs(t.cohorts) do
        local count = t.ages[t.slot - cohort.slot + 1]
        local entered = cohort.people - cohort.came_before
        local kept = MEMORY / (MEMORY + entered)
        count.people = count.people * kept + entered
        count.came = count.came * kept + cohort.came - cohort.came_before
        cohort.came_before = cohort.came
        keep_open(t, open, cohort, t.slot + 1)
    end
    t.cohorts, t.slot = open, t.slot + 1
end

-- Bring it to the present slot.
local function catch_up(t, slot)
    if t.slot > slot then
        -- The event clock was lost: on the new one, all that is open begins now.
        for _, cohort in ipairs(t.cohorts) do
            cohort.slot = slot
        end
        t.slot = slot
    end
    while t.slot < slot and #t.cohorts > 0 do
        pass_slot(t)
    end
    t.slot = slot
end

-- People in windows that are open by the releases, less those who are in: where nothing was counted.
local function guess_unclaimed(e)
    local people = 0
    for _, release in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
        local at, count = string.match(release, '^(%d+):(%d+):')
        if tonumber(at) + e.window_ms >= e.active_ms then
            people = people + tonumber(count)
        end
    end
    return math.max(people - e.active, 0)
end

local function parse_turnout(text)
    local served, over_to, width_ms, slot, delay_ms, delays, cohorts, ages =
        string.match(text, '^(%d+) (%d+) (%d+) (%d+) ([%d.]+) (%d+)|([%d:,]*)|([%d:,.]*)$')
    if not served then
        return nil
    end
    local t = {served = tonumber(served), over_to = tonumber(over_to),
        width_ms = tonumber(width_ms), slot = tonumber(slot), delay_ms = tonumber(delay_ms), delays = tonumber(delays),
        cohorts = {}, ages = {}}
    local makes_sense = t.delay_ms ~= nil and t.width_ms > 0
    for at, turn, people, came_before, came in
        string.gmatch(cohorts, '(%d+):(%d+):(%d+):(%d+):(%d+)') do
        local cohort = {slot = tonumber(at), turn = tonumber(turn), people = tonumber(people),
            came_before = tonumber(came_before), came = tonumber(came)}
        makes_sense = makes_sense and cohort.slot <= t.slot and t.slot - cohort.slot < AGES
            and cohort.came_before <= cohort.came and cohort.came <= cohort.people
        t.cohorts[#t.cohorts + 1] = cohort
    end
    for people, came in string.gmatch(ages, '([%d.]+):([%d.]+)') do
        local age = {people = tonumber(people), came = tonumber(came)}
        makes_sense = makes_sense and age.people ~= nil and age.came ~= nil
        t.ages[#t.ages + 1] = age
    end
    return makes_sense and #t.ages == AGES and t or nil
end

-- The claim window was set to another length: what is older than it now is over.
local function resize_slots(t, width_ms)
    local open = {}
    t.slot = math.floor(t.slot * t.width_ms / width_ms)
    for _, cohort in ipairs(t.cohorts) do
        cohort.slot = math.floor(cohort.slot * t.width_ms / width_ms)
        keep_open(t, open, cohort, t.slot)
    end
    t.cohorts, t.width_ms = open, width_ms
end

-- Read it as of the event clock. What was let in by who does not count (healing, a gateway of a version
-- before) is taken to have been let in now.
local function read_turnout(e)
    local width_ms = math.max(math.ceil(e.window_ms / SLOTS), 1)
    local slot = slot_of(e, width_ms)
    local t = parse_turnout(redis.call('HGET', KEYS[1], 'turnout') or '')
    if not t or t.served > e.served then
        t = {served = 0, over_to = e.windows_ended_to, width_ms = width_ms, slot = slot,
            delay_ms = 0, delays = 0, cohorts = {}, ages = {}}
        for age = 1, AGES do
            t.ages[age] = {people = 0, came = 0}
        end
        if e.served > 0 then
            note_released(t, e.served, guess_unclaimed(e))
        end
    end
    if t.width_ms ~= width_ms then
        resize_slots(t, width_ms)
    end
    catch_up(t, slot)
    if e.served > t.served then
        note_released(t, e.served, occupied_between(e, t.served, e.served))
    end
    return t
end

local function format_turnout(t)
    local cohorts, ages = {}, {}
    for i, cohort in ipairs(t.cohorts) do
        cohorts[i] = table.concat({int(cohort.slot), int(cohort.turn), int(cohort.people),
            int(cohort.came_before), int(cohort.came)}, ':')
    end
    for i, count in ipairs(t.ages) do
        ages[i] = fine(count.people) .. ':' .. fine(count.came)
    end
    return table.concat({int(t.served), int(t.over_to), int(t.width_ms), int(t.slot),
        fine(t.delay_ms), int(t.delays)}, ' ')
        .. '|' .. table.concat(cohorts, ',') .. '|' .. table.concat(ages, ',')
end

-- Count one who has come within the window, so long after the turn had.
local function note_claimed(e, turn, after_ms)
    local t = read_turnout(e)
    for _, cohort in ipairs(t.cohorts) do
        if turn > t.over_to and turn <= cohort.turn then
            cohort.came = math.min(cohort.came + 1, cohort.people)
            t.delays = math.min(t.delays + 1, MOST_DELAYS)
            t.delay_ms = t.delay_ms + (after_ms - t.delay_ms) / t.delays
            break
        end
    end
    redis.call('HSET', KEYS[1], 'turnout', format_turnout(t))
end

-- Return for each age the chance that somebody of it who has not come still comes in the window.
local function chances(t)
    local hazards, expected = {}, 1
    for age = 1, AGES do
        local count = t.ages[age]
        expected = math.min((count.came + PRIOR * expected) / (count.people + PRIOR), 1)
        hazards[age] = expected
    end
    local chance, stays = {}, 1
    for age = AGES, 1, -1 do
        stays = stays * (1 - hazards[age])
        chance[age] = 1 - stays
    end
    return chance
end

-- Return how many hold a served turn in an open window and have not come, and how many of them will.
local function at_the_door(t, chance)
    local people, will_come = 0, 0
    for _, cohort in ipairs(t.cohorts) do
        local missing = cohort.people - cohort.came
        people = people + missing
        will_come = will_come + missing * chance[t.slot - cohort.slot + 1]
    end
    return people, will_come
end
