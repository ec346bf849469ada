"""Asking through the proxy and asking httpbin itself give the same answer, byte for byte.

Directly, httpbin gets the fields that the proxy must add, so that even its reflections of a request
are the same. What may differ: the fields of the connection itself, and the second in `Date`.
"""

import hashlib
import json
import re
import zlib
from email.utils import parsedate_to_datetime

import pytest

from tests.integration.proxy.fronts import FrontProcess
from tests.integration.proxy.wire import (
    HeaderList,
    Wire,
    WireAnswer,
    ask,
    chunked,
    request,
)

# What the proxy adds for a client at 127.0.0.1 that asks for site.example.
ADDED: HeaderList = [
    (b"x-forwarded-for", b"127.0.0.1"),
    (b"x-forwarded-proto", b"http"),
    (b"x-forwarded-host", b"site.example"),
    (b"forwarded", b"for=127.0.0.1;proto=http;host=site.example"),
]

# RFC 9110, section 7.6.1: these belong to one connection.
OF_THE_CONNECTION = {b"connection", b"keep-alive", b"transfer-encoding"}


def assert_same(direct: WireAnswer, proxied: WireAnswer) -> None:
    assert proxied.status == direct.status
    assert proxied.complete == direct.complete
    expected, got = passing(direct.headers), passing(proxied.headers)
    assert [name for name, _ in got] == [name for name, _ in expected]
    for (name, value), (_, original) in zip(got, expected, strict=True):
        if name == b"date":
            assert seconds_between(value, original) <= 2
        else:
            assert (name, value) == (name, original)
    assert proxied.body == direct.body


def passing(headers: HeaderList) -> HeaderList:
    return [header for header in headers if header[0] not in OF_THE_CONNECTION]


def seconds_between(one: bytes, other: bytes) -> float:
    gap = parsedate_to_datetime(one.decode()) - parsedate_to_datetime(other.decode())
    return abs(gap.total_seconds())


class Both:
    """Asks the same twice: httpbin itself, and through the proxy."""

    def __init__(self, httpbin_port: int, front_port: int) -> None:
        self.httpbin_port = httpbin_port
        self.front_port = front_port

    def compare(
        self,
        target: str,
        *,
        method: str = "GET",
        headers: HeaderList | None = None,
        body: bytes | None = None,
        added: HeaderList = ADDED,
    ) -> WireAnswer:
        headers = headers or []
        direct = ask(
            self.httpbin_port,
            request(target, method=method, headers=headers + added, body=body),
        )
        proxied = ask(self.front_port, request(target, method=method, headers=headers, body=body))
        assert_same(direct, proxied)
        return proxied


@pytest.fixture
def both(httpbin_port: int, front: FrontProcess) -> Both:
    return Both(httpbin_port, front.port)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_every_method_of_an_application_gives_the_same_answer(both: Both, method: str) -> None:
    body = None if method == "GET" else b'{"seats": [1, 2]}'
    # An odd body gets a connection of its own to the backend; httpbin reflects that.
    added = [*ADDED, (b"connection", b"close")] if method == "DELETE" else ADDED
    answer = both.compare(
        "/anything/seats?row=7",
        method=method,
        headers=[(b"content-type", b"application/json"), (b"x-site", b"kept")],
        body=body,
        added=added,
    )
    assert json.loads(answer.body)["method"] == method


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PURGE", "PROPFIND", "REPORT"])
def test_methods_that_most_applications_do_not_know_are_passed_on_too(
    both: Both, method: str
) -> None:
    # A length of 0, as the proxy's client sends one with the methods that RFC 9110 does not define.
    body = b"" if method in ("PURGE", "PROPFIND", "REPORT") else None
    answer = both.compare("/get?a=1", method=method, body=body)
    assert answer.status == (405 if body is not None else 200)


@pytest.mark.parametrize(
    "target",
    [
        "/gzip", "/deflate", "/brotli", "/bytes/0?seed=7", "/bytes/1?seed=7",
        "/bytes/100000?seed=7", "/stream-bytes/100000?seed=7&chunk_size=999", "/stream/20",
        "/html", "/xml", "/json", "/robots.txt", "/deny", "/encoding/utf8", "/image/png",
        "/image/jpeg", "/cache/60", "/etag/abc", "/links/5/0", "/headers", "/ip",
        "/user-agent", "/response-headers?X-Odd=%C3%A9t%C3%A9&X-Odd=2&Warning=199",
        "/base64/aGVsbG8=", "/drip?numbytes=20&duration=1&delay=0", "/delay/1", "/range/2048",
    ],
)  # fmt: skip
def test_every_kind_of_answer_arrives_as_it_was_sent(both: Both, target: str) -> None:
    if target == "/gzip":
        compare_gzip(both)
    else:
        both.compare(target, headers=[(b"accept-encoding", b"gzip, br"), (b"user-agent", b"ua")])


def compare_gzip(both: Both) -> None:
    """The gzip header holds the time of compression (RFC 1952, section 2.3.1): that alone may differ."""
    direct = ask(both.httpbin_port, request("/gzip", headers=ADDED))
    proxied = ask(both.front_port, request("/gzip"))
    assert proxied.value(b"content-encoding") == b"gzip"
    assert proxied.value(b"content-length") == str(len(proxied.body)).encode()
    assert proxied.body[:4] + proxied.body[8:] == direct.body[:4] + direct.body[8:]
    assert json.loads(zlib.decompress(proxied.body, wbits=31))["gzipped"] is True


@pytest.mark.parametrize("status", [200, 201, 204, 206, 301, 304, 400, 401, 402, 404, 406, 418, 429,
                                    500, 502, 503, 599])  # fmt: skip
def test_every_status_is_the_backends(both: Both, status: int) -> None:
    both.compare(f"/status/{status}")


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        (b"bytes=10-19", 206), (b"bytes=0-0", 206), (b"bytes=-5", 206), (b"bytes=1000-", 206),
        (b"bytes=99999-", 416),
    ],
)  # fmt: skip
def test_a_range_is_the_backends_to_cut(both: Both, wanted: bytes, status: int) -> None:
    answer = both.compare("/range/1024", headers=[(b"range", wanted)])
    assert answer.status == status


@pytest.mark.parametrize(
    "target",
    ["/redirect/2", "/absolute-redirect/2", "/relative-redirect/1",
     "/redirect-to?url=https%3A%2F%2Felsewhere.example%2Fpay%3Fa%3D1&status_code=307"],
)  # fmt: skip
def test_a_redirect_is_the_visitors_to_follow(both: Both, target: str) -> None:
    answer = both.compare(target)
    assert 300 <= answer.status < 400
    assert answer.value(b"location")


def test_two_cookies_stay_two_fields(both: Both) -> None:
    answer = both.compare("/cookies/set?first=1&second=2")
    assert answer.values(b"set-cookie") == [b"first=1; Path=/", b"second=2; Path=/"]


def test_cookies_reach_the_backend_and_none_is_kept_for_the_next_visitor(both: Both) -> None:
    both.compare("/cookies/set?leak=1")
    answer = both.compare("/cookies", headers=[(b"cookie", b'a=1; b="\xc3\xa9"; a=2')])
    assert json.loads(answer.body)["cookies"].keys() == {"a", "b"}
    assert json.loads(both.compare("/cookies").body)["cookies"] == {}


@pytest.mark.parametrize(
    ("credential", "target", "status"),
    [
        (b"Bearer x", "/bearer", 200),
        (b"Basic dXNlcjpwYXNz", "/basic-auth/user/pass", 200),
        (b"Basic bm90OnJpZ2h0", "/basic-auth/user/pass", 401),
        (b"Custom a=1,b=2", "/headers", 200),
    ],
)
def test_credentials_are_the_backends_to_judge(
    both: Both, credential: bytes, target: str, status: int
) -> None:
    answer = both.compare(target, headers=[(b"authorization", credential)])
    assert answer.status == status


def test_a_challenge_and_its_digest_work_through_the_proxy(both: Both) -> None:
    target = "/digest-auth/auth/user/pass/MD5"
    with Wire(both.front_port) as wire:
        wire.send(request(target))
        asked = wire.read_answer()
        challenge = asked.value(b"www-authenticate")
        assert asked.status == 401
        assert challenge is not None
        cookies = b"; ".join(each.split(b";")[0] for each in asked.values(b"set-cookie"))
        digest = answer_to(challenge.decode(), target)
        wire.send(
            request(target, headers=[(b"authorization", digest.encode()), (b"cookie", cookies)])
        )
        answer = wire.read_answer()
    assert answer.status == 200
    assert json.loads(answer.body) == {"authenticated": True, "user": "user"}


def answer_to(challenge: str, target: str) -> str:
    """Answer a digest challenge (RFC 7616, section 3.4.1)."""
    said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    secret = md5(f"user:{said['realm']}:pass")
    proof = md5(f"{secret}:{said['nonce']}:00000001:cnonce:auth:{md5(f'GET:{target}')}")
    return (
        f'Digest username="user", realm="{said["realm"]}", nonce="{said["nonce"]}", '
        f'uri="{target}", qop=auth, nc=00000001, cnonce="cnonce", response="{proof}", '
        f'opaque="{said["opaque"]}", algorithm=MD5'
    )


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "target",
    [
        "/anything/a%2Fb%20c/%E2%82%AC", "/anything/a+b;v=1/~x'(y)*", "/anything/?",
        "/anything?a=1&a=2&&b&=c&d=%20+%2B", "/anything?q=a%00b%ff", "/anything?next=/x?y=z",
        "/anything//double///slash", "/anything/%7Euser/%41", "/anything/..%2f..%2f",
    ],
)  # fmt: skip
def test_odd_targets_mean_to_the_backend_what_they_would_mean_directly(
    both: Both, target: str
) -> None:
    both.compare(target)


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1_000_000, 8_000_000])
def test_a_body_of_any_size_goes_up_and_comes_back(both: Both, size: int) -> None:
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    answer = both.compare(
        "/post", method="POST", headers=[(b"content-type", b"text/plain")], body=body
    )
    assert json.loads(answer.body)["data"] == body.decode()


def test_a_form_and_a_file_arrive_as_they_were_sent(both: Both) -> None:
    body = (
        b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--x\r\ncontent-disposition: form-data; name="f"; filename="f.bin"\r\n'
        b"content-type: application/octet-stream\r\n\r\n\x00\xff\r\n\r\n--x--\r\n"
    )
    answer = both.compare(
        "/post",
        method="POST",
        headers=[(b"content-type", b"multipart/form-data; boundary=x")],
        body=body,
    )
    assert json.loads(answer.body)["form"] == {"a": "1"}


def test_a_chunked_upload_arrives_whole(both: Both) -> None:
    head = [(b"transfer-encoding", b"chunked"), (b"content-type", b"text/plain")]
    parts = [b"a" * size for size in (1, 2, 70_000, 3)]
    direct = ask(
        both.httpbin_port, request("/post", method="POST", headers=head + ADDED) + chunked(parts)
    )
    proxied = ask(both.front_port, request("/post", method="POST", headers=head) + chunked(parts))
    assert_same(direct, proxied)
    assert json.loads(proxied.body)["data"] == b"".join(parts).decode()


def test_one_connection_carries_many_requests(both: Both) -> None:
    with Wire(both.front_port) as wire:
        for number in range(20):
            wire.send(request(f"/anything/{number}", method="POST", body=b"x" * number))
            answer = wire.read_answer()
            assert json.loads(answer.body)["data"] == "x" * number


def test_the_slow_stream_of_a_backend_is_not_held_back(both: Both) -> None:
    with Wire(both.front_port) as wire:
        wire.send(request("/drip?numbytes=4&duration=2&delay=0"))
        wire.read_head()
        first = wire.read_some()
        assert len(first) < 4


@pytest.mark.parametrize("target", ["/cache", "/etag/abc"])
def test_what_has_not_changed_is_not_sent_again(both: Both, target: str) -> None:
    answer = both.compare(target, headers=[(b"if-none-match", b'"abc"')])
    assert (answer.status, answer.body) == (304, b"")
