"""Certificates and clocks."""

import ssl
import time
from email.utils import parsedate_to_datetime

from gateway.doctor.chain import Chain
from gateway.doctor.connection import WireError
from gateway.doctor.findings import Finding, fault, not_checked, ok, warning
from gateway.doctor.mending import CERTIFICATE, CLOCKS
from gateway.doctor.wire import Wire

_RENEW_WITHIN_DAYS = 14
_DAY_S = 86_400

# Tokens from the future are refused beyond this leeway (gateway/tokens).
_LEEWAY_S = 60
_NOTED_S = 5


async def check_certificate(wire: Wire) -> list[Finding]:
    """Look at the certificate. Where browsers refuse it, the other checks go on without."""
    check = "tls.certificate"
    if not wire.origin.is_secure:
        return [not_checked(check, "the URL is http: visitors' cookies can be read on the way")]
    try:
        certificate, version = await wire.certificate()
    except WireError as exc:
        if exc.kind != "tls":
            # Whoever asks for the page next will say so.
            return []
        wire.trusted = False
        return [fault(check, str(exc), "browsers show a warning in place of the page", CERTIFICATE)]
    days = (ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) / _DAY_S
    seen = f"{version}, good for {days:.0f} days"
    if days < _RENEW_WITHIN_DAYS:
        return [warning(check, seen, "it ends soon", CERTIFICATE)]
    return [ok(check, seen)]


async def check_clock(chain: Chain) -> list[Finding]:
    """Compare the Date of an answer with this machine's clock."""
    check = "clock.date"
    reply = await chain.queue.ask(chain.queue_path())
    try:
        date_s = parsedate_to_datetime(reply.field("date")).timestamp()
    except ValueError:
        return [not_checked(check, "the answer has no Date")]
    # The Date is cut to the second, and was written somewhere in the exchange.
    off_s = max(date_s - reply.at_s, reply.at_s - reply.took_s - (date_s + 1), 0.0)
    return [judge_clock(check, off_s, "the site's Date and this machine's clock")]


def judge_clock(check: str, off_s: float, which: str) -> Finding:
    """Judge two clocks that are `off_s` seconds apart."""
    seen = f"{which} are {off_s:.1f} seconds apart"
    if off_s > _LEEWAY_S:
        return fault(check, seen, "tokens are taken for ones from the future, or ended", CLOCKS)
    if off_s > _NOTED_S:
        return warning(check, seen, "times that visitors are shown are off by as much", CLOCKS)
    return ok(check, seen if off_s else f"{which} agree")
