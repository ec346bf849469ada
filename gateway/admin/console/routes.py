"""Serves the operator console; all that it shows and does goes through the admin interface beside it."""

from collections.abc import Iterable
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.answers import RawHeader, redirect, send_answer
from gateway.hardening import hardened
from gateway.hashed_files import HashedFile, Scripts, hashed_file, linked_scripts
from gateway.representations import Prepared, prepare_tagged

CONSOLE_PATH: Final = "/admin/"

_FOLDER = "console"
_ENTRY = "console.js"

_PAGE_HEADERS: tuple[RawHeader, ...] = (
    (b"content-type", b"text/html; charset=utf-8"),
    # Asked after each time: who has logged in must not meet an older page than the interface.
    (b"cache-control", b"no-cache"),
    (b"vary", b"Accept-Encoding"),
)

# The key is in a form field: no form may be sent, whatever becomes of the script. What is written into the
# page by script is text and nothing else.
_PAGE_POLICY = hardened(
    form_action="'none'",
    more=("script-src 'self'", "connect-src 'self'", "require-trusted-types-for 'script'"),
)


def console_routes() -> list[Route]:
    """Return the routes of the console: its page at `/admin/`, and its files below."""
    folder = files("gateway.admin.console") / "static"
    sources = {item.name: item.read_bytes() for item in folder.iterdir()}
    style = hashed_file(_FOLDER, "console.css", sources["console.css"])
    icon = hashed_file(_FOLDER, "icon.svg", sources["icon.svg"])
    scripts = linked_scripts(_FOLDER, sources, _ENTRY)
    page = prepare_tagged(_page(style, icon, scripts), _PAGE_HEADERS)
    return [
        # The page names all else from its own address: without the slash that would be another one.
        Route(CONSOLE_PATH.rstrip("/"), _Redirect(CONSOLE_PATH), methods=["GET"]),
        Route(CONSOLE_PATH, _Page(page), methods=["GET"]),
        *(
            Route(CONSOLE_PATH + file.path, _File(file.prepared), methods=["GET"])
            for file in (style, icon, *scripts.all)
        ),
    ]


def _page(style: HashedFile, icon: HashedFile, scripts: Scripts) -> bytes:
    environment = Environment(
        loader=PackageLoader("gateway.admin.console", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return (
        environment.get_template("page.html")
        .render(
            style=style.path,
            icon=icon.path,
            script=scripts.entry.path,
            modules=[module.path for module in scripts.modules],
        )
        .encode()
    )


class _Redirect:
    def __init__(self, location: str) -> None:
        self._answer = redirect(location)

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        await send_answer(self._answer, scope, send)


class _File:
    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        await send_answer(self._prepared.best(_listed(scope, b"accept-encoding")), scope, send)


class _Page:
    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        answer = self._prepared.unless_known(
            _listed(scope, b"accept-encoding"), _listed(scope, b"if-none-match").encode("latin-1")
        )
        await send_answer(answer.with_headers(_PAGE_POLICY), scope, send)


def _listed(scope: Scope, name: bytes) -> str:
    headers: Iterable[RawHeader] = scope["headers"]
    return b",".join(value for key, value in headers if key == name).decode("latin-1")
