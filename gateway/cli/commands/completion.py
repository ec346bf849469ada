"""`gateway completion`: the script that lets a shell complete our commands."""

import click

from gateway.cli.session import Command


@click.command(
    "completion",
    cls=Command,
    epilog="""\b
Examples:
  eval "$(gateway completion bash)"                                  # in ~/.bashrc
  gateway completion zsh > "${fpath[1]}/_gateway"
  gateway completion fish > ~/.config/fish/completions/gateway.fish
""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choice above lists what click knows
    click.echo(kind(ctx.find_root().command, {}, "gateway", "_GATEWAY_COMPLETE").source())
