"""Behind an nginx that nobody told of streams: it buffers, and every frame arrives all the same."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.push.gateways import PushingGateway
from tests.integration.push.readers import EventReader
from tests.support.eventually import eventually
from tests.support.servers import free_port
from tests.support.staging import Stage

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")

pytestmark = pytest.mark.skipif(NGINX is None, reason="there is no nginx on this machine")

CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{gateway}; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def nginx_port(
    gateway: PushingGateway, short_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, gateway=gateway.port), "utf-8")
    assert NGINX is not None
    process = subprocess.Popen(
        [NGINX, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: listens(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "error.log").read_text("utf-8")
        yield port
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_every_frame_arrives_at_once(stage: Stage, nginx_port: int) -> None:
    stage.waiting()
    stage.waiting()
    with EventReader(nginx_port, stage.event) as stream:
        assert stream.frame().json()["served_up_to"] == 0
        stage.release()
        assert stream.frame().json()["served_up_to"] == 1
        stage.release()
        assert stream.frame().json()["served_up_to"] == 2


def test_who_leaves_nginx_leaves_the_gateway(
    stage: Stage, gateway: PushingGateway, nginx_port: int
) -> None:
    eventually(lambda: gateway.open_streams == 0)
    with EventReader(nginx_port, stage.event) as stream:
        stream.frame()
        assert gateway.open_streams == 1
    eventually(lambda: gateway.open_streams == 0)
