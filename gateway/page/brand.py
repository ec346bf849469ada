"""A site's own look, read from a folder: templates, a style, images, texts.

    room.html, plain.html  Jinja templates in place of ours; `{% extends "built-in/room.html" %}` keeps it
    base.html              the frame of both, the same way: `{% extends "built-in/base.html" %}`
    brand.css              a style that comes after ours, in the same file
    *.png *.svg *.webp *.jpg *.ico   images: `{{ asset("logo.svg") }}` in a template, `url(logo.svg)` in CSS
    texts/de.json          single texts of a language, by their key

Whatever is wrong is left out and told; nothing of it can keep a gateway from starting.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from gateway.hashed_files import HashedFile
from gateway.page.languages import TAGS, Text, built_in_texts, fault_of
from gateway.page.statics import static_file

STYLE = "brand.css"
IMAGES = frozenset({"png", "svg", "webp", "jpg", "ico"})

# A page waits for no film: what the folder may hold is bounded, since all of it stays in memory.
LARGEST_FILE = 1024 * 1024

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
_URL = re.compile(rb"""url\(\s*(?P<quote>["']?)(?P<name>[A-Za-z0-9_.-]+)(?P=quote)\s*\)""")


@dataclass(frozen=True, slots=True)
class Brand:
    """What was found in the folder, and is good.

    Attributes:
        templates: Sources by name.
        style: Of `brand.css`, with the images' own addresses in it.
        images: By the name that templates use.
        texts: By language and key.
        troubles: What was left out, and why.
    """

    templates: Mapping[str, str] = field(default_factory=dict[str, str])
    style: bytes = b""
    images: Mapping[str, HashedFile] = field(default_factory=dict[str, HashedFile])
    texts: Mapping[str, Mapping[str, Text]] = field(default_factory=dict[str, Mapping[str, Text]])
    troubles: tuple[str, ...] = ()


def read_brand(folder: Path | None) -> Brand:
    """Read the folder; None for a site without one."""
    if folder is None:
        return Brand()
    if not folder.is_dir():
        return Brand(troubles=(f"{folder}: there is no such folder",))
    troubles: list[str] = []
    templates: dict[str, str] = {}
    images: dict[str, HashedFile] = {}
    style = b""
    for path in _listed(folder, troubles):
        ending = path.suffix.removeprefix(".")
        if not path.is_file() or path.name.startswith("."):
            continue
        body = _read(path, troubles)
        if body is None:
            continue
        if ending == "html":
            # Also parts of their own, for `{% include %}`.
            _add_template(templates, path.name, body, troubles)
        elif path.name == STYLE:
            style = body
        elif ending in IMAGES and _NAME.fullmatch(path.name):
            images[path.name] = static_file(path.name, body)
        else:
            troubles.append(f"{path.name}: is not served; see the kinds of files in the manual")
    return Brand(
        templates=templates,
        style=_with_images(style, images, troubles),
        images=images,
        texts=_read_texts(folder / "texts", troubles),
        troubles=tuple(troubles),
    )


def _listed(folder: Path, troubles: list[str]) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as exc:
        troubles.append(f"{folder.name}: cannot be read: {exc.strerror}")
        return []


def _read(path: Path, troubles: list[str]) -> bytes | None:
    try:
        if path.stat().st_size > LARGEST_FILE:
            troubles.append(f"{path.name}: is larger than {LARGEST_FILE} bytes")
            return None
        return path.read_bytes()
    except OSError as exc:
        troubles.append(f"{path.name}: cannot be read: {exc.strerror}")
        return None


def _add_template(templates: dict[str, str], name: str, body: bytes, troubles: list[str]) -> None:
    try:
        templates[name] = body.decode("utf-8")
    except UnicodeDecodeError:
        troubles.append(f"{name}: is not UTF-8")


def _with_images(style: bytes, images: Mapping[str, HashedFile], troubles: list[str]) -> bytes:
    def address(found: re.Match[bytes]) -> bytes:
        name = found["name"].decode()
        image = images.get(name)
        if image is None:
            troubles.append(f"{STYLE}: there is no image {name}")
            return found[0]
        # The style is at `room/` itself.
        return f'url("{image.name}")'.encode()

    return _URL.sub(address, style)


def _read_texts(folder: Path, troubles: list[str]) -> dict[str, dict[str, Text]]:
    texts: dict[str, dict[str, Text]] = {}
    if not folder.is_dir():
        return texts
    models = built_in_texts(TAGS[0])
    for path in _listed(folder, troubles):
        where = f"texts/{path.name}"
        if path.suffix != ".json" or path.stem not in TAGS:
            troubles.append(f"{where}: is not one of {', '.join(f'{tag}.json' for tag in TAGS)}")
            continue
        body = _read(path, troubles)
        if body is None:
            continue
        try:
            found: Any = json.loads(body)
        except (ValueError, RecursionError) as exc:
            troubles.append(f"{where}: is not JSON: {exc}")
            continue
        if not isinstance(found, dict):
            troubles.append(f"{where}: must be an object of texts")
            continue
        texts[path.stem] = _good_texts(
            path.stem, cast("dict[str, object]", found), models, troubles, where
        )
    return texts


def _good_texts(
    tag: str,
    found: Mapping[str, object],
    models: Mapping[str, Text],
    troubles: list[str],
    where: str,
) -> dict[str, Text]:
    good: dict[str, Text] = {}
    for key, text in found.items():
        if key not in models:
            troubles.append(f"{where}: {key}: there is no such text")
        elif fault := fault_of(tag, key, text, models[key]):
            troubles.append(f"{where}: {fault}")
        else:
            good[key] = cast("Text", text)
    return good
