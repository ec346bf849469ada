"""`gateway doctor`: walks a deployed chain as a visitor would, and says what is wrong."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.bridge import ask_ledger
from gateway.cli.exits import Failed
from gateway.cli.output import answer
from gateway.cli.parameters import EVENT
from gateway.cli.session import Command, Session, pass_session
from gateway.domain.positions import EventId

if TYPE_CHECKING:
    from gateway.doctor.chain import Chain
    from gateway.doctor.examination import Wishes
    from gateway.doctor.findings import Finding
    from gateway.doctor.inside import Inside
    from gateway.ports import Ledger

_COLOURS = {"ok": "green", "warning": "yellow", "fault": "red", "not checked": None}
_WIDTH = 11


@click.command(
    "doctor",
    cls=Command,
    epilog="""\b
Examples:
  gateway doctor https://tickets.example.org/book
  gateway --config gateway.toml doctor https://tickets.example.org/book
  gateway doctor https://tickets.example.org/book --connect 203.0.113.9   # before DNS knows
  gateway doctor https://tickets.example.org/book --join --json

\b
Fields of --json:
  url, event       what was looked at; event is null where none was found
  checks           [{check, status, seen, means, mend, lines}]
    status         ok, warning, fault, or not checked
    lines          the lines of configuration that mend it, by product
  faults, warnings how many of each
  requests         how many were sent
""",
)
@click.argument("url")
@click.option("--event", type=EVENT, help="The event, where the page does not lead to its queue.")
@click.option(
    "--join",
    is_flag=True,
    help="Take a real place: it is dealt, stays empty, and is never claimed.",
)
@click.option(
    "--quick", is_flag=True, help="Do not listen through a heartbeat of the stream (15 s)."
)
@click.option(
    "--echo",
    metavar="PATH",
    help="A page that needs no pass and repeats the fields of its request, as /headers of httpbin does.",
)
@click.option(
    "--connect", metavar="HOST[:PORT]", help="Ask this machine in place of the one DNS names."
)
@click.option("--source", metavar="ADDRESS", help="The local address to ask from.")
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False),
    help="Authorities to believe, in place of the system's.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(1, 60),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for one answer.",
)
@click.option("--outside", is_flag=True, help="Only as a stranger, also where there are settings.")
@pass_session
def doctor(
    session: Session,
    url: str,
    event: EventId | None,
    join: bool,
    quick: bool,
    echo: str | None,
    connect: str | None,
    source: str | None,
    ca: str | None,
    timeout_s: float,
    outside: bool,
) -> None:
    """Look at a deployed chain as a visitor would, and say what is wrong and how to mend it.

    URL is a page that needs a pass. No place is taken and nothing is changed but with --join; some 80
    requests are sent, three at a time, with HTTP/1.1. Redirects are not followed, and what is secret is
    sent to the URL's own host alone. With the gateway's settings (--config) it also asks the gateway, by a
    one-time code in the ledger, what it saw. The exit code is 1 when there is a fault.
    """
    from gateway.doctor.chain import Chain
    from gateway.doctor.examination import Wishes
    from gateway.doctor.wire import Wire, parse_url

    if echo is not None and not echo.startswith("/"):
        raise click.BadParameter("write a path: /headers", param_hint="--echo")
    origin, target = parse_url(url)
    wire = Wire(
        origin,
        connect=None if connect is None else _address(connect, origin.port),
        source=source,
        ca=ca,
        timeout_s=timeout_s,
    )
    chain = Chain(wire, target, wire, event)
    wishes = Wishes(join=join, heartbeat=not quick, echo=echo)
    is_inside = session.config_file is not None and not outside
    findings = _examine(session, chain, wishes, inside=is_inside)
    document = _document(url, chain, findings)
    answer(session, document, _text(findings, document))
    if document["faults"]:
        raise Failed(f"{_counted(document['faults'], 'fault')} found; see what is marked so above")


def _examine(
    session: Session, chain: "Chain", wishes: "Wishes", *, inside: bool
) -> Sequence["Finding"]:
    import asyncio

    from gateway.doctor.examination import Examination
    from gateway.doctor.inside import Inside
    from gateway.ledger.redis import RedisLedger

    progress = _progress(session)

    async def walk(inside: "Inside | None") -> Sequence["Finding"]:
        return await Examination(chain, inside, wishes, progress).run()

    async def walk_inside(ledger: "Ledger") -> Sequence["Finding"]:
        if not isinstance(ledger, RedisLedger):
            raise TypeError("the command line opens no other ledger")
        return await walk(Inside(session.settings, ledger))

    try:
        return ask_ledger(session, walk_inside) if inside else asyncio.run(walk(None))
    finally:
        if sys.stderr.isatty() and not session.json:
            click.echo("\r\x1b[K", err=True, nl=False)


def _progress(session: Session) -> Callable[[str, "Finding | None"], None]:
    def told(check: str, finding: "Finding | None") -> None:
        if finding is None and sys.stderr.isatty() and not session.json:
            click.echo(f"\r\x1b[K… {check}", err=True, nl=False)

    return told


def _address(text: str, port: int) -> tuple[str, int]:
    host, colon, number = text.rpartition(":")
    if colon and number.isdigit() and (":" not in host or host.startswith("[")):
        return host.strip("[]"), int(number)
    return text.strip("[]"), port


def _document(url: str, chain: "Chain", findings: Sequence["Finding"]) -> dict[str, Any]:
    counts = Counter(finding.status.value for finding in findings)
    return {
        "url": url,
        "event": chain.event,
        "checks": [finding.document() for finding in findings],
        "faults": counts["fault"],
        "warnings": counts["warning"],
        "requests": chain.asked,
    }


def _text(findings: Sequence["Finding"], document: dict[str, Any]) -> str:
    blocks = [_block(finding) for finding in findings]
    end = (
        f"{_counted(document['faults'], 'fault')}, {_counted(document['warnings'], 'warning')}; "
        f"{_counted(document['requests'], 'request')} sent."
    )
    return "\n".join([*blocks, "", end])


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _block(finding: "Finding") -> str:
    status = finding.status.value
    word = click.style(status.ljust(_WIDTH), fg=_COLOURS[status], bold=status == "fault")
    lines = [f"{word}  {finding.check}: {finding.seen}"]
    indent = " " * (_WIDTH + 2)
    if finding.means:
        lines.append(f"{indent}means: {finding.means}")
    if finding.mend:
        lines.append(f"{indent}mend:  {finding.mend}")
    lines += [f"{indent}  {product}: {line}" for product, line in finding.lines.items()]
    return "\n".join(lines)
