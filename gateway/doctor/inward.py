"""What the gateway itself sees of a visitor, and how those behind it are: asked with `--config`."""

import ipaddress
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from gateway import __version__
from gateway.doctor.chain import Chain
from gateway.doctor.findings import Finding, Mending, fault, not_checked, ok, warning
from gateway.doctor.inside import Inside, NoDiagnosis
from gateway.doctor.interface import document_of
from gateway.doctor.mending import CLIENT_ADDRESS, HOST, LEDGER_STATE, SCHEME
from gateway.doctor.transport import judge_clock
from gateway.domain.positions import EventId
from gateway.domain.routes import OpenPath, Protected
from gateway.tokens.keyring import KeyState, list_keys

# Of TEST-NET-2 (RFC 5737): nobody's.
_NOBODYS_ADDRESS = "198.51.100.77"
_FORGED = (
    ("X-Forwarded-For", _NOBODYS_ADDRESS),
    ("X-Real-IP", _NOBODYS_ADDRESS),
    ("Forwarded", f"for={_NOBODYS_ADDRESS}"),
)
_TIMES_ASKED = 4
_SILENT_S = 10
_OLD_KEY_DAYS = 180
_DAY_S = 86_400

Seen = Mapping[str, Any]


def event_by_settings(chain: Chain, inside: Inside) -> EventId | None:
    """Return whose page the settings say it is."""
    match inside.designation(chain.wire.origin, chain.target):
        case Protected(events=(route, *_)) | OpenPath(event=route):
            return route.event
        case _:
            return None


def check_open(chain: Chain, inside: Inside) -> list[Finding]:
    """Say when the page is one that the settings open: then everybody seeing it is what is wanted."""
    if chain.is_shown and isinstance(inside.designation(chain.wire.origin, chain.target), OpenPath):
        advice = Mending("Give the doctor the URL of a page that needs a pass.")
        means = "the settings list it as open, so that it is shown says nothing"
        return [warning("page.open", f"{chain.target} needs no pass", means, advice)]
    return []


async def check_seen(chain: Chain, inside: Inside) -> list[Finding]:
    """Ask gateways what they saw of our requests."""
    check = "gateway.diagnosis"
    if chain.event is None:
        raise AssertionError("gateways are asked about an event")
    if not inside.names(chain.event, chain.queue.origin):
        means = "these settings are another site's, or the page leads visitors to a host of somebody else"
        advice = Mending(
            f"Name the host in [events.{chain.event}] hosts, or see who redirects there."
        )
        seen = f"{chain.queue.origin} is no host of {chain.event} by these settings; no code is sent there"
        return [fault(check, seen, means, advice)]
    try:
        began_s = time.time()
        plain = [await inside.diagnose(chain.queue, chain.event)]
        ended_s = time.time()
        plain += [await inside.diagnose(chain.queue, chain.event) for _ in range(_TIMES_ASKED - 1)]
        forged = await inside.diagnose(chain.queue, chain.event, _FORGED)
    except NoDiagnosis as exc:
        means = "what answers there has another ledger than these settings, or is an older gateway"
        advice = Mending(
            "Give the settings of the gateway that stands there: gateway --config FILE doctor …"
        )
        return [warning(check, str(exc), means, advice)]
    first = plain[0]
    return [
        ok(check, f"{len(plain) + 1} one-time questions were answered"),
        _address(chain, plain, forged),
        _scheme(chain, first),
        _host(chain, first),
        _mode(chain, plain),
        _versions(plain),
        *_clocks(first, began_s, ended_s),
    ]


def _address(chain: Chain, plain: Sequence[Seen], forged: Seen) -> Finding:
    check = "gateway.client-address"
    first = plain[0]
    address = str(first["address"])
    if _NOBODYS_ADDRESS in str(forged["address"]):
        means = (
            "visitors choose the address that their joins are counted by: the limits stop nobody"
        )
        seen = f"X-Forwarded-For: {_NOBODYS_ADDRESS} from a stranger, and the gateway believes it"
        return fault(check, seen, means, CLIENT_ADDRESS)
    if any(seen["shared"] for seen in plain):
        if first["unconfigured_proxy"] is not None:
            what = f"the proxy {first['unconfigured_proxy']} is not in [server] trusted_proxies"
        else:
            what = f"the trusted proxy {first['peer']} does not say whom it speaks for"
        means = "all visitors count as one: [joins] turns them away together, or nobody is limited"
        return fault(check, what, means, CLIENT_ADDRESS)
    if address != str(forged["address"]):
        seen = f"{address}, and {forged['address']} where the request claims another"
        return fault(check, seen, "visitors can choose what they count as", CLIENT_ADDRESS)
    if _is_private(address) and not _is_private(chain.wire.origin.host):
        means = "where you come from elsewhere, this is a proxy of yours, and all visitors are one"
        return warning(check, f"the gateway sees you as {address}", means, CLIENT_ADDRESS)
    return ok(check, f"the gateway sees you as {address}, whatever the request claims")


def _is_private(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_private
    except ValueError:
        return text == "localhost"


def _scheme(chain: Chain, seen: Seen) -> Finding:
    check = "gateway.scheme"
    told = "https" if seen["secure"] else "http"
    if told == chain.queue.origin.scheme:
        return ok(check, told)
    said = f"{chain.queue.origin.scheme} was asked, and the gateway believes {told}"
    return fault(check, said, "cookies have the wrong name or are not Secure", SCHEME)


def _host(chain: Chain, seen: Seen) -> Finding:
    check = "gateway.host"
    asked = chain.queue.origin.authority
    if str(seen["host"]).lower() == asked.lower():
        return ok(check, asked)
    means = "ways back, and joins from the page, are judged by another host"
    return fault(check, f"{asked} was asked, and the gateway is told {seen['host']}", means, HOST)


def _mode(chain: Chain, plain: Sequence[Seen]) -> Finding:
    check = "gateway.mode"
    modes = {seen["mode"] for seen in plain}
    if None in modes:
        means = "a gateway does not know whose hosts these are: it protects nothing of the event"
        advice = Mending(f"Give every gateway the same settings, with [events.{chain.event}].")
        return fault(check, f"a gateway has no [events.{chain.event}]", means, advice)
    if modes == {"enforce"}:
        return ok(check, "enforce")
    means = "everybody is let through; what would have been decided is only counted"
    advice = Mending(
        'Before the sale: mode = "enforce" in the settings of every gateway, and restart.'
    )
    return warning(check, " and ".join(sorted(modes)), means, advice)


def _versions(plain: Sequence[Seen]) -> Finding:
    check = "gateway.versions"
    versions = sorted({str(seen["version"]) for seen in plain})
    processes = len({seen["process"] for seen in plain})
    seen = f"{processes} process{'es' * (processes != 1)} in {len(plain)} answers: {', '.join(versions)}"
    if len(versions) > 1:
        means = "gateways of several versions answer, as in the middle of an upgrade"
        return warning(check, seen, means, Mending("Finish the upgrade before the sale."))
    if versions != [__version__]:
        means = f"this command is version {__version__}: it may expect what that one does not do"
        return warning(check, seen, means, Mending("Use the gateway command of that version."))
    return ok(check, seen)


def _clocks(seen: Seen, began_s: float, ended_s: float) -> list[Finding]:
    gateway_s, ledger_s = float(seen["now"]), float(seen["ledger_now"])
    off_s = max(gateway_s - ended_s, began_s - gateway_s, 0.0)
    return [
        judge_clock("clock.gateway", off_s, "the gateway's and this machine's clock"),
        judge_clock(
            "clock.ledger", abs(gateway_s - ledger_s), "the gateway's and the ledger's clock"
        ),
    ]


async def check_ledger(inside: Inside) -> list[Finding]:
    """Look at the ledger's server as `gateway run` does when it starts."""
    check = "ledger.settings"
    unsafe = await inside.unsafe_settings()
    if unsafe:
        means = "places would be lost with the server"
        return [fault(check, one.partition(": ")[0], means, Mending(one)) for one in unsafe]
    return [ok(check, "nothing is thrown away, and what is promised is kept")]


async def check_gateways(chain: Chain, inside: Inside) -> list[Finding]:
    """See which gateway processes know the event, and whether they still read it."""
    check = "gateway.processes"
    if chain.event is None:
        raise AssertionError("gateways know an event")
    seen = await inside.gateways(chain.event)
    silent = [name for name, ago_s in seen.read_ago_s.items() if ago_s > _SILENT_S]
    said = f"{len(seen.read_ago_s)} known, {len(silent)} silent for more than {_SILENT_S} seconds"
    if len(silent) == len(seen.read_ago_s):
        advice = Mending("Start the gateway, or see whether it reaches this ledger.", {})
        return [fault(check, said, "no gateway reads the event in this ledger", advice)]
    if silent:
        means = "after a loss of the ledger's data, those would be waited for"
        return [warning(check, said, means, LEDGER_STATE)]
    return [ok(check, said)]


async def check_keys(chain: Chain, inside: Inside) -> list[Finding]:
    """Compare the key ring with what the site publishes, and look at its ages."""
    check = "keys.ring"
    keys = inside.settings.keys
    if keys.jwks is not None:
        return [not_checked(check, "these settings have public keys only")]
    entries = list_keys(Path(keys.dir))
    active = [entry for entry in entries if entry.state is KeyState.ACTIVE]
    if not active:
        advice = Mending("gateway keys new")
        return [fault(check, f"no active key in {keys.dir}", "no place can be signed", advice)]
    findings = [_key_age(check, active[0].activated or active[0].created)]
    reply = await chain.queue.ask("/.well-known/jwks.json")
    document = document_of(reply)
    if reply.status == 200 and document is not None and isinstance(document.get("keys"), list):
        public = {str(key.get("kid")) for key in cast("list[dict[str, Any]]", document["keys"])}
        if active[0].kid not in public:
            means = "the gateway that stands there has other keys than this folder"
            advice = Mending("Give every gateway the same key ring, and the doctor its settings.")
            findings.append(
                fault("keys.published", "the active key is not published", means, advice)
            )
        else:
            findings.append(ok("keys.published", "the active key is published"))
    return findings


def _key_age(check: str, since: str | None) -> Finding:
    if since is None:
        return ok(check, "one active key; nobody noted since when")
    days = (time.time() - datetime.fromisoformat(since).timestamp()) / _DAY_S
    seen = f"the active key signs since {days:.0f} days"
    if days > _OLD_KEY_DAYS:
        advice = Mending("gateway keys new, wait five minutes, gateway keys activate KID")
        return warning(
            check, seen, "the longer a key signs, the more a copy of it is worth", advice
        )
    return ok(check, seen)
