"""What is Envoy's own: a script that reads files at each request, what skips the question, TLS, HTTP/2."""

import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.proxyconfig import Addresses, EnvoyFolder, Knowledge, ProxyFolder, Subject
from gateway.proxyconfig.known_files import KnownFiles
from gateway.tokens.keyring import KeyRing
from gateway.tokens.keys import PublicKey
from tests.support.certificates import Authority
from tests.support.fronted import Door
from tests.support.fronts import Front
from tests.support.gateways import BACKEND_BODY, Gateway
from tests.support.known_faults import FAULTS
from tests.support.line_speed import ENVOY_VERIFIES, Asked, Syncing, Verifier, verifying_front
from tests.support.minting import Mint, now_s
from tests.support.replies import ask
from tests.support.servers import free_port
from tests.support.staging import Stage


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return ENVOY_VERIFIES


@pytest.fixture(scope="module")
def lone(
    gateway: Gateway, common_stage: Stage, door: Door, short_folder: Path
) -> Iterator[tuple[Front, EnvoyFolder]]:
    """A proxy that tests share, which nobody keeps fresh."""
    place = Path(tempfile.mkdtemp(prefix="line-", dir=short_folder)) / "h"
    with verifying_front(ENVOY_VERIFIES, gateway, door, place, common_stage.event) as running:
        yield running, EnvoyFolder(place)


@pytest.fixture
def files(lone: tuple[Front, EnvoyFolder], common_stage: Stage, mint: Mint) -> Iterator[KnownFiles]:
    """The files of the proxy that tests share: it was told all once, and knows it for minutes."""
    files = KnownFiles(lone[1].folder)
    tell(lone[1], common_stage, KeyRing.load(mint.folder).public_keys())
    yield files
    if files.known.is_dir():
        files.known.rmdir()
    files.known.unlink(missing_ok=True)
    files.ended.mkdir(exist_ok=True)


@pytest.fixture
def told(lone: tuple[Front, EnvoyFolder], common_stage: Stage, files: KnownFiles) -> Asked:
    return Asked(lone[0], common_stage)


@pytest.fixture
def told_held(common_stage: Stage) -> str:
    return common_stage.mint.held(common_stage.event, common_stage.generation)


def tell(folder: ProxyFolder, stage: Stage, keys: Mapping[str, PublicKey]) -> None:
    known = Knowledge(stage.generation, {}, keys)
    folder.sync(good_for_s=300).tell(known, read_at_s=time.time())


# --- what is known


def test_a_new_key_counts_at_once_and_a_removed_one_no_longer_without_a_restart(
    lone: tuple[Front, EnvoyFolder],
    told: Asked,
    common_stage: Stage,
    mint: Mint,
    told_held: str,
    short_folder: Path,
) -> None:
    stage = common_stage
    later = Mint(Path(tempfile.mkdtemp(prefix="later-", dir=short_folder)) / "keys")
    old, new = (KeyRing.load(place.folder).public_keys() for place in (mint, later))
    by_new = later.held(stage.event, stage.generation)
    for keys, of_old, of_new in (
        (old, False, True),
        ({**old, **new}, False, False),
        (new, True, False),
        (old, False, True),
    ):
        tell(lone[1], stage, keys)
        assert (told(told_held)[0], told(by_new)[0]) == (of_old, of_new)


def test_a_signature_that_was_remembered_is_one_by_that_key_only(
    told: Asked, told_held: str, files: KnownFiles, short_folder: Path
) -> None:
    other = Mint(Path(tempfile.mkdtemp(prefix="other-", dir=short_folder)) / "keys")
    (key,) = KeyRing.load(other.folder).public_keys().values()
    strange = KnownFiles(Path(tempfile.mkdtemp(prefix="strange-", dir=short_folder)))
    strange.set_up()
    strange.write(Knowledge(1, {}, {"any": key}), good_until_s=1, good_for_s=1)
    spki = strange.known.read_text().split(" ")[-2].split("\n")[0]
    assert told(told_held)[0] is False
    lines = files.known.read_text().splitlines()
    head = told_held.partition(".")[0]
    changed = [
        f"pass {head} {spki}" if line.startswith(f"pass {head} ") else line for line in lines
    ]
    assert changed != lines
    files.known.write_text("\n".join(changed) + "\n")
    assert told(told_held)[0] is True


def test_many_ended_sessions_are_told_and_forgotten(
    stage: Stage, mint: Mint, lone_front: Front, folder: ProxyFolder
) -> None:
    asked, keys = Asked(lone_front, stage), KeyRing.load(mint.folder).public_keys()
    sync = folder.sync(good_for_s=300)

    def refused(*positions: int) -> list[bool]:
        return [asked(mint.held(stage.event, stage.generation, at))[0] for at in positions]

    def tell(ended: range, at_s: float) -> None:
        known = Knowledge(stage.generation, dict.fromkeys(ended, now_s() + 600), keys)
        sync.tell(known, read_at_s=at_s)

    start_s = time.time()
    tell(range(1, 2001), start_s - 120)
    assert refused(1, 1000, 2000, 2001) == [True, True, True, False]
    # Their passes have died by themselves; a minute later so have their files.
    tell(range(1990, 2001), start_s - 90)
    tell(range(1990, 2001), start_s)
    assert refused(1, 1989, 1990, 2000) == [False, False, True, True]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_read_or_understood_means_asking(
    fault: str, told: Asked, files: KnownFiles, told_held: str
) -> None:
    assert told(told_held)[0] is False
    FAULTS[fault](files)
    was_asked, reply = told(told_held)
    assert (was_asked, reply.status, reply.body) == (True, 200, BACKEND_BODY)


def test_what_cannot_be_read_while_the_gateway_is_away_lets_nobody_in(
    lone: tuple[Front, EnvoyFolder], told: Asked, files: KnownFiles, told_held: str
) -> None:
    front, _ = lone
    with front.wire.refusing():
        assert told(told_held)[1].status == 200
        reached = len(front.site.seen)
        files.known.unlink()
        away = told(told_held)[1]
        assert (away.status, away.header("retry-after")) == (503, "5")
        assert len(front.site.seen) == reached


# --- what skips the question


class _Broken(EnvoyFolder):
    """Envoy with a fault in its script, at a place that each request comes to."""

    at = ""

    def set_up(self, subject: Subject, addresses: Addresses, keys: Mapping[str, PublicKey]) -> None:
        super().set_up(subject, addresses, keys)
        script = self.folder / "admission.lua"
        text = script.read_text()
        assert text.count(self.at) == 1
        script.write_text(text.replace(self.at, f'{self.at}\n  error("broken")'))


class _BrokenAtTheBegin(_Broken):
    at = "local function judge(handle)"


class _BrokenAtTheEnd(_Broken):
    at = '  headers:replace("queue-visitor", said.visitor)'


class _BrokenOutside(_Broken):
    at = "function envoy_on_request(handle)"


@pytest.mark.parametrize("broken", [_BrokenAtTheBegin, _BrokenAtTheEnd, _BrokenOutside])
def test_an_error_of_the_script_means_asking(
    broken: type[_Broken],
    gateway: Gateway,
    common_stage: Stage,
    door: Door,
    short_folder: Path,
    mint: Mint,
) -> None:
    stage = common_stage
    folder = broken(Path(tempfile.mkdtemp(prefix="broken-", dir=short_folder)) / "h")
    verifier = replace(ENVOY_VERIFIES, folder=broken)
    held = stage.mint.held(stage.event, stage.generation)
    with verifying_front(verifier, gateway, door, folder.folder, stage.event) as front:
        tell(folder, stage, KeyRing.load(mint.folder).public_keys())
        asked = Asked(front, stage)
        was_asked, reply = asked(held)
        assert (was_asked, reply.status, reply.body) == (True, 200, BACKEND_BODY)
        was_asked, reply = asked.of([("queue-position", "7"), ("queue_position", "7")])
        assert (was_asked, reply.status) == (True, 401)
        asked.of([("queue-position", "7"), ("queue_position", "7")], "/assets/x.css")
        assert front.site.last.queue_headers["queue-position"] == ""


FORGED: dict[str, list[tuple[str, str]]] = {
    "what the script sets": [("admission", "verified"), ("verified", "true")],
    "what the site is told": [
        ("queue-event", "sale-1"),
        ("queue-position", "1"),
        ("queue-visitor", "somebody"),
    ],
    "fields of Envoy's": [
        ("x-envoy-internal", "true"),
        ("x-envoy-decorator-operation", "admission"),
        ("x-envoy-original-path", "/assets/x.css"),
        ("x-envoy-auth-partial-body", "true"),
        ("x-ext-authz-check-result", "allowed"),
    ],
}


@pytest.mark.parametrize("what", FORGED)
def test_nothing_that_a_visitor_says_skips_the_question(
    what: str, lone: tuple[Front, EnvoyFolder], told: Asked
) -> None:
    reached = len(lone[0].site.seen)
    was_asked, reply = told.of(FORGED[what])
    assert (was_asked, reply.status) == (True, 401)
    assert len(lone[0].site.seen) == reached


def test_the_site_hears_of_the_pass_and_not_what_the_visitor_says_beside_it(
    lone: tuple[Front, EnvoyFolder], told: Asked, common_stage: Stage, told_held: str
) -> None:
    said = [("queue-token", told_held), ("Queue-Position", "99"), ("QUEUE-x", "1")]
    assert told.of([*said, ("queue-visitor", "somebody"), ("queue_event", "other")])[0] is False
    fields = lone[0].site.last.queue_headers
    assert (fields["queue-event"], fields["queue-position"]) == (common_stage.event, "1")
    assert fields["queue-visitor"] != "somebody"
    assert set(fields) == {"queue-event", "queue-position", "queue-visitor"}


def test_the_host_must_be_the_events(
    lone: tuple[Front, EnvoyFolder], common_stage: Stage, files: KnownFiles, told_held: str
) -> None:
    front, _ = lone
    own = common_stage.host
    for host, expected in (
        (own, False),
        (own.upper(), False),
        (f"{own}:80", False),
        (f"{own}.", True),
        (f"www.{own}", True),
        (f"{own}:123456", True),
        ("sale-219.example", True),
    ):
        before = front.door.count("/auth")
        cookie = f"to={host}; pass-{common_stage.event}={told_held}"
        ask(front.port, "GET", "/book", [("host", host), ("cookie", cookie)])
        assert (front.door.count("/auth") > before) is expected, host


# --- TLS and HTTP/2


class _OverTls(EnvoyFolder):
    """Envoy that listens with a certificate too."""

    port = 0
    certificate = private = Path()

    def set_up(self, subject: Subject, addresses: Addresses, keys: Mapping[str, PublicKey]) -> None:
        super().set_up(subject, addresses, keys)
        document: dict[str, Any] = yaml.safe_load(self.config.read_text())
        listeners = document["static_resources"]["listeners"]
        secure = deepcopy(listeners[0])
        secure["name"] = "secure"
        secure["address"]["socket_address"]["port_value"] = self.port
        kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
        files = {
            "certificate_chain": {"filename": str(self.certificate)},
            "private_key": {"filename": str(self.private)},
        }
        secure["filter_chains"][0]["transport_socket"] = {
            "name": "tls",
            "typed_config": {"@type": kind, "common_tls_context": {"tls_certificates": [files]}},
        }
        listeners.append(secure)
        self.config.write_text(yaml.safe_dump(document))


def test_over_tls_the_cookie_is_the_one_with_the_prefix(
    gateway: Gateway, common_stage: Stage, door: Door, short_folder: Path, told_held: str
) -> None:
    stage, held = common_stage, told_held
    place = Path(tempfile.mkdtemp(prefix="tls-", dir=short_folder))
    _OverTls.certificate, _OverTls.private = Authority(place).sign("localhost")
    _OverTls.port = free_port()
    trust = ssl.create_default_context(cafile=str(place / "ca.pem"))
    name = f"pass-{stage.event}"
    folder = _OverTls(place / "h")

    def was_asked(cookie: str, *fields: tuple[str, str]) -> bool:
        before = door.count("/auth")
        connection = HTTPSConnection("localhost", _OverTls.port, context=trust, timeout=20)
        headers = {"host": stage.host, "cookie": cookie, **dict(fields)}
        connection.request("GET", "/book", headers=headers)
        connection.getresponse().read()
        connection.close()
        return door.count("/auth") > before

    verifier = replace(ENVOY_VERIFIES, folder=_OverTls)
    with (
        verifying_front(verifier, gateway, door, folder.folder, stage.event) as front,
        Syncing(gateway, stage.event, folder).running(),
    ):
        assert was_asked(f"__Host-{name}={held}") is False
        assert was_asked(f"{name}={held}") is True
        assert was_asked(f"__Host-{name}={held}; {name}={held}") is True
        # What the visitor says of the scheme is not what counts.
        assert was_asked(f"{name}={held}", ("x-forwarded-proto", "http")) is True
        asked = Asked(front, stage)
        plain = [("cookie", f"__Host-{name}={held}"), ("x-forwarded-proto", "https")]
        assert asked.of(plain)[0] is True


class Http2:
    """curl, which speaks HTTP/2 without TLS and sends fields as they are given."""

    def __init__(self, front: Front, stage: Stage) -> None:
        self._front = front
        self._stage = stage

    def __call__(self, *fields: str, target: str = "/book", host: str = "") -> tuple[bool, str]:
        before = self._front.door.count("/auth")
        url = f"http://127.0.0.1:{self._front.port}{target}"
        words = [
            word
            for field in (f"host: {host or self._stage.host}", *fields)
            for word in ("-H", field)
        ]
        command = ["curl", "-sS", "--http2-prior-knowledge", "--path-as-is", "-o", "/dev/null"]
        done = subprocess.run(
            [*command, "-w", "%{http_version} %{http_code}", *words, url],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return self._front.door.count("/auth") > before, done.stdout


@pytest.fixture
def http2(lone: tuple[Front, EnvoyFolder], files: KnownFiles, common_stage: Stage) -> Http2:
    curl = shutil.which("curl")
    about = "" if curl is None else subprocess.check_output([curl, "--version"], text=True)
    if "HTTP2" not in about:
        pytest.skip("there is no curl with HTTP/2 on this machine")
    return Http2(lone[0], common_stage)


def test_over_http2_a_pass_is_admitted_as_strictly(
    http2: Http2, lone: tuple[Front, EnvoyFolder], common_stage: Stage, told_held: str
) -> None:
    stage, held = common_stage, told_held
    name = f"pass-{stage.event}"
    cookie = f"cookie: {name}={held}"
    other = stage.mint.held(stage.event, stage.generation, 2)
    assert http2(cookie) == (False, "2 200")
    # One cookie in each of several fields, as browsers send them there, is one Cookie field.
    assert http2("cookie: a=b", cookie, "cookie: c=d") == (False, "2 200")
    assert lone[0].site.last.queue_headers["queue-position"] == "1"
    assert http2(f"queue-token: {held}") == (False, "2 200")
    for fields in (
        (cookie, f"cookie: {name}={other}"),
        (cookie, f"queue-token: {other}"),
        (f"queue-token: {held}", f"queue-token: {other}"),
        (cookie, f"authorization: Bearer {other}"),
        (f"cookie: {name}={held}x",),
        (f"cookie: __Host-{name}={held}",),
    ):
        was_asked, said = http2(*fields)
        assert was_asked, fields
        assert said in ("2 400", "2 401"), fields
    assert http2(cookie, host="sale-219.example")[0] is True
    for target in ("/book/../x", "//book", "/b%6fok", "/book/."):
        assert http2(cookie, target=target) == (True, "2 400"), target
