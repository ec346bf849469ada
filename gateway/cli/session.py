"""What one run of the command line knows: the options for all commands, and the settings."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from gateway.settings import Settings


@dataclass
class Session:
    """The options that count for every command.

    Attributes:
        config: The settings file as named by the operator; None for the default one.
        json: Whether answers and errors are JSON documents.
    """

    config: Path | None = None
    json: bool = False

    @cached_property
    def settings(self) -> "Settings":
        from gateway.settings import load_settings

        return load_settings(self.config)

    @property
    def config_file(self) -> Path | None:
        """The settings file in use, or None when there is none."""
        from gateway.settings import DEFAULT_FILE

        if self.config is not None:
            return self.config
        return Path(DEFAULT_FILE) if Path(DEFAULT_FILE).exists() else None


pass_session = click.make_pass_decorator(Session, ensure=True)


class Command(click.Command):
    """A command that takes `--json` after its name too: operators type it there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(_json_option())


class Group(click.Group):
    command_class = Command


def mode_of(session: Session, event: str) -> str | None:
    """Return what the settings say is done with decisions; another gateway's may say otherwise."""
    settings = session.settings.events.get(event)
    return None if settings is None else settings.mode


def _json_option() -> click.Option:
    return click.Option(
        ["--json"],
        is_flag=True,
        expose_value=False,
        callback=_note_json,
        help="Answer with one JSON document.",
    )


def _note_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Session).json = True
