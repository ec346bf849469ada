"""`gateway config PROXY` and `config sync`: a proxy that verifies passes itself, and is kept fresh."""

import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gateway.cli.bridge import ask_ledger
from gateway.cli.configured_keys import configured_keys
from gateway.cli.exits import Refused
from gateway.cli.output import answer, to_json
from gateway.cli.parameters import EVENT
from gateway.cli.session import Command, Session, pass_session
from gateway.domain.positions import EventId
from gateway.errors import BadInput, EventGone, LedgerUnavailable
from gateway.ports import Ledger

if TYPE_CHECKING:
    from gateway.clock import LedgerClock
    from gateway.proxyconfig import Knowledge, ProxyFolder, Sync
    from gateway.tokens.keys import PublicKey, PublicKeys

# What a revocation may take at the most: no longer than a proxy may keep an admission.
_GOOD_FOR_S: Final = 5
_RELOAD_TIMEOUT_S: Final = 30

_FOLDER = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="FOLDER",
    help="The proxy's folder; what is verified is what stands there, so only its owner may write to it.",
)


_EPILOG: Final = """\b
Examples:
  gateway config {proxy} sale --folder /etc/{proxy}/sale --site 10.0.0.7:3000
  {start}
  gateway config sync sale --folder /etc/{proxy}/sale

\b
Fields of --json:
  event    whose passes are verified
  folder   where the files are
  start    the command that starts the proxy with them
  sync     the command without which everything is asked
"""


def _set_up_command(proxy: str, title: str, start: str) -> click.Command:
    """Return the command that writes the configuration of one kind of proxy.

    Args:
        start: How the proxy is started, for the example.
    """

    @click.command(
        proxy,
        cls=Command,
        help=f"""Write the configuration with which {title} verifies an event's passes itself.

        It admits who holds a good pass, without asking. Everything else, queue tokens too, goes to the
        gateway. It does so for as long as `gateway config sync` keeps it fresh; before and after, it asks
        about everything.
        """,
        epilog=_EPILOG.format(proxy=proxy, start=start),
    )
    @click.argument("event", type=EVENT)
    @_FOLDER
    @click.option("--listen", default=":80", show_default=True, help=f"Where {title} listens.")
    @click.option(
        "--gateway", metavar="HOST:PORT", help="The gateway; [server] host and port by default."
    )
    @click.option("--site", default="127.0.0.1:3000", show_default=True, help="The booking site.")
    @click.option("--force", is_flag=True, help="Write over a configuration that stands there.")
    @pass_session
    def command(
        session: Session,
        event: EventId,
        folder: Path,
        listen: str,
        gateway: str | None,
        site: str,
        force: bool,
    ) -> None:
        from gateway.proxyconfig import Addresses, folder_of, subject_of

        server = session.settings.server
        files = folder_of(proxy, folder)
        subject = subject_of(session.settings, event)
        addresses = Addresses(listen, gateway or _address(server.host, server.port), site)
        keys = _keys(session).public_keys()
        if files.config.exists() and not force:
            raise Refused(
                f"{files.config} is there already; --force writes over it. Nothing was changed"
            )
        files.set_up(subject, addresses, keys)
        sync = f"gateway config sync {event} --folder {files.folder}"
        answer(
            session,
            {"event": event, "folder": str(files.folder), "start": files.start, "sync": sync},
            f"The files for {event} are in {files.folder}. Start {title}, and keep it fresh:"
            f"\n  {files.start}\n  {sync}",
        )

    return command


SET_UP_COMMANDS: Final = (
    _set_up_command(
        "haproxy",
        "HAProxy",
        "haproxy -W -f /etc/haproxy/sale/haproxy.cfg -f /etc/haproxy/sale/keys.cfg",
    ),
    _set_up_command("nginx", "nginx", "nginx -c /etc/nginx/sale/nginx.conf"),
    _set_up_command("envoy", "Envoy", "envoy -c /etc/envoy/sale/envoy.yaml"),
)


@click.command(
    "sync",
    cls=Command,
    epilog="""\b
Examples:
  gateway config sync sale --folder /etc/haproxy/sale --reload "systemctl reload haproxy"
  gateway config sync sale --folder /etc/haproxy/sale --once --json

\b
Fields of --json, one line for each change:
  event        whose passes are verified
  generation   the life of the queue that passes must be of; 0 where the event was deleted
  ended        sessions that were ended early, whose passes are refused
  keys         keys that passes may be signed with
  whole        whether the proxy was told everything anew, as after its start
  reloaded     true: for a new key; false: that failed, or there is no --reload; null: no need
  error        instead of these: what went wrong; it is tried again
""",
)
@click.argument("event", type=EVENT)
@_FOLDER
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.2, 60),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to read the ledger.",
)
@click.option(
    "--good-for",
    "good_for_s",
    type=click.IntRange(2, 300),
    default=_GOOD_FOR_S,
    show_default=True,
    metavar="SECONDS",
    help="How long the proxy goes on after a read that was the last: the longest that a revocation takes.",
)
@click.option(
    "--reload", "reload_with", metavar="COMMAND", help="Run for a new key; must reload the proxy."
)
@click.option("--once", is_flag=True, help="Tell it once.")
@pass_session
def sync(
    session: Session,
    event: EventId,
    folder: Path,
    every_s: float,
    good_for_s: int,
    reload_with: str | None,
    once: bool,
) -> None:
    """Keep a proxy that verifies passes fresh: keys, revocations and the queue's life; Ctrl-C ends it.

    Run it beside the proxy, under something that starts it again. When it stops, the proxy asks the gateway
    about everything --good-for seconds later.
    """
    from gateway.clock import LedgerClock
    from gateway.proxyconfig import PROXIES, folder_of, set_up_for

    if good_for_s <= every_s:
        raise BadInput(
            "--good-for must be longer than --every, or there are gaps between two reads"
        )
    found = set_up_for(folder)
    # What is told of one event would make the passes of another one good.
    if found is None or found.event != event:
        what = "was not set up" if found is None else f"is for event {found.event!r}"
        kinds = "|".join(kind.proxy for kind in PROXIES)
        raise Refused(
            f"{folder} {what}; set one up: gateway config {kinds} {event} --folder FOLDER"
        )
    files = folder_of(found.proxy, folder)
    clock = LedgerClock()
    told = _Told(session, event, files, files.sync(good_for_s=good_for_s), reload_with)
    keys = _keys(session)
    try:
        ask_ledger(
            session,
            lambda ledger: _follow(ledger, event, keys, clock, told, None if once else every_s),
            on_time=clock.observe,
        )
    except KeyboardInterrupt:
        return


async def _follow(
    ledger: Ledger,
    event: EventId,
    keys: "PublicKeys",
    clock: "LedgerClock",
    told: "_Told",
    every_s: float | None,
) -> None:
    """Read and tell, again and again. What fails is told and tried again; with `every_s` None it ends.

    Raises:
        GatewayError: There is no such event, or it went; or the only step failed.
    """
    import asyncio

    from gateway.proxyconfig import Knowledge, ProxyAway
    from gateway.proxyconfig.knowledge import steady_ahead_s

    snapshot, ahead_s = None, None
    while True:
        read_at_s = time.time()
        public = _fresh(keys)
        try:
            snapshot = await ledger.read(event, snapshot)
            ahead_s = steady_ahead_s(-clock.skew_s, ahead_s)
            told(Knowledge.of(snapshot, public, clock_ahead_s=ahead_s), read_at_s)
        except EventGone:
            told(Knowledge(generation=0, ended={}, keys=public), read_at_s)
            raise
        except (LedgerUnavailable, ProxyAway, OSError) as exc:
            if every_s is None:
                raise
            told.trouble(exc)
        if every_s is None:
            return
        await asyncio.sleep(max(0.0, every_s - (time.time() - read_at_s)))


class _Told:
    """Tells the proxy, and says what changed."""

    def __init__(
        self,
        session: Session,
        event: EventId,
        files: "ProxyFolder",
        sync: "Sync",
        reload_with: str | None,
    ) -> None:
        self._as_json = session.json
        self._event = event
        self._title = files.title
        self._sync = sync
        self._reload_with = reload_with
        self._said: object = None

    def __call__(self, known: "Knowledge", read_at_s: float) -> None:
        step = self._sync.tell(known, read_at_s=read_at_s)
        reloaded = self._reload() if step.reload else None
        document = {
            "event": self._event,
            "generation": step.generation,
            "ended": step.ended,
            "keys": step.keys,
            "whole": step.whole,
            "reloaded": reloaded,
        }
        news = (step.generation, step.keys, step.ended)
        if news != self._said or step.whole or step.reload:
            self._said = news
            self._say(document, _words(self._title, document))

    def trouble(self, exc: Exception) -> None:
        what = str(exc)
        if what != self._said:
            self._said = what
            self._say({"error": what}, f"{what}. It is tried again.")

    def _reload(self) -> bool:
        if self._reload_with is None:
            return False
        try:
            done = subprocess.run(  # noqa: S603 - what the operator typed
                shlex.split(self._reload_with),
                timeout=_RELOAD_TIMEOUT_S,
                stdout=sys.stderr,
                check=False,
            )
        except (OSError, ValueError, subprocess.TimeoutExpired) as exc:
            self._say({"error": str(exc)}, f"--reload: {exc}")
            return False
        return done.returncode == 0

    def _say(self, document: Mapping[str, object], text: str) -> None:
        click.echo(to_json(document, one_line=True) if self._as_json else text)
        sys.stdout.flush()


def _address(host: str, port: int) -> str:
    """Return where a gateway of this machine answers, which may listen on every address."""
    if host in {"", "0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _words(title: str, said: Mapping[str, object]) -> str:
    if not said["generation"]:
        return f"The event {said['event']} was deleted: {title} asks about everything."
    news = (
        f"{title} verifies passes of {said['event']}, generation {said['generation']}, "
        f"by {said['keys']} keys; {said['ended']} sessions were ended early."
    )
    match said["reloaded"]:
        case True:
            return f"{news} It was reloaded for a new key."
        case False:
            return f"{news} Reload it: passes of the new key are asked about until then."
        case _:
            return news


def _keys(session: Session) -> "PublicKeys":
    keys = configured_keys(session.settings.keys)
    if keys is None:
        raise Refused(
            "there is no key to verify by; make one (gateway keys new) or set [keys] jwks"
        )
    return keys


def _fresh(keys: "PublicKeys") -> "Mapping[str, PublicKey]":
    """Return the keys as they are now; a file that became unreadable leaves those read before."""
    from gateway.tokens.jwks import JwksFile
    from gateway.tokens.keyring import KeyRing

    if isinstance(keys, JwksFile | KeyRing):
        keys.reload_if_changed()
    return keys.public_keys()
