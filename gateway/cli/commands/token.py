"""`gateway token inspect`: what a token says, and whether it is ours. Offline."""

import sys
import time

import click

from gateway.cli.configured_keys import configured_keys
from gateway.cli.exits import Failed
from gateway.cli.inspection import (
    GENUINE_FAULTS,
    inspection_document,
    named_rows,
    take_apart,
    verdict,
)
from gateway.cli.output import answer
from gateway.cli.rendering import pairs
from gateway.cli.session import Group, Session, pass_session
from gateway.errors import TokenFault, TokenRejected


@click.group("token", cls=Group)
def token() -> None:
    """Look into tokens."""


@token.command(
    "inspect",
    epilog="""\b
Examples:
  gateway token inspect < token.txt
  pbpaste | gateway token inspect -
  gateway token inspect eyJhbGciOi…       # ends up in the shell's history

\b
Fields of --json:
  kind           queue token, pass, or unknown kind of token
  genuine        whether a configured key signed it (null: there is no key)
  accepted       whether a gateway would take it now (null: there is no key)
  fault          why not: malformed, wrong-type, unknown-key, bad-signature,
                 bad-claims, wrong-issuer, expired, not-yet-valid
  expires_in_s   seconds, below 0 once it has ended
  header, claims as the token has them
""",
)
@click.argument("token", required=False)
@pass_session
def inspect(session: Session, token: str | None) -> None:
    """Show what TOKEN says, and whether one of the configured keys signed it.

    Without TOKEN, or with '-', it is read from standard input. Nothing is sent anywhere: state, turn
    and revocations are the ledger's and are not looked at. The exit code is 1 when a gateway would
    not accept it.
    """
    text = _read(token)
    parts = take_apart(text)
    now_s = time.time()
    genuine, fault = _judge(session, text, now_s)
    document = inspection_document(parts, genuine=genuine, fault=fault, now_s=now_s)
    says = verdict(genuine, fault)
    head = f"{parts.kind.capitalize()}. {says}"
    answer(session, document, head + "\n" + pairs(named_rows(parts, now_s), indent="  "))
    if fault is not None:
        raise Failed(f"a gateway would not accept this token: {says[0].lower()}{says[1:]}")


def _read(token: str | None) -> str:
    if token not in {None, "-"}:
        assert token is not None  # noqa: S101 - the line above, for mypy
        return token.strip()
    if sys.stdin.isatty() and token is None:
        raise click.UsageError("Give a token, or pipe one into standard input.")
    return sys.stdin.read().strip()


def _judge(session: Session, text: str, now_s: float) -> tuple[bool | None, TokenFault | None]:
    from gateway.tokens.codec import Verifier

    settings = session.settings.keys
    keys = configured_keys(settings)
    if keys is None:
        return None, None
    try:
        Verifier(keys, settings.issuer).verify(text, now_s, judge_pass_end=True)
    except TokenRejected as exc:
        return exc.fault in GENUINE_FAULTS, exc.fault
    return True, None
