"""The page's own files, below `/queue/{event}/room/`."""

from importlib.resources import files

from gateway.hashed_files import HashedFile, Scripts, hashed_file, linked_scripts

FOLDER = "room"

ENTRY = "room.js"
"""The script that the page starts with."""


def static_file(name: str, body: bytes) -> HashedFile:
    """Prepare a file for serving; its name's ending says what it is."""
    return hashed_file(FOLDER, name, body)


def built_in(name: str) -> bytes:
    return (files("gateway.page") / "static" / name).read_bytes()


def scripts() -> Scripts:
    """Prepare the page's code."""
    folder = files("gateway.page") / "static"
    return linked_scripts(
        FOLDER, {item.name: item.read_bytes() for item in folder.iterdir()}, ENTRY
    )
