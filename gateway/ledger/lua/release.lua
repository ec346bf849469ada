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
-- Returns strings: before, after, people, 1 when capped, 1 when this id had been carried out, the head of the
-- log or '' where nothing was done. Turns
-- inside holes belong to nobody: they are not counted and the pointer crosses them for free.

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
            return {before, after, people, capped, '1', ''}
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

local cap = e.issued + e.headroom
local before = e.served
local target = mode == 'by' and forward(e, before, amount) or skip_holes(e, amount)
local is_behind = mode == 'to' and amount < before
local after = is_behind and before or reach(e, target)
local people = occupied_between(e, before, after)
local capped = not is_behind and target > cap and '1' or '0'
if dry_run then
    -- The clocks have moved, and with them what is over.
    save(e)
    return {int(before), int(after), int(people), capped, '0', ''}
end

if after > before then
    move_pointer(e, after)
end
if has_id then
    local told = {mode .. ':' .. ARGV[2], int(before), int(after), int(people), capped}
    redis.call('SET', KEYS[11], int(e.generation) .. ' ' .. table.concat(told, ' '), 'PX', ARGV[5])
    note_act(e, ARGV[6] .. '=' .. table.concat(told, ';'))
end
save(e)
local head = log_act(e.generation, 'release', AUTHOR, {served_up_to = before},
    {served_up_to = after, people = people, asked = mode .. ' ' .. ARGV[2]})
return {int(before), int(after), int(people), capped, '0', head}
