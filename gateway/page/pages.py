"""Puts the pages together: what `/queue/{event}/…` answers beside the calls."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gateway.addresses import PLAIN_ROOM, ROOM
from gateway.answers import Answer
from gateway.calls import Call
from gateway.hashed_files import HashedFile
from gateway.page.brand import read_brand
from gateway.page.languages import Languages, load_languages
from gateway.page.onward import Onward
from gateway.page.plain import PlainPage
from gateway.page.plain_values import sample_values
from gateway.page.rendering import Renderer
from gateway.page.session_script import SESSION_SCRIPT, SessionScript
from gateway.page.shell import Shell
from gateway.page.statics import built_in, scripts, static_file
from gateway.queue import Room

logger = logging.getLogger(__name__)

Page: TypeAlias = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Look:
    """How the pages look and speak, and the files that belong to them."""

    languages: Languages
    renderer: Renderer
    files: tuple[HashedFile, ...]


def read_look(brand_folder: Path | None) -> Look:
    """Read and try a site's brand, once: what is wrong with it is in the log before a visitor comes.

    Args:
        brand_folder: The site's own templates, style, images and texts; None for ours alone.
    """
    look, troubles = try_look(brand_folder)
    for trouble in troubles:
        logger.warning("the brand has a mistake", extra={"trouble": trouble})
    return look


def try_look(brand_folder: Path | None) -> tuple[Look, tuple[str, ...]]:
    """Return how the pages look, and every mistake of the brand; what has one is left out."""
    brand = read_brand(brand_folder)
    languages = load_languages(brand.texts)
    style = static_file("room.css", built_in("room.css") + b"\n" + brand.style)
    code = scripts()
    renderer = Renderer(brand, languages, style, code)
    troubles = (*brand.troubles, *renderer.try_brand(sample_values))
    return Look(languages, renderer, (style, *code.all, *brand.images.values())), troubles


def waiting_pages(room: Room, look: Look, now_s: Callable[[], float]) -> Mapping[str, Page]:
    """Return the handlers of the waiting page by what follows `/queue/{event}/`.

    Args:
        now_s: The ledger's wall clock, Unix seconds.
    """
    plain = PlainPage(room, look.languages, look.renderer, now_s)
    onward = Onward(room, plain)
    return {
        ROOM: Shell(room, look.languages, look.renderer).show,
        PLAIN_ROOM: plain.show,
        "onward": onward.go,
        "enter": onward.enter,
        SESSION_SCRIPT: SessionScript(look.languages).answer,
        **{file.path: file.answer for file in look.files},
    }
