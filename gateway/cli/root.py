"""The command `gateway` itself: options for all commands, and where each command is found."""

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click

from gateway import __version__
from gateway.cli.exits import EXIT_CODES_HELP, report_on
from gateway.cli.output import show_error, wants_color
from gateway.cli.session import Session

_COMMANDS = {
    "run": "gateway.cli.commands.run:run",
    "demo": "gateway.cli.commands.demo:demo",
    "event": "gateway.cli.commands.event:event",
    "plan": "gateway.cli.commands.plan:plan",
    "release": "gateway.cli.commands.release:release",
    "session": "gateway.cli.commands.session:session",
    "status": "gateway.cli.commands.status:status",
    "watch": "gateway.cli.commands.watch:watch",
    "report": "gateway.cli.commands.report:report",
    "log": "gateway.cli.commands.log:log",
    "draw": "gateway.cli.commands.draw:draw",
    "doctor": "gateway.cli.commands.doctor:doctor",
    "recover": "gateway.cli.commands.recover:recover",
    "keys": "gateway.cli.commands.keys:keys",
    "operator": "gateway.cli.commands.operator:operator",
    "token": "gateway.cli.commands.token:token",
    "config": "gateway.cli.commands.config:config",
    "completion": "gateway.cli.commands.completion:completion",
}


class LazyGroup(click.Group):
    """Imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(module), name)
        assert isinstance(found, click.Command)  # noqa: S101 - the table above is ours
        return found


@click.group(
    "gateway",
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES_HELP,
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="GATEWAY_CONFIG",
    show_envvar=True,
    metavar="FILE",
    help="The settings file; gateway.toml here where there is one.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document.")
@click.option("--no-color", is_flag=True, help="No colours; NO_COLOR in the environment does too.")
@click.version_option(__version__, prog_name="gateway", message="%(prog)s %(version)s")
@click.pass_context
def gateway(ctx: click.Context, config: Path | None, as_json: bool, no_color: bool) -> None:
    """An open admission gateway: a queue in front of a booking site.

    \b
    Examples:
      gateway demo
      gateway event create sale --open --max-sessions 500
      gateway release sale 100
      gateway status sale --json
    """
    ctx.obj = Session(config=config, json=as_json)
    ctx.color = wants_color(no_color)


def run_command_line(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. A mistake of ours passes as an exception."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        result = gateway.main(arguments, prog_name="gateway", standalone_mode=False)
        # What was answered must be out before we claim to be done.
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as exc:
        report = report_on(exc)
        if report is None:
            raise
        with contextlib.suppress(BrokenPipeError):
            show_error(report, as_json="--json" in arguments)
            _show_usage(exc, as_json="--json" in arguments)
        return int(report.exit_code)
    return result if isinstance(result, int) else 0


def _show_usage(exc: Exception, *, as_json: bool) -> None:
    if isinstance(exc, click.UsageError) and exc.ctx is not None and not as_json:
        click.echo(f"Try: {exc.ctx.command_path} --help", err=True)
