"""A program to send signals to: one server, or a parent with workers, around `Behaviours`."""

import argparse
import asyncio
import json
import logging
import os
import sys
from typing import Any

from gateway.server.limits import ServerLimits
from gateway.server.serve import Listening, bind_sockets, run, serve
from gateway.server.shutdown import Shutdown
from gateway.server.worker import serve_as_worker
from gateway.server.workers import run_workers
from tests.integration.server.behaviours import Behaviours, Receive, Send


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["server", "parent", "worker"])
    parser.add_argument("--http", default="httptools")
    parser.add_argument("--drain", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--asyncio", action="store_true", help="not uvloop, for the parent")
    parser.add_argument("--fails", choices=["", "exit", "lifespan", "hang"], default="")
    parser.add_argument("--fails-if-exists", default="")
    parser.add_argument("--fd", type=int, action="append")
    parser.add_argument("--parent-fd", type=int)
    return parser.parse_args()


def limits_of(arguments: argparse.Namespace) -> ServerLimits:
    return ServerLimits(
        receive_timeout_s=5,
        keep_alive_s=60,
        header_bytes=8192,
        header_count=50,
        connections_per_client=1000,
        connections=1000,
        drain_s=arguments.drain,
    )


def say(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


class FailsToLive(Behaviours):
    async def live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})


async def be_server(arguments: argparse.Namespace) -> int:
    shutdown = Shutdown()
    app = FailsToLive(shutdown) if arguments.fails == "lifespan" else Behaviours(shutdown)

    def on_ready(listening: Listening) -> None:
        say(main=listening.main[0], admin=listening.admin[0], pid=os.getpid())

    await serve(
        app,
        bind=("127.0.0.1", arguments.port),
        admin_app=Behaviours(shutdown),
        admin_bind=("127.0.0.1", 0),
        limits=limits_of(arguments),
        shutdown=shutdown,
        http=arguments.http,
        on_ready=on_ready,
    )
    say(ended_streams=app.ended_streams, forced=shutdown.forced)
    return 3 if shutdown.forced else 0


async def be_parent(arguments: argparse.Namespace) -> int:
    sockets = bind_sockets("127.0.0.1", arguments.port)
    command = [sys.executable, "-m", __spec__.name, "worker", "--drain", str(arguments.drain)]
    command += ["--fails", arguments.fails, "--fails-if-exists", arguments.fails_if_exists]
    admin_address: list[Any] = []

    async def beside(shutdown: Shutdown) -> None:
        await serve(
            Behaviours(shutdown),
            bind=("127.0.0.1", 0),
            limits=limits_of(arguments),
            shutdown=shutdown,
            on_ready=lambda listening: admin_address.append(listening.main[0]),
            handle_signals=False,
        )

    def on_ready() -> None:
        say(main=sockets[0].getsockname(), admin=admin_address[0], pid=os.getpid())

    return await run_workers(
        command,
        sockets,
        arguments.workers,
        drain_s=arguments.drain,
        shutdown=Shutdown(),
        beside=beside,
        on_ready=on_ready,
    )


async def be_worker(arguments: argparse.Namespace) -> int:
    if arguments.fails == "exit":
        return 5
    if arguments.fails == "hang":
        await asyncio.sleep(600)
    shutdown = Shutdown()
    await serve_as_worker(
        FailsToLive(shutdown) if arguments.fails == "lifespan" else Behaviours(shutdown),
        fds=arguments.fd,
        parent_fd=arguments.parent_fd,
        limits=limits_of(arguments),
        shutdown=shutdown,
        http=arguments.http,
    )
    return 0


def main() -> int:
    logging.basicConfig(level="INFO", format="%(process)d %(name)s %(message)s")
    arguments = read_arguments()
    if arguments.role == "worker" and os.path.exists(arguments.fails_if_exists):
        return 5
    role = {"server": be_server, "parent": be_parent, "worker": be_worker}[arguments.role]
    if arguments.asyncio:
        return asyncio.run(role(arguments))
    return run(role(arguments))


if __name__ == "__main__":
    sys.exit(main())
