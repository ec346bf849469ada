-- Whether Envoy itself lets a request to event @EVENT@ go on, by the pass that it carries.
--
-- May be narrower than the gateway's own edge, never wider: whatever is not a plain good pass, in the one
-- form in which the gateway writes it, is asked about; so is everything when something goes wrong here.
-- ext_authz behind this asks unless the metadata is there that is set on the last line of `judge`.

local EVENT = "@EVENT@"
local HOSTS = {@HOSTS@}
local ISSUER = "@ISSUER@"
local FOLDER = "@FOLDER@"

-- Seconds that the clock of whoever issued a pass may be ahead. Its end has no leeway.
local LEEWAY_S = 60
local LONGEST_TARGET = 8192
local LONGEST_HOST = 260
local LONGEST_TOKEN = 2048
-- So many passes are remembered at the least, and twice as many at the most, for each of Envoy's threads.
local REMEMBERED = 10000

local METHODS = { GET = true, HEAD = true, POST = true, PUT = true, PATCH = true, DELETE = true }
local CLAIMS_HEAD = '{"iss":"' .. ISSUER .. '","aud":"' .. EVENT .. '",'
local CLAIMS = '^"sub":"([A-Za-z0-9_-]+)","pos":([1-9][0-9]*),"gen":([1-9][0-9]*),'
    .. '"iat":([1-9][0-9]*),"exp":([1-9][0-9]*)}$'
local NUMBERS = { "generation", "clock-ahead", "good-for", "good-until" }
local NO_SUCH_FILE = 2

local PASS_NAME, PLACE_NAME = "pass-" .. EVENT, "queue-" .. EVENT

-- How often a name stands in a field as that of a cookie, even at the end of a longer name.
local function times_named(name, field)
  local count, at = 0, 1
  while true do
    local _, last = field:find(name, at, true)
    if last == nil then
      return count
    end
    if field:find("^[ \t]*=", last + 1) then
      count = count + 1
    end
    at = last + 1
  end
end

-- A text without the spaces and tabs at its end. A pattern would take the square of their number.
local function without_end(text)
  local last = #text
  while last > 0 and (text:byte(last) == 32 or text:byte(last) == 9) do
    last = last - 1
  end
  return text:sub(1, last)
end

-- What cookies of exactly this name hold, as the gateway splits the field.
local function cookies(field, name)
  local found = {}
  for part in field:gmatch("[^;]+") do
    local first = part:find("[^ \t]") or 1
    if part:sub(first, first + #name) == name .. "=" then
      found[#found + 1] = without_end(part:sub(first + #name + 1))
    end
  end
  return found
end

-- A token's three segments in the one spelling that they have; 64 bytes end with A, Q, g or w.
local function segments(token)
  if #token > LONGEST_TOKEN then
    return nil
  end
  local head, payload, signature =
    token:match("^([A-Za-z0-9_-]+)%.([A-Za-z0-9_-]+)%.([A-Za-z0-9_-]+)$")
  if head == nil or #signature ~= 86 or not signature:find("[AQgw]$") then
    return nil
  end
  return head, payload, signature
end

-- Whether a target is as the gateway's own edge takes it, with nothing encoded in its path.
local function one_reading(target)
  local path, query = target:match("^([^?]*)%??(.*)$")
  if
    #target > LONGEST_TARGET
    or not path:find("^/[A-Za-z0-9._~!$&'()*+,=:@/-]*$")
    or path:find("//", 1, true)
    or query:find("[^\33\34\36-\126]")
  then
    return false
  end
  for segment in path:gmatch("[^/]+") do
    if segment:find("^%.+$") then
      return false
    end
  end
  return true
end

-- A request is looked at only where it has one reading: one host that is the event's, such a target, a plain
-- method, and no bearer token. Its fields are lists of all their values.
local function readable(request)
  local host = request.hosts[1]
  if #request.hosts ~= 1 or #host > LONGEST_HOST then
    return false
  end
  local name, port = host:match("^(.*):([0-9]+)$")
  if name == nil then
    name, port = host, "0"
  end
  if #port > 5 or not HOSTS[name:lower()] then
    return false
  end
  if #request.authorized > 1 then
    return false
  end
  for _, value in ipairs(request.authorized) do
    if value:lower():find("^[ \t]*bearer") then
      return false
    end
  end
  return METHODS[request.method] == true and one_reading(request.target)
end

-- The pass that a request carries, and the queue token beside it: the one cookie of its name in the one
-- Cookie field, beside at most one queue token; or the one field Queue-Token alone. Nil for all else.
local function carried(request)
  local scheme = request.schemes[1]
  if #request.schemes ~= 1 or (scheme ~= "http" and scheme ~= "https") then
    return nil
  end
  if #request.alone > 0 then
    for _, field in ipairs(request.cookies) do
      if times_named(PASS_NAME, field) + times_named(PLACE_NAME, field) > 0 then
        return nil
      end
    end
    if #request.alone > 1 or not segments(request.alone[1]) then
      return nil
    end
    return request.alone[1], nil
  end
  local field = request.cookies[1]
  if #request.cookies ~= 1 or times_named(PASS_NAME, field) ~= 1 then
    return nil
  end
  local places = times_named(PLACE_NAME, field)
  if places > 1 then
    return nil
  end
  local prefix = scheme == "https" and "__Host-" or ""
  local passes = cookies(field, prefix .. PASS_NAME)
  if #passes ~= 1 or not segments(passes[1]) then
    return nil
  end
  return passes[1], places == 1 and cookies(field, prefix .. PLACE_NAME)[1] or nil
end

local VALUES = {}
for at, letters in ipairs({ "AZ", "az", "09" }) do
  for letter = letters:byte(1), letters:byte(2) do
    VALUES[letter] = (at - 1) * 26 + letter - letters:byte(1)
  end
end
VALUES[("-"):byte()], VALUES[("_"):byte()] = 62, 63
VALUES[("+"):byte()], VALUES[("/"):byte()] = 62, 63

-- What base64 of either alphabet stands for; nil where it is none.
local function decoded(text)
  text = text:gsub("=?=$", "")
  local bytes, held, bits = {}, 0, 0
  for at = 1, #text do
    local value = VALUES[text:byte(at)]
    if value == nil then
      return nil
    end
    held, bits = held * 64 + value, bits + 6
    if bits >= 8 then
      bits = bits - 8
      local byte = math.floor(held / 2 ^ bits)
      held = held - byte * 2 ^ bits
      bytes[#bytes + 1] = string.char(byte)
    end
  end
  return table.concat(bytes)
end

-- One of a signature's two numbers as ASN.1 has it: no leading zeros, and one where it would be below 0.
local function integer(bytes)
  local number = bytes:gsub("^%z+", "")
  if number == "" or number:byte(1) > 127 then
    number = "\0" .. number
  end
  return "\2" .. string.char(#number) .. number
end

-- A signature's 64 bytes in the form that Envoy verifies.
local function in_asn1(signature)
  local both = integer(signature:sub(1, 32)) .. integer(signature:sub(33, 64))
  return "\48" .. string.char(#both) .. both
end

local function within(digits, most)
  return #digits <= most
end

-- What the payload says where it is, byte for byte, of the form that our signer writes; nil otherwise.
local function claims(payload)
  if payload:sub(1, #CLAIMS_HEAD) ~= CLAIMS_HEAD then
    return nil
  end
  local visitor, position, generation, issued, ends = payload:sub(#CLAIMS_HEAD + 1):match(CLAIMS)
  if
    visitor == nil
    or not within(visitor, 64)
    or not (within(position, 15) and within(generation, 15))
    or not (within(issued, 12) and within(ends, 12))
  then
    return nil
  end
  return {
    visitor = visitor,
    position = position,
    generation = generation,
    issued = tonumber(issued),
    ends = tonumber(ends),
  }
end

-- What the sync said, in exactly its form; nil for anything else.
local function told(text)
  if not text:find("\n$") then
    return nil
  end
  local known, at = { passes = {}, places = {} }, 0
  for line in text:gmatch("([^\n]*)\n") do
    at = at + 1
    if at <= #NUMBERS then
      local name, number = line:match("^([a-z-]+) (%-?[0-9]+)$")
      if name ~= NUMBERS[at] or #number > 15 then
        return nil
      end
      known[name] = tonumber(number)
    else
      local head, key = line:match("^pass ([A-Za-z0-9_-]+) ([A-Za-z0-9+/]+=?=?)$")
      local place = line:match("^place ([A-Za-z0-9_-]+)$")
      if head ~= nil then
        known.passes[head] = decoded(key)
      elseif place ~= nil then
        known.places[place] = true
      else
        return nil
      end
    end
  end
  return at >= #NUMBERS and known or nil
end

-- Whether what the sync said holds now. Beyond it, and where this machine's clock jumped, all is asked.
local function holds(known, here)
  return known["good-until"] > here and here + known["good-for"] >= known["good-until"]
end

-- Whether a pass that says this counts at this second of the ledger's clock.
local function counts(said, generation, now)
  return tonumber(said.generation) == generation
    and said.ends > now
    and said.issued <= now + LEEWAY_S
    and said.ends > said.issued
end

local read_text, read_known

-- What the file says now. It is read each time, and taken apart where it is another text than before.
local function known_now()
  local file = io.open(FOLDER .. "/known", "rb")
  if file == nil then
    return nil
  end
  local text = file:read("*a")
  file:close()
  if text == nil then
    return nil
  end
  if text ~= read_text then
    read_known = told(text)
    read_text = text
  end
  return read_known
end

local function is_there(name)
  local file, _, why = io.open(FOLDER .. "/ended/" .. name, "rb")
  if file ~= nil then
    file:close()
    return true
  end
  if why ~= NO_SUCH_FILE then
    error("ended/" .. name .. " cannot be looked at")
  end
  return false
end

-- Whether a session was ended; also where the folder that would say so is gone.
local function ended(said)
  return is_there(said.generation .. "-" .. said.position) or not is_there(".")
end

-- The key that passes were verified by, of the latest and of those before them.
local verified, verified_before, count = {}, {}, 0

local function remember(token, key)
  if count >= REMEMBERED then
    verified, verified_before, count = {}, verified, 0
  end
  verified[token] = key
  count = count + 1
end

-- Whether the signature is good. Only that is remembered; all the rest is looked at each time.
local function signed(handle, token, key)
  if verified[token] == key or verified_before[token] == key then
    return true
  end
  local message, signature = token:match("^(.*)%.(.*)$")
  local asn1 = in_asn1(decoded(signature))
  local by = handle:importPublicKey(key, #key)
  if handle:verifySignature("sha256", by:get(), asn1, #asn1, message, #message) ~= true then
    return false
  end
  remember(token, key)
  return true
end

-- Unix seconds by this machine's clock. `os.time` is some milliseconds late, so at the turn of a second
-- it would be the second before what the sync has just said.
local function seconds(handle)
  return math.floor(tonumber(handle:timestamp()) / 1000)
end

-- What the pass of a request says where it admits; nil otherwise.
local function admitted(handle, request)
  if not readable(request) then
    return nil
  end
  local pass, place = carried(request)
  if pass == nil then
    return nil
  end
  -- Before who was ended is looked up: that is written first.
  local known, here = known_now(), seconds(handle)
  if known == nil or not holds(known, here) then
    return nil
  end
  -- Algorithm, type and key are in the first segment, as the gateway writes them and in no other way.
  local head, payload = segments(pass)
  local key = known.passes[head]
  local said = key ~= nil and claims(decoded(payload)) or nil
  if said == nil or not counts(said, known.generation, here + known["clock-ahead"]) then
    return nil
  end
  -- The queue's cookie must hold a queue token: a second pass in it would be somebody else's.
  if place ~= nil and not known.places[place:match("^[^.]*")] then
    return nil
  end
  if ended(said) or not signed(handle, pass, key) then
    return nil
  end
  return said
end

local function values(headers, name)
  local found = {}
  for at = 1, headers:getNumValues(name) do
    found[at] = headers:getAtIndex(name, at - 1)
  end
  return found
end

-- What Envoy passes on, which is what is judged.
local function request_of(headers)
  return {
    method = headers:get(":method"),
    target = headers:get(":path"),
    hosts = values(headers, ":authority"),
    -- By the connection, or as a proxy before this one has it: what the gateway goes by.
    schemes = values(headers, "x-forwarded-proto"),
    cookies = values(headers, "cookie"),
    authorized = values(headers, "authorization"),
    alone = values(headers, "queue-token"),
  }
end

local function judge(handle)
  local headers = handle:headers()
  local said = admitted(handle, request_of(headers))
  if said == nil then
    return
  end
  headers:replace("queue-event", EVENT)
  headers:replace("queue-position", said.position)
  headers:replace("queue-visitor", said.visitor)
  handle:streamInfo():dynamicMetadata():set("admission", "verified", true)
end

function envoy_on_request(handle)
  local went_well, why = pcall(judge, handle)
  if not went_well then
    handle:logWarn("admission: " .. tostring(why))
  end
end

-- The rules are here for our tests, which hold them against the gateway's own.
admission = {
  readable = readable,
  carried = carried,
  segments = segments,
  decoded = decoded,
  in_asn1 = in_asn1,
  claims = claims,
  told = told,
  holds = holds,
  counts = counts,
}
