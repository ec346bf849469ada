"""`gateway config`: every mistake in the settings, or what is in force; and what a proxy is set up with."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from gateway.cli.commands.config_proxy import SET_UP_COMMANDS, sync
from gateway.cli.masking import masked_url
from gateway.cli.output import answer, note
from gateway.cli.rendering import pairs
from gateway.cli.session import Group, Session, pass_session

if TYPE_CHECKING:
    from gateway.settings import Settings


@click.group("config", cls=Group)
def config() -> None:
    """Check the settings; write and keep fresh what a proxy does by them."""


for command in SET_UP_COMMANDS:
    config.add_command(command)
config.add_command(sync)


@config.command(
    "check",
    epilog="""\b
Examples:
  gateway --config gateway.toml config check
  GATEWAY_SERVER__PORT=9000 gateway config check

\b
Fields of --json:
  config        the file, or null
  environment   variables that win over the file
  settings      everything in force; credentials in URLs are masked
""",
)
@pass_session
def check(session: Session) -> None:
    """Name every mistake in the settings; without one, print what is in force.

    Files that the settings name (keys, vouchers, secrets, the brand) are opened too. The ledger and the
    backend are not contacted.
    """
    settings = session.settings
    _check_files(settings)
    file = session.config_file
    document = {
        "config": None if file is None else str(file.resolve()),
        "environment": _variables(),
        "settings": settings_document(settings),
    }
    answer(session, document, _text(document))
    if settings.keys.jwks is None and not Path(settings.keys.dir).exists():
        note(session, f"\nThere is no key ring at {settings.keys.dir} yet: gateway keys new")


def settings_document(settings: "Settings") -> dict[str, Any]:
    """Return the settings in force, with the credentials in URLs masked."""
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(settings)
    document["ledger"]["url"] = masked_url(settings.ledger.url)
    return document


def _check_files(settings: "Settings") -> None:
    from gateway.cli.configured_keys import configured_keys
    from gateway.errors import KeyRingError, SettingsInvalid
    from gateway.tokens.jwks import JwksFile

    mistakes: list[str] = []
    try:
        configured_keys(settings.keys)
    except KeyRingError as exc:
        mistakes.append(f"[keys]: {exc}")
    if settings.keys.voucher_jwks is not None:
        try:
            JwksFile(Path(settings.keys.voucher_jwks), any_kid=True)
        except KeyRingError as exc:
            mistakes.append(f"[keys] voucher_jwks: {exc}")
    if settings.keys.sub_secret is not None:
        try:
            Path(settings.keys.sub_secret).read_bytes()
        except OSError as exc:
            mistakes.append(f"[keys] sub_secret: {exc.filename}: {exc.strerror}")
    if settings.page.brand:
        from gateway.page.pages import try_look

        # The gateway would start, with its own pages in place of those.
        _, troubles = try_look(Path(settings.page.brand))
        mistakes += [f"[page] brand: {trouble}" for trouble in troubles]
    if mistakes:
        raise SettingsInvalid(mistakes)


def _variables() -> list[str]:
    from gateway.settings import ENV_PREFIX

    return sorted(
        name
        for name in os.environ
        if name.startswith(ENV_PREFIX) and ("__" in name or name == f"{ENV_PREFIX}LOG_LEVEL")
    )


def _text(document: dict[str, Any]) -> str:
    settings: dict[str, Any] = document["settings"]
    lines = [f"The settings are sound: {document['config'] or 'no file, defaults'}."]
    if document["environment"]:
        lines.append("From the environment: " + ", ".join(document["environment"]))
    lines.append(f"log_level = {_value(settings['log_level'])}")
    for section in (name for name in settings if name not in {"events", "log_level"}):
        lines += ["", f"[{section}]", _section(settings[section])]
    for name, event in settings["events"].items():
        lines += ["", f"[events.{name}]", _section(event)]
    if not settings["events"]:
        lines += [
            "",
            "No event has hosts yet: nothing is protected. Add [events.NAME] hosts = […].",
        ]
    return "\n".join(lines)


def _section(values: dict[str, Any]) -> str:
    return pairs([(name, _value(value)) for name, value in values.items()], indent="  ")


def _value(value: object) -> str:
    match value:
        case None | "":
            return "-"
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            items = cast("Sequence[object]", value)
            return ", ".join(str(item) for item in items) or "none"
        case _:
            return str(value)
