"""What is Envoy's own: a script that reads files at each request, what skips the question, TLS, HTTP/2."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
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
from tests.support.line_speed import (
    ENVOY_VERIFIES,
    Asked,
    AskedOverTls,
    Syncing,
    Verifier,
    verifying_front,
)
from tests.support.minting import Mint
from tests.support.servers import free_port
from tests.support.staging import Stage


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return ENVOY_VERIFIES


def tell(folder: ProxyFolder, stage: Stage, keys: Mapping[str, PublicKey]) -> None:
    known = Knowledge(stage.generation, {}, keys)
    folder.sync(good_for_s=300).tell(known, read_at_s=time.time())


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
    what: str, common_lone: tuple[Front, ProxyFolder], told: Asked
) -> None:
    reached = len(common_lone[0].site.seen)
    was_asked, reply = told.of(FORGED[what])
    assert (was_asked, reply.status) == (True, 401)
    assert len(common_lone[0].site.seen) == reached


def test_the_site_hears_of_the_pass_and_not_what_the_visitor_says_beside_it(
    common_lone: tuple[Front, ProxyFolder], told: Asked, common_stage: Stage, told_held: str
) -> None:
    said = [("queue-token", told_held), ("Queue-Position", "99"), ("QUEUE-x", "1")]
    assert told.of([*said, ("queue-visitor", "somebody"), ("queue_event", "other")])[0] is False
    fields = common_lone[0].site.last.queue_headers
    assert (fields["queue-event"], fields["queue-position"]) == (common_stage.event, "1")
    assert fields["queue-visitor"] != "somebody"
    assert set(fields) == {"queue-event", "queue-position", "queue-visitor"}


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
    name = f"pass-{stage.event}"
    folder = _OverTls(place / "h")
    was_asked = AskedOverTls(door, stage, _OverTls.port, place / "ca.pem")
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
def http2(common_lone: tuple[Front, ProxyFolder], files: KnownFiles, common_stage: Stage) -> Http2:
    curl = shutil.which("curl")
    about = "" if curl is None else subprocess.check_output([curl, "--version"], text=True)
    if "HTTP2" not in about:
        pytest.skip("there is no curl with HTTP/2 on this machine")
    return Http2(common_lone[0], common_stage)


def test_over_http2_a_pass_is_admitted_as_strictly(
    http2: Http2, common_lone: tuple[Front, ProxyFolder], common_stage: Stage, told_held: str
) -> None:
    stage, held = common_stage, told_held
    name = f"pass-{stage.event}"
    cookie = f"cookie: {name}={held}"
    other = stage.mint.held(stage.event, stage.generation, 2)
    assert http2(cookie) == (False, "2 200")
    # One cookie in each of several fields, as browsers send them there, is one Cookie field.
    assert http2("cookie: a=b", cookie, "cookie: c=d") == (False, "2 200")
    assert common_lone[0].site.last.queue_headers["queue-position"] == "1"
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
