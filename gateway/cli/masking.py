"""Secrets never reach a terminal or a log: a URL is shown without its password."""

from urllib.parse import parse_qsl, urlencode, urlsplit

MASK = "***"

# Query fields in which the client library takes credentials too.
_SECRET_FIELDS = frozenset(
    {"password", "username", "ssl_password", "sentinel_username", "sentinel_password"}
)


def masked_url(url: str) -> str:
    """Return `url` with every credential in it replaced; what cannot be read is masked whole."""
    if not url:
        return url
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return MASK
    if "@" in url and "@" not in parts.netloc:
        # A password with an unquoted "/", "?" or "#": nobody can say where it ends.
        return f"{parts.scheme}://{MASK}"
    # From the right: a password with an "@" of its own is masked to its end.
    credentials, at, host = parts.netloc.rpartition("@")
    user = credentials.partition(":")[0]
    netloc = f"{user}:{MASK}@{host}" if at else host
    fields = [(name, MASK if name in _SECRET_FIELDS else value) for name, value in query]
    shown = urlencode(fields, safe="*")
    return f"{parts.scheme}://{netloc}{parts.path}{f'?{shown}' if shown else ''}"
