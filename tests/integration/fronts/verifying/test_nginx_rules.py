"""What the rules of nginx's script let through, held against the gateway's own readers: never wider.

The rules run in nginx's own engine; one request carries many cases.
"""

import http.client
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.domain.targets import canonical_host, canonical_target
from gateway.proxyconfig import Knowledge, NginxFolder
from gateway.proxyconfig.knowledge import pass_head, place_head
from gateway.proxyconfig.known_files import KnownFiles
from tests.support.eventually import eventually
from tests.support.line_speed import NGINX_VERIFIES
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
from tests.support.servers import free_port

MODULE = "/usr/lib/nginx/modules/ngx_http_js_module.so"

_DRIVER = """\
import admission from '@FOLDER@/admission.js';

function run(r) {
    const calls = JSON.parse(r.requestText);
    r.return(200, JSON.stringify(calls.map((call) => admission[call[0]].apply(null, call[1]))));
}

export default { run };
"""

_MAIN = """\
load_module @MODULE@;
daemon off;
worker_processes 1;
pid @FOLDER@/nginx.pid;
error_log @FOLDER@/error.log;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path @FOLDER@/body;
    proxy_temp_path @FOLDER@/proxy;
    fastcgi_temp_path @FOLDER@/fastcgi;
    uwsgi_temp_path @FOLDER@/uwsgi;
    scgi_temp_path @FOLDER@/scgi;
    client_max_body_size 10m;
    client_body_buffer_size 10m;
    js_import driver from @FOLDER@/driver.js;
    server {
        listen 127.0.0.1:@PORT@;
        location / { js_content driver.run; }
    }
}
"""

Rules = Callable[[str, Sequence[Sequence[Any]]], list[Any]]


@pytest.fixture(scope="module")
def rules(short_folder: Path) -> Iterator[Rules]:
    """Calls a rule with each of many arguments."""
    program = NGINX_VERIFIES.kind.program
    if program is None:
        pytest.skip("there is no nginx on this machine")
    NGINX_VERIFIES.skip_where_it_cannot()
    place = Path(tempfile.mkdtemp(prefix="rules-", dir=short_folder))
    for way in (short_folder, place):
        way.chmod(0o711)
    NginxFolder(place).set_up(SUBJECT, ADDRESSES, {})
    port = free_port()
    for name, text in (("driver.js", _DRIVER), ("rules.conf", _MAIN)):
        for key, value in (("FOLDER", str(place)), ("PORT", str(port)), ("MODULE", MODULE)):
            text = text.replace(f"@{key}@", value)
        (place / name).write_text(text)
    command = [program, "-c", str(place / "rules.conf"), "-e", str(place / "error.log")]
    with ExitStack() as stack:
        process = Popen(command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.terminate)

        def call(rule: str, cases: Sequence[Sequence[Any]]) -> list[Any]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            try:
                connection.request("POST", "/", json.dumps([[rule, case] for case in cases]))
                reply = connection.getresponse()
                body = reply.read()
                assert reply.status == 200, (place / "error.log").read_text()
                answers: list[Any] = json.loads(body)
                return answers
            finally:
                connection.close()

        def answers() -> bool:
            assert process.poll() is None, (place / "error.log").read_text()
            try:
                return call("holds", []) == []
            except OSError:
                return False

        eventually(answers)
        yield call


def texts(*pieces: str, most: int = 12) -> st.SearchStrategy[list[str]]:
    """Return many strings made of these pieces and of single characters."""
    single = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
    one = st.lists(st.one_of(st.sampled_from(pieces), single), max_size=most).map("".join)
    return st.lists(one, max_size=40)


def request(target: str = "/book", host: str = "shop.example", **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "headers": [["Host", host]],
        "line": f"GET {target} HTTP/1.1",
        "method": "GET",
        "protocol": "HTTP/1.1",
        "secure": False,
        "target": target,
    }
    return made | changes


FEW = settings(max_examples=25, deadline=None)


@FEW
@given(
    cases=texts("/", "//", "/.", "/..", ".", "..", "%2f", "%2e", ";", "\\", "?", "#", "/book", "a")
)
@example(
    cases=[
        "/",
        "/book/..",
        "/book?x=/../",
        "//book",
        "/b/.",
        "/...",
        "/.well-known/x",
        "/a\n",
        "/é",
    ]
)
@example(cases=["/?#", "/?a b", "/?\u00e9", "/?\x7f", "/?\n"])
@example(cases=["/" + "a" * 8191, "/" + "a" * 8192, "/a" * 4096, "/a" * 4097])
def test_a_target_that_is_readable_has_one_reading(rules: Rules, cases: list[str]) -> None:
    for target, readable in zip(
        cases, rules("readable", [[request(target)] for target in cases]), strict=True
    ):
        if readable:
            path, _, query = target.partition("?")
            assert canonical_target(path.encode(), query.encode()).path == path


PLAIN = ["/", "/book/7?seat=1&x=%2F", "/assets/", "/?", "/a~b/c.d'e", "/.well-known/x", "/a" * 4096]


def test_a_plain_target_is_readable(rules: Rules) -> None:
    assert rules("readable", [[request(target)] for target in PLAIN]) == [True] * len(PLAIN)


@FEW
@given(cases=texts("shop.example", "www.", ".", ":", "80", "SHOP", "@", "[", "]"))
@example(cases=["shop.example:443", "SHOP.example", "shopxexample", "shop.example.evil.example"])
@example(cases=["\u212ahop.example", "\u017fhop.example", "shop.example\n", "shop.example:123456"])
def test_a_host_that_is_readable_is_one_of_the_events(rules: Rules, cases: list[str]) -> None:
    for host, readable in zip(
        cases, rules("readable", [[request(host=host)] for host in cases]), strict=True
    ):
        if readable:
            assert canonical_host([host.encode()]) in SUBJECT.hosts


def test_a_request_is_readable_in_one_form_only(rules: Rules) -> None:
    host = ["Host", "www.shop.example:8080"]
    good = [
        request(),
        request(headers=[host]),
        request(headers=[host, ["Authorization", "Basic eDp5"], ["X-Bearer", "Bearer x"]]),
        request(method="DELETE", line="DELETE /book HTTP/1.1"),
        request(protocol="HTTP/2.0", line="GET /book HTTP/2.0"),
    ]
    bad = [
        request(headers=[]),
        request(headers=[host, host]),
        request(headers=[host, ["host", "shop.example"]]),
        request(headers=[host, ["AUTHORIZATION", "\t bEaReR x"]]),
        request(headers=[host, ["Authorization", "Basic a"], ["Authorization", "Basic b"]]),
        request(method="OPTIONS", line="OPTIONS /book HTTP/1.1"),
        request(method="get", line="get /book HTTP/1.1"),
        request(line="GET http://static.example/book HTTP/1.1"),
        request(line="GET /book"),
        request(line="POST /book HTTP/1.1"),
    ]
    assert rules("readable", [[one] for one in good]) == [True] * len(good)
    assert rules("readable", [[one] for one in bad]) == [False] * len(bad)


@FEW
@given(cases=texts(*COOKIE_PIECES, most=8), secure=st.booleans(), alone=st.booleans())
@example(
    cases=[
        f"pass-sale-1={PASS}",
        f"pass-sale-1={PLACE}",
        f"pass-sale-1={PASS}; pass-sale-1={OTHER}",
        f"pass-sale-1 ={OTHER}; pass-sale-1={PASS}",
        f'x="; pass-sale-1={PASS}"',
        f"pass-sale-1={PASS}; queue-sale-1={OTHER}; queue-sale-1={PLACE}",
        f"\u00a0pass-sale-1={PASS}",
        f"\x0bpass-sale-1={PASS}",
    ],
    secure=False,
    alone=False,
)
@example(cases=[f"__Host-pass-sale-1={PASS}; queue-sale-1={PLACE}"], secure=True, alone=False)
@example(cases=["", f"pass-sale-1={PASS}", "x=1"], secure=False, alone=True)
def test_what_is_carried_is_one_pass_for_the_gateway_too(
    rules: Rules, cases: list[str], secure: bool, alone: bool
) -> None:
    more = [["Queue-Token", OTHER]] if alone else []
    asked = [[[["Cookie", cookie], *more], secure] for cookie in cases]
    for cookie, found in zip(cases, rules("carried", asked), strict=True):
        if found is None:
            continue
        fields = [(b"cookie", cookie.encode()), *[(b"queue-token", OTHER.encode())] * alone]
        check_carried(fields, found["pass"], found["place"], secure=secure)


def test_fields_that_carry_a_pass(rules: Rules) -> None:
    cookie, place = f"a=b; pass-sale-1={PASS}", f"queue-sale-1={PLACE}"
    one, both = {"pass": PASS, "place": None}, {"pass": PASS, "place": PLACE}
    cases: list[tuple[list[list[str]], bool, object]] = [
        ([["cOOKIE", cookie]], False, one),
        ([["Cookie", f"{place};{cookie} "]], False, both),
        ([["Cookie", f"__Host-pass-sale-1={PASS}; __Host-{place}"]], True, both),
        ([["Queue-Token", PASS], ["Cookie", "a=b"], ["Cookie", "c=d"]], False, one),
        ([["Cookie", cookie]], True, None),
        ([["Cookie", cookie], ["Cookie", "c=d"]], False, None),
        ([["Cookie", f"{cookie}; {place}; {place}"]], False, None),
        ([["Queue-Token", PASS], ["Queue-Token", PASS]], False, None),
        ([["Queue-Token", PASS], ["Cookie", place]], False, None),
        ([["Queue-Token", ""], ["Cookie", cookie]], False, None),
        ([["Queue-Token", f"{PASS}, {PASS}"]], False, None),
        ([], False, None),
    ]
    found = rules("carried", [[headers, secure] for headers, secure, _ in cases])
    assert found == [expected for _, _, expected in cases]


def test_a_verdict_is_kept_under_the_second_the_pass_and_what_is_beside_it(rules: Rules) -> None:
    host = ["Host", "shop.example"]
    one = ["Cookie", f"a=b; pass-sale-1={PASS}"]
    both = ["Cookie", f"pass-sale-1={PASS}; queue-sale-1={PLACE}"]
    odd = ["Cookie", f"pass-sale-1={PASS}; queue-sale-1=a|b.c.d"]
    empty = ["Cookie", f"pass-sale-1={PASS}; queue-sale-1="]
    cases: list[tuple[dict[str, Any], str]] = [
        (request(headers=[host, one]), f"7|{PASS}|"),
        (request(headers=[host, ["Queue-Token", PASS]]), f"7|{PASS}|"),
        (request(headers=[host, both]), f"7|{PASS}|{place_head(KID)}"),
        (request(headers=[host, odd]), ""),
        (request(headers=[host, empty]), ""),
        (request(headers=[host]), ""),
        (request(headers=[one]), ""),
        (request(headers=[host, one], method="OPTIONS", line="OPTIONS /book HTTP/1.1"), ""),
    ]
    found = rules("looked_at", [[asked | {"secure": False}, 7] for asked, _ in cases])
    assert found == [expected for _, expected in cases]


@FEW
@given(cases=texts("A", "-", "_", ".", "=", SIGNATURE, "AAAA", most=6))
@example(cases=[PASS, PASS + "\n", PASS[:-1] + "R", "A" * 2000 + "." + PASS])
def test_a_token_that_is_carried_has_its_one_spelling(rules: Rules, cases: list[str]) -> None:
    asked = [[[["Queue-Token", token]], False] for token in cases]
    for token, found in zip(cases, rules("carried", asked), strict=True):
        if found is not None:
            check_one_spelling(token)


@FEW
@given(cases=st.lists(CHANGES, max_size=40))
@example(cases=[{}, {"pos": 2**53}, {"pos": 10**15 - 1}, {"exp": 10**12}])
def test_claims_that_are_taken_are_the_gateways_own(
    rules: Rules, cases: list[dict[str, object]]
) -> None:
    payloads = [payload_of(changes) for changes in cases]
    for payload, said, changes in zip(
        payloads, rules("claims", [[payload] for payload in payloads]), cases, strict=True
    ):
        if said is None:
            assert changes
            continue
        assert said == said_by(claims_of(payload))


def test_no_other_text_is_taken_as_claims(rules: Rules) -> None:
    others = no_payloads("\ufeff")
    assert rules("claims", [[payload_of({})]]) != [None]
    assert rules("claims", [[other] for other in others]) == [None] * len(others)


@FEW
@given(
    cases=st.lists(
        st.tuples(SECONDS, NEAR, NEAR, st.integers(1, 3), st.integers(0, 3)), max_size=60
    )
)
@example(cases=[(1000, 60, 61, 1, 1), (1000, 61, 70, 1, 1), (1000, -10, 0, 1, 1)])
@example(cases=[(1000, 5, 5, 1, 1), (1000, -10, 1, 1, 1), (1000, -10, 1, 2, 1)])
def test_a_pass_that_counts_counts_at_the_gateway(
    rules: Rules, cases: list[tuple[int, int, int, int, int]]
) -> None:
    for (now, issued, ends, of, life), counts in zip(
        cases,
        rules(
            "counts",
            [
                [{"issued": now + issued, "ends": now + ends, "generation": str(of)}, life, now]
                for now, issued, ends, of, life in cases
            ],
        ),
        strict=True,
    ):
        assert counts == counts_at_the_gateway(now, issued, ends, of, life)


def test_what_was_told_holds_for_as_long_as_it_says_and_not_before(rules: Rules) -> None:
    known = [{"good-until": until, "good-for": good_for} for until, good_for, _, _ in HOLDS]
    found = rules(
        "holds", [[told, here] for told, (_, _, here, _) in zip(known, HOLDS, strict=True)]
    )
    assert found == [expected for _, _, _, expected in HOLDS]


def test_what_is_written_is_what_the_script_reads(rules: Rules, tmp_path: Path) -> None:
    files = KnownFiles(tmp_path)
    files.set_up()
    known = Knowledge(7, {3: 9}, {KID: KEY}, clock_ahead_s=-2)
    files.write(known, good_until_s=1_800_000_005, good_for_s=5)
    text = files.known.read_text()
    (told,) = rules("told", [[text]])
    assert {name: told[name] for name in told if name not in ("passes", "places")} == {
        **{"generation": 7, "clock-ahead": -2},
        **{"good-for": 5, "good-until": 1_800_000_005},
    }
    assert list(told["passes"]) == [f".{pass_head(KID)}"]
    assert told["places"] == {f".{place_head(KID)}": True}
    # Of what is cut off at the end of a line nobody can tell; that is why it is written in one step.
    cut = [text[:at] for at in range(len(text)) if not text[:at].endswith("\n")]
    assert rules("told", [[some] for some in cut]) == [None] * len(cut)
    assert rules("told", [[text.replace("7", "7 ")], [text.replace("good-for", "Good-for")]]) == [
        None,
        None,
    ]
