"""`gateway keys`: the key ring of the settings."""

import re
import time
from dataclasses import asdict
from pathlib import Path

import click

from gateway.cli.configured_keys import configured_keys
from gateway.cli.exits import Refused
from gateway.cli.output import answer, require_consent
from gateway.cli.rendering import table
from gateway.cli.session import Command, Group, Session, pass_session
from gateway.operating.durations import describe_moment, parse_moment

_DASHED_KID = re.compile(r"-[A-Za-z0-9_-]{5,42}")


class KeyCommand(Command):
    """Takes a KID that begins with a dash for what it is: one in 64 does (RFC 7638, base64url)."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = {name for param in self.get_params(ctx) for name in param.opts}
        kids = [a for a in args if _DASHED_KID.fullmatch(a) and a not in options]
        if "--" in args or not kids:
            return super().parse_args(ctx, args)
        return super().parse_args(ctx, [a for a in args if a not in kids] + ["--", *kids])


@click.group(
    "keys",
    cls=Group,
    epilog="""\b
Rotation, without a break for anybody:
  gateway keys new                # next: published, does not sign yet
  gateway keys list
  gateway keys activate KID       # five minutes later: signs; the old one goes on verifying
  gateway keys remove OLD-KID     # once the tokens that it signed have ended
""",
)
def keys() -> None:
    """Make, activate, retire and export the keys that sign tokens."""


@keys.command("new", epilog="\b\nExample:\n  gateway keys new")
@pass_session
def new(session: Session) -> None:
    """Make a key: next, or active at once where no key is active."""
    from gateway.tokens.keyring import new_key

    entry = new_key(_folder(session), now_s=time.time())
    advice = (
        f" Activate it in five minutes: gateway keys activate {entry.kid}"
        if entry.state == "next"
        else ""
    )
    answer(session, asdict(entry), f"Made key {entry.kid}, {entry.state}.{advice}")


@keys.command("list", epilog="\b\nExamples:\n  gateway keys list\n  gateway keys list --json")
@pass_session
def list_(session: Session) -> None:
    """List the keys with their states, oldest first.

    With --json: {"dir", "keys": [{"kid", "state", "created", "activated", "retired"}]}.
    """
    from gateway.tokens.keyring import list_keys

    folder = _folder(session)
    entries = list_keys(folder) if folder.exists() else ()
    head = ("KID", "STATE", "CREATED", "ACTIVATED", "RETIRED")
    rows = [
        (
            entry.kid,
            entry.state.value,
            *(_local(moment) for moment in (entry.created, entry.activated, entry.retired)),
        )
        for entry in entries
    ]
    text = table(head, rows) if rows else f"There is no key in {folder}. Make one: gateway keys new"
    answer(session, {"dir": str(folder), "keys": [asdict(entry) for entry in entries]}, text)


@keys.command("activate", cls=KeyCommand, epilog="\b\nExample:\n  gateway keys activate Xk3v9Q")
@click.argument("kid")
@pass_session
def activate(session: Session, kid: str) -> None:
    """Let a key sign from now on; the one that did is retired.

    KID may be shortened to its first 6 characters or more. Make the key five minutes before: edges and
    their caches must have seen it in the published set.
    """
    from gateway.tokens import keyring

    entry = keyring.activate(_folder(session), kid, now_s=time.time())
    answer(session, asdict(entry), f"Key {entry.kid} signs from now on.")


@keys.command("retire", cls=KeyCommand, epilog="\b\nExample:\n  gateway keys retire Xk3v9Q")
@click.argument("kid")
@pass_session
def retire(session: Session, kid: str) -> None:
    """Retire a key that is not to sign any more. What it signed stays good."""
    from gateway.tokens import keyring

    entry = keyring.retire(_folder(session), kid, now_s=time.time())
    answer(session, asdict(entry), f"Key {entry.kid} is retired; what it signed stays good.")


@keys.command("remove", cls=KeyCommand, epilog="\b\nExample:\n  gateway keys remove Xk3v9Q --yes")
@click.argument("kid")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def remove(session: Session, kid: str, yes: bool) -> None:
    """Delete a key: every token that it signed is worthless from now on.

    For a key that leaked, or that signed nothing still in anybody's pocket. Asks first; without a
    terminal it needs --yes.
    """
    from gateway.tokens import keyring

    require_consent(f"Delete key {kid}? Every token that it signed becomes worthless.", given=yes)
    entry = keyring.remove(_folder(session), kid)
    answer(session, asdict(entry), f"Key {entry.kid} is deleted.")


@keys.command("export", epilog="\b\nExample:\n  gateway keys export > edge/jwks.json")
@pass_session
def export(session: Session) -> None:
    """Print the public keys as a JWK set: what an edge that only checks needs ([keys] jwks)."""
    from gateway.tokens.jwks import jwks_document

    public = configured_keys(session.settings.keys)
    if public is None:
        raise Refused(f"there is no key in {_folder(session)}; make one: gateway keys new")
    click.echo(jwks_document(public.public_keys()).decode())


def _folder(session: Session) -> Path:
    return Path(session.settings.keys.dir)


def _local(moment: str | None) -> str:
    return "-" if moment is None else describe_moment(parse_moment(moment))
