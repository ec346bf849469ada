"""Loads the Lua scripts: each file of `lua/` behind the prelude that all share."""

from functools import cache
from importlib.resources import files
from typing import Final

NAMES: Final = (
    "create",
    "configure",
    "deal",
    "raise",
    "commit_ceiling",
    "release",
    "claim",
    "extend",
    "leave",
    "change_state",
    "read",
)


@cache
def source(name: str) -> str:
    """Return the whole text of a script, as the server runs it."""
    folder = files("gateway.ledger") / "lua"
    prelude = (folder / "prelude.lua").read_text("utf-8")
    return prelude + "\n" + (folder / f"{name}.lua").read_text("utf-8")
