import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.integration.proxy.fronts import FrontProcess, wait_for_port
from tests.support.servers import free_port


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def httpbin_port() -> Iterator[int]:
    """A web application and a server that this project did not write."""
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable, "-m", "gunicorn", "httpbin:app",
            "--bind", f"127.0.0.1:{port}",
            "--worker-class", "gthread", "--workers", "1", "--threads", "8",
            "--log-level", "error",
        ],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_port(port, lambda: process.poll() is None)
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def front(httpbin_port: int) -> Iterator[FrontProcess]:
    """The proxy in front of httpbin."""
    with FrontProcess(f"http://127.0.0.1:{httpbin_port}") as process:
        yield process
