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
    "present",
    "recover",
)

# What more some of them begin with, behind the prelude.
_SHARED: Final = {"present": ("healing",), "recover": ("healing",)}


@cache
def source(name: str) -> str:
    """Return the whole text of a script, as the server runs it."""
    folder = files("gateway.ledger") / "lua"
    parts = ("prelude", *_SHARED.get(name, ()), name)
    return "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in parts)
