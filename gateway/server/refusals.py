"""What the server answers when it refuses a request before any application sees it (RFC 9457)."""

from email.utils import formatdate
from http import HTTPStatus

_TITLES = {
    # Python 3.11 and 3.13 name these two differently; RFC 9110 and RFC 6585 are what clients know.
    HTTPStatus.REQUEST_URI_TOO_LONG: "URI Too Long",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "Request Header Fields Too Large",
}


def refusal(status: HTTPStatus, retry_after_s: int | None = None) -> bytes:
    """Write the whole answer: a problem without details, after which the connection is closed."""
    title = _TITLES.get(status, status.phrase)
    body = f'{{"type":"about:blank","title":"{title}","status":{status.value}}}'
    retry_after = "" if retry_after_s is None else f"retry-after: {retry_after_s}\r\n"
    return (
        f"HTTP/1.1 {status.value} {title}\r\n"
        f"date: {formatdate(usegmt=True)}\r\n"
        "content-type: application/problem+json\r\n"
        f"content-length: {len(body)}\r\n"
        "cache-control: no-store\r\n"
        f"{retry_after}"
        "connection: close\r\n"
        "\r\n"
        f"{body}"
    ).encode("ascii")
