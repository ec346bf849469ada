"""A Django project behind the queue, in one file: a page and a stream.

In a project of your own the last line stands in its `asgi.py`. Django has no lifespan and no
WebSockets; the gate begins and ends with the server all the same.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from gateway.edge import AdmissionMiddleware
from gateway.wiring import open_gate

settings.configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_hex(),
)


async def free_seats() -> AsyncIterator[str]:
    while True:
        yield "data: 32\n\n"
        await asyncio.sleep(1)


async def start(_: HttpRequest) -> HttpResponse:
    return HttpResponse("Welcome. Tickets are at /book.\n", content_type="text/plain")


async def book(request: HttpRequest) -> HttpResponse:
    # The gateway says who comes; what a visitor sends under this name never gets here.
    number = request.headers["Queue-Position"]
    return HttpResponse(f"Choose a seat, number {number}.\n", content_type="text/plain")


async def seats(_: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(free_seats(), content_type="text/event-stream")


async def done(_: HttpRequest) -> HttpResponse:
    return HttpResponse("Thank you.\n", headers={"Queue-Session": "end"})


urlpatterns = [path("", start), path("book", book), path("seats", seats), path("done", done)]

app = AdmissionMiddleware(get_asgi_application(), open_gate())
