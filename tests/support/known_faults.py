"""What can be wrong with the files that a proxy's script reads."""

from collections.abc import Callable
from pathlib import Path

from gateway.proxyconfig.known_files import KnownFiles


def _without(files: KnownFiles) -> None:
    files.known.unlink()


def _a_folder_in_its_place(files: KnownFiles) -> None:
    files.known.unlink()
    files.known.mkdir()


def _changed(change: Callable[[str], str]) -> Callable[[KnownFiles], None]:
    return lambda files: _rewrite(files.known, change)


def _rewrite(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


FAULTS: dict[str, Callable[[KnownFiles], object]] = {
    "no known": _without,
    "known is a folder": _a_folder_in_its_place,
    "no ended": lambda files: files.ended.rmdir(),
    "empty": _changed(lambda _: ""),
    "cut off": _changed(lambda text: text[:-1]),
    "cut off in a key": _changed(lambda text: text[: text.index("pass ") + 150] + "\n"),
    "a key that is none": _changed(lambda text: text.replace(" MFkw", " MFkx")),
    "a key in letters that are none": _changed(lambda text: text.replace(" MFkw", " !!!!")),
    "a line more": _changed(lambda text: text + "generation 8\n"),
    "a line before": _changed(lambda text: "\n" + text),
    "another order": _changed(lambda text: "\n".join(sorted(text.splitlines())) + "\n"),
    "no number": _changed(lambda text: text.replace("clock-ahead 0", "clock-ahead ")),
    "not whole": _changed(lambda text: text.replace("clock-ahead 0", "clock-ahead 0.5")),
    "other line ends": _changed(lambda text: text.replace("\n", "\r\n")),
    "not text": lambda files: files.known.write_bytes(b"\xff\xfe" + files.known.read_bytes()),
}
