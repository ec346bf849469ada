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
    "schedule",
    "claim",
    "extend",
    "leave",
    "session",
    "seat_shown",
    "change_state",
    "read",
    "sample",
    "present",
    "recover",
    "reset",
    "delete",
)

_LOG: Final = ("sha256", "log")

# What more some of them begin with, behind the prelude.
_SHARED: Final = {
    "create": (*_LOG, "author", "standing", "generation"),
    "configure": (*_LOG, "author", "standing"),
    "change_state": (*_LOG, "author", "standing"),
    "extend": (*_LOG, "author"),
    "leave": (*_LOG, "author"),
    "reset": (*_LOG, "author", "standing", "generation"),
    "delete": (*_LOG, "author", "generation"),
    "release": (*_LOG, "author", "turnout", "movement"),
    "schedule": ("turnout", "movement"),
    "claim": ("turnout",),
    "sample": ("turnout",),
    "present": ("healing",),
    "recover": ("healing", *_LOG, "author", "standing"),
    "read": (*_LOG, "standing"),
}


@cache
def source(name: str) -> str:
    """Return the whole text of a script, as the server runs it."""
    folder = files("gateway.ledger") / "lua"
    parts = ("prelude", *_SHARED.get(name, ()), name)
    return "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in parts)
