-- Read the event as of now; every gateway does so once a second, which also keeps the clocks running and opens
-- and closes it when its time has come.
--
-- KEYS[1..10] see prelude
-- ARGV[1]     id of the last ended session that the caller knows, or '-'
-- ARGV[2]     generation that the caller knows, or ''
-- ARGV[3]     positions that a genuine token was shown of, inside what counted as a hole: p,p,…
--
-- Returns a list: scalars as strings, then the policy (flat), the releases, the ended sessions
-- (position, until, …), the id of the newest of them, the end of a bypass under way, and what else a
-- gateway must know to bring the event back should it be lost (flat), the open clock in ms, the history of
-- releases, and what schedule.lua and turnout.lua keep (each nil where they have kept nothing yet); and how
-- many of the sessions stand in for those that were lost.

local e, err = load_event()
if err then
    return err
end
for name in string.gmatch(e.claimed, '%S+') do
    if is_missing_range(e, name, bitmap_of(e, name)) then
        return fail('LOST', 'claimed')
    end
end
local extends = redis.call('TYPE', KEYS[8]).ok
if extends ~= 'hash' and extends ~= 'none' then
    return fail('LOST', 'extends')
end
tick(e)
register_gateway()
by_the_clock(e)
for position in string.gmatch(ARGV[3], '%d+') do
    refute_hole(e, tonumber(position))
end
save(e)
local since = (ARGV[1] ~= '-' and ARGV[2] == int(e.generation)) and '(' .. ARGV[1] or '-'
local ended, newest = {}, since == '-' and '-' or ARGV[1]
for _, entry in ipairs(redis.call('XRANGE', KEYS[7], since, '+')) do
    newest = entry[1]
    ended[#ended + 1] = entry[2][2]
    ended[#ended + 1] = entry[2][4]
end
local is_bypass = e.state == 'bypass'
return {
    int(now), int(e.generation), e.state, int(e.issued), int(e.served), int(e.ceiling),
    int(e.active_ms), int(e.active), int(e.claims), int(e.late), int(e.updated_at), e.message,
    e.claims_frozen and '1' or '0', format_holes(e.holes), e.draw_hash,
    -- A seed that is shown before the opening could be ground for a good number.
    e.draw_count ~= '' and e.draw_seed or '', e.draw_count,
    redis.call('HGETALL', KEYS[6]),
    redis.call('ZRANGE', KEYS[4], -128, -1),
    ended, newest,
    -- When the bypass under way ends, Unix ms: a gateway that cannot read any more must know.
    is_bypass and int(now + math.max(e.bypass_until - e.ledger_ms, 0)) or '',
    int(e.revision),
    e.healed,
    {
        'draw_seed', e.draw_seed, 'acts', e.acts, 'claimed', e.claimed,
        'ledger_ms', int(e.ledger_ms), 'windows_ended_to', int(e.windows_ended_to),
        'bypass_left_ms', is_bypass and int(math.max(e.bypass_until - e.ledger_ms, 0)) or '',
        'bypass_from', is_bypass and e.bypass_from or '', 'gateways', known_gateways(),
        'clock', redis.call('HGET', KEYS[1], 'clock'), 'log_head', redis.call('HGET', KEYS[1], 'log_head') or '',
    },
    int(e.open_ms), read_history(e),
    redis.call('HMGET', KEYS[1], 'schedule', 'turnout'),
    int(stand_ins()),
}
