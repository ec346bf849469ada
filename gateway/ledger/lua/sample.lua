-- Note how the event stands, once an interval, whoever asks first.
--
-- KEYS[1..10] see prelude
-- KEYS[11]    samples  stream: one entry an interval, its id the interval's beginning in Unix ms
-- ARGV[1]     interval, ms
-- ARGV[2]     how long an event that does not change goes without an entry, ms
-- ARGV[3]     how many entries are kept
-- ARGV[4]     what somebody who joins now is told of the waiting time: "low high" in s, or '- -'
--
-- Returns the newest entry: its id, and the words that `records.parse_sample` names. An empty list
-- where the key holds something else: nothing but a report comes of it.
--
-- No clock is moved: every gateway's read does that each second.

local e, err = load_event()
if err then
    return err
end
local interval_ms = tonumber(ARGV[1])
local at = math.floor(now / interval_ms) * interval_ms
local kind = redis.call('TYPE', KEYS[11]).ok
if kind ~= 'stream' and kind ~= 'none' then
    return {}
end
local latest = redis.call('XRANGE', KEYS[11], int(math.max(at - tonumber(ARGV[2]), 0)), '+')
local newest = latest[#latest]
if newest and tonumber(string.match(newest[1], '^%d+')) >= at then
    return {newest[1], newest[2][2]}
end

local missing = 0
for _, cohort in ipairs(read_turnout(e).cohorts) do
    missing = missing + cohort.people - cohort.came
end
local let_in = math.min(e.served, e.issued)
local words = table.concat({
    int(e.generation), e.state, int(e.issued), int(e.served), int(occupied_between(e, 0, let_in)),
    int(occupied_between(e, e.served, e.issued)), int(e.active), int(e.claims), int(e.late),
    int(missing), int(e.max_sessions), ARGV[4],
}, ' ')
-- What is alike but for the clock says nothing new; across the longest silence there is an entry.
if newest and string.sub(newest[2][2], 1, #words + 1) == words .. ' '
    and tonumber(string.match(newest[1], '^%d+')) > at - tonumber(ARGV[2]) then
    return {newest[1], newest[2][2]}
end
words = words .. ' ' .. int(e.open_ms)
local id = int(at) .. '-0'
redis.call('XADD', KEYS[11], 'MAXLEN', '~', ARGV[3], id, 's', words)
return {id, words}
