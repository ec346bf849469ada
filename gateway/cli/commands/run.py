"""`gateway run`: the gateway itself."""

from typing import TYPE_CHECKING, Any

import click

from gateway.cli.event_loop import run_loop
from gateway.cli.exits import Refused
from gateway.cli.output import to_json
from gateway.cli.parameters import PORT
from gateway.cli.session import Command, Session, pass_session

if TYPE_CHECKING:
    from gateway.settings import Settings


@click.command(
    "run",
    cls=Command,
    epilog="""\b
Examples:
  gateway --config gateway.toml run
  gateway run --workers 4 --port 8080

\b
With --json one line is printed once it answers: {"url", "admin_url"}.
""",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Processes; one for each core.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=PORT, help="Port for visitors; 0 picks a free one.")
@click.option("--admin-port", type=PORT, help="Port for metrics and the operator's interface.")
@pass_session
def run(session: Session, /, **given: Any) -> int:
    """Run the gateway until it is interrupted. The flags win over the settings."""
    from gateway.cli.configured_keys import configured_keys
    from gateway.run import run_gateway, run_with_workers

    settings = _with_flags(session.settings, given)
    if configured_keys(settings.keys) is None:
        raise Refused(f"there is no key in {settings.keys.dir}; make one: gateway keys new")

    def announce(url: str, admin_url: str) -> None:
        document = {"url": url, "admin_url": admin_url}
        text = f"The gateway answers at {url}; metrics and admin at {admin_url}"
        # Flushed by click: whoever waits for this line reads a pipe.
        click.echo(to_json(document, one_line=True) if session.json else text)

    if settings.server.workers > 1:
        return run_loop(run_with_workers(settings, session.config_file, on_ready=announce))
    run_loop(run_gateway(settings, on_ready=announce))
    return 0


def _with_flags(settings: "Settings", given: dict[str, Any]) -> "Settings":
    import msgspec

    changes = {name: value for name, value in given.items() if value is not None}
    server = msgspec.structs.replace(settings.server, **changes)
    return msgspec.structs.replace(settings, server=server)
