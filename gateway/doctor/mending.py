"""How each fault is mended, with the lines for the proxies that people have in front."""

from typing import Final

from gateway.doctor.findings import Mending

PROTECT: Final = Mending(
    "Let every path of the event's hosts pass the gateway, and open what must be open in its settings.",
    {
        "nginx": "location / { auth_request /_gate; … }   # on `location /` itself, not on single paths",
        "HAProxy": "http-request lua.auth-intercept gate /auth?profile=haproxy GET * - -   # without `if`",
        "Caddy": "forward_auth gateway:8080 { uri /auth?profile=caddy … }   # no path matcher in front",
        "our own proxy": '[events.NAME] hosts = ["the.host"]; only it knows the backend\'s address',
    },
)
DEFAULT_HOST: Final = Mending(
    "Refuse requests for hosts that are not yours, and let the backend take connections from the "
    "gateway or its proxy alone.",
    {
        "nginx": "server { listen 443 ssl default_server; ssl_reject_handshake on; return 421; }",
        "HAProxy": "http-request deny deny_status 421 unless { hdr(host) -i the.host }",
        "Caddy": "name the site's addresses; a block for `:443` alone takes every host",
    },
)
QUEUE_ROUTE: Final = Mending(
    "Send everything below /queue/ to the gateway, on the event's hosts, without asking for a pass.",
    {
        "nginx": "location /queue/ { proxy_pass http://gateway; proxy_set_header Host $http_host; }",
        "HAProxy": "use_backend gateway if { path_beg /queue/ }",
        "Caddy": "handle /queue/* { reverse_proxy gateway:8080 }   # before the forward_auth",
        "Traefik": "rule: Host(`the.host`) && PathPrefix(`/queue/`), without the forwardAuth middleware",
    },
)
SCHEME: Final = Mending(
    "Tell the gateway that visitors come over TLS, and name the proxy that says so in [server] "
    'trusted_proxies; or set [server] scheme = "https".',
    {
        "nginx": "proxy_set_header X-Forwarded-Proto $scheme;   # for /auth: X-Original-Proto $scheme",
        "HAProxy": "http-request set-header X-Forwarded-Proto https if { ssl_fc }",
        "Caddy": "sets X-Forwarded-Proto by itself; name it in trusted_proxies",
    },
)
HOST: Final = Mending(
    "Pass the visitor's Host on as it came.",
    {
        "nginx": "proxy_set_header Host $http_host;   # for /auth: X-Original-Host $http_host",
        "HAProxy": "passes it on; remove `http-request set-header Host`",
        "Caddy": "passes it on; remove `header_up Host`",
        "Apache": "ProxyPreserveHost On",
    },
)
CLIENT_ADDRESS: Final = Mending(
    "Let the outermost proxy replace X-Forwarded-For with the address that it sees, and name every "
    "proxy of yours in [server] trusted_proxies.",
    {
        "nginx": "proxy_set_header X-Forwarded-For $remote_addr;   # inner: $proxy_add_x_forwarded_for",
        "HAProxy": "http-request del-header X-Forwarded-For, then: option forwardfor",
        "Caddy": "sets it by itself; behind a CDN: servers { trusted_proxies static CDN-NETWORKS }",
    },
)
BUFFERING: Final = Mending(
    "Pass /queue/EVENT/events on as it comes: unbuffered, uncompressed, and with more patience than 15 s.",
    {
        "nginx": "proxy_buffering off; proxy_http_version 1.1; gzip off; proxy_read_timeout 1h;"
        "   # and no `proxy_ignore_headers X-Accel-Buffering`",
        "HAProxy": "timeout server 1h; timeout tunnel 1h; no compression of text/event-stream",
        "Caddy": "reverse_proxy gateway:8080 { flush_interval -1 }; no `encode` for text/event-stream",
        "CDN": "do not cache or compress /queue/*/events",
    },
)
PATIENCE: Final = Mending(
    "Let a stream be silent for longer than its heartbeat, 15 s.",
    {
        "nginx": "proxy_read_timeout 1h;",
        "HAProxy": "timeout server 1h",
        "Caddy": "no `transport http { read_timeout … }` below 30s",
    },
)
WEBSOCKET: Final = Mending(
    "Pass upgrades below /queue/ on.",
    {
        "nginx": "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
        'proxy_set_header Connection "upgrade";',
        "HAProxy": "passes upgrades on in `mode http`; timeout tunnel 1h",
        "Caddy": "passes upgrades on",
        "Apache": "ProxyPass /queue/ http://gateway/queue/ upgrade=websocket",
    },
)
NO_CACHE: Final = Mending(
    "Let what is in front obey Cache-Control: no rule that keeps answers that say `no-store`.",
    {
        "nginx": "no `proxy_ignore_headers Cache-Control`, no `proxy_cache_valid any …`, no `expires`",
        "HAProxy": "no `http-request cache-use` for protected paths",
        "CDN": "no \"cache everything\" rule for the event's hosts; obey the origin's Cache-Control",
    },
)
POINTER_CACHE: Final = Mending(
    "Leave Cache-Control (public, max-age=1) and ETag of GET /queue/EVENT as they are.",
    {
        "nginx": "no `expires`, `proxy_hide_header` or `add_header Cache-Control` in /queue/",
        "CDN": "obey the origin's Cache-Control; let no minimum life of the edge make it longer",
    },
)
COOKIES: Final = Mending(
    "Pass Cookie and Set-Cookie on for the event's hosts, also to the gateway's /auth.",
    {
        "nginx": 'no `proxy_set_header Cookie ""`, no `proxy_hide_header Set-Cookie`, no `proxy_cookie_*`',
        "HAProxy": "no `http-request del-header Cookie`, no `http-response del-header Set-Cookie`",
        "Caddy": "no `header_up -Cookie`, no `header_down -Set-Cookie`",
        "Traefik": "forwardAuth: authRequestHeaders is empty, or names Cookie",
        "Envoy": "ext_authz: allowed_headers has cookie",
        "CDN": "forward all cookies for the event's hosts",
    },
)
QUEUE_FIELDS: Final = Mending(
    "Set every Queue-* field that the backend reads from the gateway's answer, on every path, also where "
    "it is empty.",
    {
        "nginx": "proxy_set_header Queue-Event $queue_event; "
        "proxy_set_header Queue-Position $queue_position; "
        'proxy_set_header Queue-Visitor $queue_visitor; proxy_set_header Queue-Token "";'
        "   # in every location that reaches the backend",
        "HAProxy": "http-request del-header queue -m beg   # before the gateway's are set",
        "Caddy": "request_header -Queue-*   # before forward_auth",
        "Traefik": "forwardAuth: authResponseHeaders: Queue-Event, Queue-Position, Queue-Visitor",
    },
)
AUTH_FIELDS: Final = Mending(
    "Set what /auth is told about the request yourself, always all four: a field that is left out could be "
    "the visitor's.",
    {
        "nginx": "proxy_set_header X-Original-URI $request_uri; "
        "proxy_set_header X-Original-Method $request_method; "
        "proxy_set_header X-Original-Host $http_host; proxy_set_header X-Original-Proto $scheme;",
        "HAProxy": "http-request set-header X-Forwarded-Uri %[pathq], and so for -Method, -Host and -Proto",
        "Caddy": "forward_auth sets them; name the profile: /auth?profile=caddy",
    },
)
CERTIFICATE: Final = Mending(
    "Serve a certificate that browsers accept for this name, with its whole chain, and renew it in time."
)
GATEWAY_UP: Final = Mending(
    "See that the gateway runs (`gateway run`, /readyz) and that the proxy in front has its address; for "
    "/auth: that the proxy's address is in [server] forward_auth_peers."
)
CLOCKS: Final = Mending("Run NTP on every machine: places and passes have times in them.")
LEDGER_STATE: Final = Mending(
    "See `gateway status EVENT`; an event whose state is lost: `gateway recover EVENT --dry-run`."
)
