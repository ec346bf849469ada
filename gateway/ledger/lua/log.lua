-- The operator log: every act (who, what, when, before, after), as a chain of hashes; joined behind the
-- prelude and sha256.lua. An entry is written by the script that does the act: there is no act without its
-- entry, and no entry without its act.
--
-- `log` is a stream. An entry has two fields: `entry`, its canonical JSON (RFC 8785, of which we use text, whole
-- numbers and objects), and `hash`, its SHA-256. The JSON holds the hash of the entry before it, so nothing can
-- be taken out or changed without changing all that came later. `domain/operator_log.py` reads and verifies it.
--
-- The state's field `log_head`: "seq hash id" of the latest entry, its id in the stream. So one that is cut off
-- at the end is missed. `log_before`: the head that a gateway knew when the ledger had lost both.

local FIRST = string.rep('0', 64) -- what stands for the hash before the first entry
local CLOCK = {by = 'clock', reason = ''}

local ESCAPES = {['"'] = '\\"', ['\\'] = '\\\\', ['\b'] = '\\b', ['\t'] = '\\t', ['\n'] = '\\n',
    ['\f'] = '\\f', ['\r'] = '\\r'}

local function json_text(text)
    return '"' .. string.gsub(text, '[%z\1-\31"\\]', function(c)
        return ESCAPES[c] or string.format('\\u%04x', string.byte(c))
    end) .. '"'
end

-- Return canonical JSON of text, a whole number, or an object of such.
local function canonical(value)
    if type(value) == 'number' then
        return int(value)
    end
    if type(value) ~= 'table' then
        return json_text(value)
    end
    local names = {}
    for name in pairs(value) do
        names[#names + 1] = name
    end
    table.sort(names)
    for i, name in ipairs(names) do
        names[i] = json_text(name) .. ':' .. canonical(value[name])
    end
    return '{' .. table.concat(names, ',') .. '}'
end

-- Return the policy's words as the log shows them: numbers as numbers.
local function policy_words(words, from)
    local policy = {}
    for i = from, #words, 2 do
        policy[words[i]] = tonumber(words[i + 1]) or words[i + 1]
    end
    return policy
end

local function log_key()
    return (string.gsub(KEYS[1], 'state$', 'log'))
end

local function parse_head(text)
    local seq, hash, id = string.match(text or '', '^(%d+) (%x+) (%d+%-%d+)$')
    return seq and {seq = tonumber(seq), hash = hash, id = id}
end

-- Return the latest entry, by the state or by the stream, whichever knows a later one. What is missing
-- between the two stays missing: whoever verifies the chain finds it.
local function latest_entry()
    local log = log_key()
    if redis.call('TYPE', log).ok ~= 'stream' then
        redis.call('DEL', log) -- of a wrong type, if it is there
    end
    local known = parse_head(redis.call('HGET', KEYS[1], 'log_head'))
    local entries = redis.call('XRANGE', log, known and known.id or '-', '+')
    local newest = entries[#entries]
    local seq = newest and string.match(newest[2][2], '"seq":(%d+)}$')
    local found = seq and {seq = tonumber(seq), hash = newest[2][4], id = newest[1]}
    if known and found then
        return found.seq > known.seq and found or known
    end
    return known or found
end

local function write_entry(head, generation, act, author, before, after)
    local entry = {
        event = string.match(KEYS[1], '{(.-)}'), generation = generation, at = now, act = act,
        by = author.by, reason = author.reason, before = before, after = after,
        prev = head and head.hash or FIRST, seq = (head and head.seq or 0) + 1,
    }
    local text = canonical(entry)
    local hash = sha256(text)
    local id = redis.call('XADD', log_key(), '*', 'entry', text, 'hash', hash)
    redis.call('HSET', KEYS[1], 'log_head', int(entry.seq) .. ' ' .. hash .. ' ' .. id)
    return {seq = entry.seq, hash = hash, id = id}
end

-- Write an act down, and return the head of the log: "seq hash". The state must be there.
local function log_act(generation, act, author, before, after)
    local head = latest_entry()
    if not head and act ~= 'create' then
        -- After a loss, or an event of a version before the log: nothing may look like the whole of it.
        local known = redis.call('HMGET', KEYS[1], 'log_before', 'healed')
        head = write_entry(nil, generation, 'begin', {by = 'ledger', reason = 'no earlier entry is left'}, {},
            {healed = known[2] or '', last_head = string.match(known[1] or '', '^%d+ %x+') or ''})
    end
    head = write_entry(head, generation, act, author, before, after)
    return int(head.seq) .. ' ' .. head.hash
end
