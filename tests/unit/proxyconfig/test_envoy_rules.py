"""What the rules of Envoy's script let through, held against the gateway's own readers: never wider.

The rules run in LuaJIT, as they do in Envoy.
"""

import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import example, given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm
from lupa.luajit21 import LuaRuntime

from gateway.domain.targets import canonical_host, canonical_target
from gateway.proxyconfig import EnvoyFolder, Knowledge
from gateway.proxyconfig.knowledge import pass_head, place_head
from gateway.proxyconfig.known_files import KnownFiles
from gateway.tokens.compact import encode_segment
from tests.support.pass_rules import (
    ADDRESSES,
    CHANGES,
    COOKIE_PIECES,
    HOLDS,
    KEY,
    KID,
    NEAR,
    OTHER,
    PASS,
    PLACE,
    PRIVATE,
    SECONDS,
    SIGNATURE,
    SUBJECT,
    check_carried,
    check_one_spelling,
    claims_of,
    counts_at_the_gateway,
    no_payloads,
    payload_of,
    said_by,
)


class Script:
    """The script as Envoy has it, in an interpreter of its own. Text is bytes, as Latin-1."""

    def __init__(self, folder: Path) -> None:
        self.folder = EnvoyFolder(folder)
        self.folder.set_up(SUBJECT, ADDRESSES, {})
        self.lua: Any = LuaRuntime(encoding="latin-1", unpack_returned_tuples=True)
        self.lua.execute((self.folder.folder / "admission.lua").read_text())

    def __call__(self, rule: str, *arguments: Any) -> Any:
        return self.lua.globals().admission[rule](*arguments)

    def table(self, value: Any) -> Any:
        match value:
            case dict():
                pairs = {name: self.table(held) for name, held in value.items()}
                return self.lua.table_from(pairs)
            case list():
                return self.lua.table_from([self.table(held) for held in value])
            case _:
                return value

    def readable(self, **changes: Any) -> bool:
        found = self("readable", self.table(REQUEST | changes))
        assert isinstance(found, bool)
        return found

    def carried(self, *, secure: bool = False, **changes: Any) -> tuple[str | None, str | None]:
        fields = REQUEST | {"schemes": ["https" if secure else "http"]} | changes
        found = self("carried", self.table(fields))
        return found if isinstance(found, tuple) else (found, None)


REQUEST: dict[str, Any] = {
    "method": "GET",
    "target": "/book",
    "hosts": ["shop.example"],
    "schemes": ["http"],
    "cookies": [],
    "authorized": [],
    "alone": [],
}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Script:
    return Script(tmp_path_factory.mktemp("rules") / "h")


def texts(*pieces: str, most: int = 12) -> st.SearchStrategy[str]:
    """Return strings made of these pieces and of single bytes."""
    single = st.one_of(
        st.characters(max_codepoint=0x7E, min_codepoint=0x20), st.characters(max_codepoint=0xFF)
    )
    return st.lists(st.one_of(st.sampled_from(pieces), single), max_size=most).map("".join)


# --- the request


@given(target=texts("/", "//", "/.", "/..", ".", "%2f", "%2e", ";", "\\", "?", "#", "/book", "a"))
@example(target="/")
@example(target="/book/..")
@example(target="/book?x=/../")
@example(target="//book")
@example(target="/b/.")
@example(target="/...")
@example(target="/.well-known/x")
@example(target="/a\n")
@example(target="/a?\n")
@example(target="/a;b")
@example(target="/a%2fb")
@example(target="/a%2Fb?x=%2F")
@example(target="/a\\b")
@example(target="/a#b")
@example(target="/\xe9")
@example(target="/a?\xe9")
@example(target="/" + "a" * 8191)
@example(target="/" + "a" * 8192)
@example(target="/a?" + "b" * 8190)
def test_a_target_that_is_readable_has_one_reading(script: Script, target: str) -> None:
    if script.readable(target=target):
        path, _, query = target.partition("?")
        found = canonical_target(path.encode("latin-1"), query.encode("latin-1"))
        assert (found.path, found.query) == (path, query)


@pytest.mark.parametrize(
    "target",
    ["/", "/book/7?seat=1&x=%2F", "/assets/", "/?", "/a~b/c.d'e", "/.well-known/x", "/a" * 4096],
)
def test_a_plain_target_is_readable(script: Script, target: str) -> None:
    assert script.readable(target=target)


@given(host=texts("shop.example", "www.", ".", ":", "80", "SHOP", "@", "[", "]", ","))
@example(host="shop.example:443")
@example(host="SHOP.example")
@example(host="shopxexample")
@example(host="shop.example.evil.example")
@example(host="shop.example\n")
@example(host="shop.example:123456")
@example(host="shop.example:80:80")
@example(host="shop.example,shop.example")
def test_a_host_that_is_readable_is_one_of_the_events(script: Script, host: str) -> None:
    if script.readable(hosts=[host]):
        assert canonical_host([host.encode("latin-1")]) in SUBJECT.hosts


def test_a_request_is_readable_in_one_form_only(script: Script) -> None:
    good: Sequence[dict[str, Any]] = (
        {},
        {"hosts": ["WWW.shop.example:8080"]},
        {"authorized": ["Basic eDp5"]},
        {"method": "DELETE"},
    )
    bad: Sequence[dict[str, Any]] = (
        {"hosts": []},
        {"hosts": ["shop.example", "shop.example"]},
        {"hosts": ["shop.example:123456"]},
        {"hosts": ["shop.example:"]},
        {"authorized": ["\t bEaReR x"]},
        {"authorized": ["Basic a", "Basic b"]},
        {"method": "OPTIONS"},
        {"method": "CONNECT"},
        {"method": "get"},
    )
    assert [script.readable(**one) for one in good] == [True] * len(good)
    assert [script.readable(**one) for one in bad] == [False] * len(bad)


# --- what it carries


@given(cookie=texts(*COOKIE_PIECES, most=8), secure=st.booleans(), alone=st.booleans())
@example(cookie=f"pass-sale-1={PASS}", secure=False, alone=False)
@example(cookie=f"pass-sale-1={PLACE}", secure=False, alone=False)
@example(cookie=f"pass-sale-1={PASS}; pass-sale-1={OTHER}", secure=False, alone=False)
@example(cookie=f"pass-sale-1 ={OTHER}; pass-sale-1={PASS}", secure=False, alone=False)
@example(cookie=f'x="; pass-sale-1={PASS}"', secure=False, alone=False)
@example(
    cookie=f"pass-sale-1={PASS}; queue-sale-1={OTHER}; queue-sale-1={PLACE}",
    secure=False,
    alone=False,
)
@example(cookie=f"\xa0pass-sale-1={PASS}", secure=False, alone=False)
@example(cookie=f"\x0bpass-sale-1={PASS}", secure=False, alone=False)
@example(cookie=f"__Host-pass-sale-1={PASS}; queue-sale-1={PLACE}", secure=True, alone=False)
@example(cookie="", secure=False, alone=True)
@example(cookie=f"pass-sale-1={PASS}", secure=False, alone=True)
@example(cookie=f"queue-sale-1={PLACE}", secure=False, alone=True)
def test_what_is_carried_is_one_pass_for_the_gateway_too(
    script: Script, cookie: str, secure: bool, alone: bool
) -> None:
    own = [OTHER] if alone else []
    held, place = script.carried(secure=secure, cookies=[cookie], alone=own)
    if held is None:
        return
    fields = [
        (b"cookie", cookie.encode("latin-1")),
        *((b"queue-token", token.encode()) for token in own),
    ]
    check_carried(fields, held, place, secure=secure)


def test_fields_that_carry_a_pass(script: Script) -> None:
    cookie, place = f"a=b; pass-sale-1={PASS}", f"queue-sale-1={PLACE}"
    one, both, none = (PASS, None), (PASS, PLACE), (None, None)
    cases: list[tuple[dict[str, Any], object]] = [
        ({"cookies": [cookie]}, one),
        ({"cookies": [f"{place};{cookie} "]}, both),
        ({"cookies": [f"\t{' ' * 50_000}{cookie}{' ' * 50_000}\t"]}, one),
        (
            {"cookies": [f"__Host-pass-sale-1={PASS}; __Host-{place}"], "schemes": ["https"]},
            both,
        ),
        ({"alone": [PASS], "cookies": ["a=b", "c=d"]}, one),
        ({"cookies": [cookie], "schemes": ["https"]}, none),
        ({"cookies": [cookie], "schemes": []}, none),
        ({"cookies": [cookie], "schemes": ["http", "http"]}, none),
        ({"cookies": [cookie], "schemes": ["HTTP"]}, none),
        ({"cookies": [cookie, "c=d"]}, none),
        ({"cookies": [f"{cookie}; {place}; {place}"]}, none),
        ({"alone": [PASS, PASS]}, none),
        ({"alone": [PASS], "cookies": [place]}, none),
        ({"alone": [PASS], "cookies": ["a=b", cookie]}, none),
        ({"alone": [""], "cookies": [cookie]}, none),
        ({"alone": [f"{PASS}, {PASS}"]}, none),
        ({}, none),
    ]
    assert [script.carried(**fields) for fields, _ in cases] == [found for _, found in cases]


@given(token=texts("A", "-", "_", ".", "=", SIGNATURE, "AAAA", most=6))
@example(token=PASS)
@example(token=PASS + "\n")
@example(token=PASS[:-1] + "R")
@example(token=PASS[:-2] + "Q")
@example(token=PASS + "A")
@example(token=PASS + "=")
@example(token="A" * 2000 + "." + PASS)
@example(token="A" * 1000 + "." + "A" * 959 + "." + SIGNATURE)
@example(token="A" * 1000 + "." + "A" * 960 + "." + SIGNATURE)
@example(token="A" * 1000 + "." + "A" * 961 + "." + SIGNATURE)
@example(token=f"A.A.{SIGNATURE}")
def test_a_token_that_is_carried_has_its_one_spelling(script: Script, token: str) -> None:
    held, _ = script.carried(alone=[token])
    if held is not None:
        assert len(held) <= 2048
        check_one_spelling(token)


# --- what the pass says


@given(st.binary(max_size=80))
def test_what_was_encoded_is_decoded(script: Script, content: bytes) -> None:
    assert script("decoded", encode_segment(content).decode()).encode("latin-1") == content


@given(texts("A", "=", "+", "\n", most=9))
def test_what_is_no_base64_is_not_decoded(script: Script, text: str) -> None:
    plain = re.fullmatch(r"[A-Za-z0-9+/_-]*={0,2}", text) is not None
    assert (script("decoded", text) is not None) == plain


@pytest.mark.parametrize(
    ("r", "s"),
    [(1, 1), (0x7F, 0x80), (2**255, 2**248 - 1), (2**247, 2**256 - 1), (2**256 - 1, 2**8)],
)
def test_numbers_of_every_length_are_written_as_asn1_has_them(
    script: Script, r: int, s: int
) -> None:
    raw = (r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode("latin-1")
    assert decode_dss_signature(script("in_asn1", raw).encode("latin-1")) == (r, s)


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1))
def test_a_signature_is_written_as_asn1_has_it(script: Script, r: int, s: int) -> None:
    raw = (r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode("latin-1")
    assert decode_dss_signature(script("in_asn1", raw).encode("latin-1")) == (r, s)


@given(changes=CHANGES)
@example(changes={})
@example(changes={"pos": 2**53})
@example(changes={"pos": 10**15 - 1})
@example(changes={"pos": 10**15})
@example(changes={"gen": 10**15})
@example(changes={"iat": 10**12})
@example(changes={"exp": 10**12})
@example(changes={"sub": "a" * 65})
def test_claims_that_are_taken_are_the_gateways_own(
    script: Script, changes: dict[str, object]
) -> None:
    payload = payload_of(changes)
    said = script("claims", payload)
    if said is None:
        assert changes
        return
    claims = claims_of(payload)
    assert dict(said) == said_by(claims)
    assert max(claims.position, claims.generation) < 10**15
    assert max(claims.issued_at, claims.expires_at) < 10**12
    assert len(claims.visitor) <= 64


def test_no_other_text_is_taken_as_claims(script: Script) -> None:
    others = no_payloads("\xef\xbb\xbf")
    assert script("claims", payload_of({})) is not None
    assert [script("claims", other) for other in others] == [None] * len(others)


@given(SECONDS, NEAR, NEAR, st.integers(1, 3), st.integers(0, 3))
@example(1000, 60, 61, 1, 1)
@example(1000, 61, 70, 1, 1)
@example(1000, -10, 0, 1, 1)
@example(1000, 5, 5, 1, 1)
@example(1000, -10, 1, 2, 1)
def test_a_pass_that_counts_counts_at_the_gateway(
    script: Script, now: int, issued: int, ends: int, of: int, life: int
) -> None:
    said = {"issued": now + issued, "ends": now + ends, "generation": str(of)}
    expected = counts_at_the_gateway(now, issued, ends, of, life)
    assert script("counts", script.table(said), life, now) == expected


# --- what was told


@pytest.mark.parametrize(("good_until", "good_for", "here", "expected"), HOLDS)
def test_what_was_told_holds_for_as_long_as_it_says_and_not_before(
    script: Script, good_until: int, good_for: int, here: int, expected: bool
) -> None:
    known = script.table({"good-until": good_until, "good-for": good_for})
    assert script("holds", known, here) is expected


def test_what_is_written_is_what_the_script_reads(script: Script, tmp_path: Path) -> None:
    files = KnownFiles(tmp_path)
    files.set_up()
    known = Knowledge(7, {3: 9}, {KID: KEY}, clock_ahead_s=-2)
    files.write(known, good_until_s=1_800_000_005, good_for_s=5)
    text = files.known.read_text()
    told = dict(script("told", text))
    passes, places = dict(told.pop("passes")), dict(told.pop("places"))
    assert told == {
        **{"generation": 7, "clock-ahead": -2},
        **{"good-for": 5, "good-until": 1_800_000_005},
    }
    assert list(passes) == [pass_head(KID)]
    assert load_der_public_key(passes[pass_head(KID)].encode("latin-1")) == KEY
    assert places == {place_head(KID): True}
    # Of what is cut off at the end of a line nobody can tell; that is why it is written in one step.
    cut = [text[:at] for at in range(len(text)) if not text[:at].endswith("\n")]
    odd = [text.replace("7", "7 "), text.replace("good-for", "Good-for"), text + "\n", "\n" + text]
    assert [script("told", some) for some in (*cut, *odd)] == [None] * len([*cut, *odd])


# --- all of it, with what Envoy's handle does


class Headers:
    """Fields as Envoy's script has them."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self.fields = fields

    def get(self, name: str) -> str | None:
        found = self.fields.get(name)
        return None if found is None else ",".join(found)

    def getNumValues(self, name: str) -> int:
        return len(self.fields.get(name, []))

    def getAtIndex(self, name: str, at: int) -> str:
        return self.fields[name][int(at)]

    def replace(self, name: str, value: str) -> None:
        self.fields[name] = [value]


class Handle:
    """A request in Envoy; what the script sets is in `metadata`, and what it logs in `said`."""

    def __init__(self, fields: dict[str, list[str]], fails: str = "") -> None:
        self.fields = Headers(fields)
        self.fails = fails
        self.metadata: dict[tuple[str, str], object] = {}
        self.said: list[str] = []
        self.verified = 0

    def _may(self, name: str) -> None:
        if name == self.fails:
            raise RuntimeError(name)

    def headers(self) -> Headers:
        self._may("headers")
        return self.fields

    def timestamp(self) -> int:
        self._may("timestamp")
        return int(time.time() * 1000)

    def importPublicKey(self, der: str, length: int) -> "Handle.Key":
        self._may("importPublicKey")
        assert len(der) == length
        return Handle.Key(der)

    def verifySignature(self, by: str, der: str, asn1: str, a: int, message: str, m: int) -> bool:
        self._may("verifySignature")
        assert (by, len(asn1), len(message)) == ("sha256", a, m)
        self.verified += 1
        key: Any = load_der_public_key(der.encode("latin-1"))
        try:
            key.verify(asn1.encode("latin-1"), message.encode("latin-1"), ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    def streamInfo(self) -> "Handle":
        self._may("streamInfo")
        return self

    def dynamicMetadata(self) -> "Handle":
        return self

    def set(self, space: str, name: str, value: object) -> None:
        self._may("set")
        self.metadata[space, name] = value

    def logWarn(self, text: str) -> None:
        self.said.append(text)

    class Key:
        def __init__(self, der: str) -> None:
            self.der = der

        def get(self) -> str:
            return self.der


ADMITTED = {("admission", "verified"): True}


@pytest.fixture
def knowing(script: Script) -> Iterator[KnownFiles]:
    script.folder.sync(good_for_s=300).tell(Knowledge(5, {7: 1}, {KID: KEY}), read_at_s=time.time())
    files = KnownFiles(script.folder.folder)
    yield files
    files.set_up()


def held(**changes: Any) -> str:
    now = int(time.time())
    payload = payload_of({"iat": now, "exp": now + 600, **changes})
    segment = encode_segment(payload.encode()).decode()
    message = f"{pass_head(KID)}.{segment}"
    signature = ECAlgorithm(ECAlgorithm.SHA256).sign(message.encode(), PRIVATE)
    return f"{message}.{encode_segment(signature).decode()}"


def judged(script: Script, token: str, fails: str = "", **changes: list[str]) -> Handle:
    fields = {
        ":method": ["GET"],
        ":path": ["/book"],
        ":authority": ["shop.example"],
        "x-forwarded-proto": ["http"],
        "cookie": [f"pass-sale-1={token}"],
    }
    handle = Handle(fields | changes, fails)
    # Where Lua lets go of one of these objects meanwhile, lupa may take another one for it.
    collect = script.lua.globals().collectgarbage
    collect("collect")
    collect("stop")
    script.lua.globals().envoy_on_request(handle)
    collect("restart")
    return handle


def test_a_good_pass_is_admitted_and_verified_once(script: Script, knowing: KnownFiles) -> None:
    token = held(pos=3)
    first, second = judged(script, token), judged(script, token)
    assert (first.metadata, first.verified) == (ADMITTED, 1)
    assert (second.metadata, second.verified) == (ADMITTED, 0)
    told = [first.fields.fields[f"queue-{name}"] for name in ("event", "position", "visitor")]
    assert told == [["sale-1"], ["3"], ["v"]]


def test_every_signature_of_our_signers_is_good(script: Script, knowing: KnownFiles) -> None:
    assert all(judged(script, held(pos=at)).metadata == ADMITTED for at in range(100, 700))


def test_a_bad_signature_is_not_remembered(script: Script, knowing: KnownFiles) -> None:
    good, other = held(), held(pos=2)
    bad = f"{good.rpartition('.')[0]}.{other.rpartition('.')[2]}"
    for _ in range(2):
        found = judged(script, bad)
        assert (found.metadata, found.verified, found.said) == ({}, 1, [])


def test_no_more_is_remembered_than_has_its_place(script: Script, knowing: KnownFiles) -> None:
    text = (script.folder.folder / "admission.lua").read_text()
    few = text.replace("local REMEMBERED = 10000", "local REMEMBERED = 3")
    assert few != text
    script.lua.execute(few)
    try:
        tokens = [held(pos=at) for at in range(10, 17)]
        assert [judged(script, token).verified for token in tokens] == [1] * 7
        assert [judged(script, token).verified for token in tokens[3:]] == [0] * 4
        assert judged(script, tokens[0]).verified == 1
    finally:
        script.lua.execute(text)


@pytest.mark.parametrize(
    "fails",
    ["headers", "timestamp", "importPublicKey", "verifySignature", "streamInfo", "set"],
)
def test_whatever_fails_admits_nobody_and_is_said(
    script: Script, knowing: KnownFiles, fails: str
) -> None:
    found = judged(script, held(sub=f"of-{fails}"), fails)
    assert found.metadata == {}
    assert len(found.said) == 1


def test_each_request_is_judged_by_what_is_known_then(script: Script, knowing: KnownFiles) -> None:
    token, sync = held(), script.folder.sync(good_for_s=5)

    def expect(known: Knowledge, ago_s: int, found: dict[tuple[str, str], bool]) -> None:
        sync.tell(known, read_at_s=time.time() - ago_s)
        assert judged(script, token).metadata == found

    now = Knowledge(5, {}, {KID: KEY})
    expect(now, 0, ADMITTED)
    expect(now, 6, {})
    expect(now, -3600, {})
    expect(Knowledge(6, {}, {KID: KEY}), 0, {})
    expect(Knowledge(5, {}, {}), 0, {})
    expect(Knowledge(5, {}, {KID: KEY}, clock_ahead_s=601), 0, {})
    expect(Knowledge(5, {}, {KID: KEY}, clock_ahead_s=-120), 0, {})
    expect(Knowledge(5, {}, {KID: KEY}, clock_ahead_s=590), 0, ADMITTED)
    expect(Knowledge(5, {1: 9}, {KID: KEY}), 0, {})
    knowing.forget("5-1")


def test_who_was_ended_is_asked_about_though_it_was_verified(
    script: Script, knowing: KnownFiles
) -> None:
    token = held(pos=8)
    assert judged(script, held(pos=7)).metadata == {}
    assert judged(script, token).metadata == ADMITTED
    knowing.end("5-8")
    assert judged(script, token).metadata == {}
    knowing.forget("5-8")
    assert judged(script, token).metadata == ADMITTED


def test_who_cannot_be_looked_up_among_the_ended_is_asked_about(
    script: Script, knowing: KnownFiles
) -> None:
    token = held(pos=9)
    assert judged(script, token).metadata == ADMITTED
    file = knowing.ended / "5-9"
    # Whoever the tests run as: nobody can open a link to itself.
    file.symlink_to(file)
    try:
        found = judged(script, token)
        assert (found.metadata, len(found.said)) == ({}, 1)
    finally:
        file.unlink()


def test_a_second_pass_in_the_queues_cookie_is_asked_about(
    script: Script, knowing: KnownFiles
) -> None:
    token, other = held(), held(pos=2)
    for beside, expected in ((PLACE, ADMITTED), (other, {}), ("", {}), ("x", {})):
        cookie = f"pass-sale-1={token}; queue-sale-1={beside}"
        assert judged(script, token, cookie=[cookie]).metadata == expected
