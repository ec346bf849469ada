-- Asks the gateway about each request, by HAProxy's own HTTP client (2.6 and later). Loaded by haproxy.cfg,
-- which says where the gateway is.

local gateway = os.getenv("ADMISSION_GATEWAY")

-- What the gateway needs to know of a visitor. Nothing else of the request is sent to it.
local told = { "cookie", "authorization", "queue-token", "accept", "sec-fetch-mode", "origin",
               "access-control-request-method" }
-- What the site is told of a visitor, and by the gateway alone.
local said = { "queue-event", "queue-position", "queue-visitor" }

local function first(headers, name)
    local values = headers[name]
    return values and values[0] or ""
end

local function admit(txn, answer)
    for _, name in ipairs(said) do
        txn:set_var("txn.admission_" .. name:gsub("-", "_"), first(answer.headers, name))
    end
    -- The pass of a turn that was claimed by this very request.
    local cookie = first(answer.headers, "set-cookie")
    if cookie ~= "" then
        txn:set_var("txn.admission_cookie", cookie)
    end
    txn:set_var("txn.admitted", true)
end

local function turn_back(txn, answer)
    local reply = txn:reply({ status = answer.status, reason = answer.reason, body = answer.body })
    for name, values in pairs(answer.headers) do
        if name ~= "content-length" and name ~= "connection" and name ~= "transfer-encoding" then
            for _, value in pairs(values) do
                reply:add_header(name, value)
            end
        end
    end
    txn:done(reply)
end

core.register_action("admission", { "http-req" }, function(txn)
    local headers = txn.http:req_get_headers()
    -- Whatever goes wrong: `txn.admitted` is not set, and haproxy.cfg lets nobody pass without it.
    local ask = {
        ["host"] = { "admission" },
        ["x-forwarded-uri"] = { txn.f:pathq() },
        ["x-forwarded-method"] = { txn.f:method() },
        ["x-forwarded-host"] = { first(headers, "host") },
        ["x-forwarded-proto"] = { txn.f:ssl_fc() == 1 and "https" or "http" },
    }
    for _, name in ipairs(told) do
        local values = headers[name]
        if values then
            ask[name] = {}
            for _, value in pairs(values) do
                table.insert(ask[name], value)
            end
        end
    end
    -- In milliseconds. HAProxy asks a gateway that says nothing three times more.
    local answer = core.httpclient():get({
        url = gateway .. "/auth?profile=haproxy", headers = ask, timeout = 2000,
    })
    if answer == nil or answer.status == nil or answer.status == 0 then
        return
    end
    if answer.status == 200 then
        admit(txn, answer)
    elseif first(answer.headers, "queue-status") ~= "" or answer.status == 303 then
        turn_back(txn, answer)
    end
end)
