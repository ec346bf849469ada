"""nginx in front of a gateway, with the cache that a CDN would be, for a crowd that polls."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.nginx import nginx_binary
from loadtests.proxy_process import START_S
from tests.support.servers import free_port

_CONFIG = """\
daemon off;
{user}
worker_processes {workers};
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 19000; }}
http {{
    access_log off;
    keepalive_timeout 300;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache keys_zone=pointer:1m;
    upstream gateway {{
        server 127.0.0.1:{gateway};
        keepalive 16;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096 reuseport;
        location / {{
            proxy_pass http://gateway;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            # How long a document is good is said by its own Cache-Control.
            proxy_cache pointer;
            proxy_cache_lock on;
            proxy_cache_use_stale updating;
            proxy_cache_background_update on;
        }}
    }}
}}
"""


@contextmanager
def caching_nginx(folder: Path, gateway_port: int, workers: int) -> Iterator[tuple[int, list[int]]]:
    """Run it; yield the port and the process ids.

    Raises:
        FileNotFoundError: There is no nginx here.
    """
    binary = nginx_binary()
    if binary is None:
        raise FileNotFoundError("nginx")
    folder.mkdir()
    port = free_port()
    # A worker that gave up root's rights could not read the temporary folder.
    user = "user root;" if os.getuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(
        _CONFIG.format(folder=folder, port=port, gateway=gateway_port, workers=workers, user=user)
    )
    command = [binary, "-p", str(folder), "-c", str(config)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        deadline = time.monotonic() + START_S
        while len(children.read_text().split()) <= workers and time.monotonic() < deadline:
            time.sleep(0.05)
            if len(children.read_text().split()) >= workers:
                break
        yield port, [int(pid) for pid in children.read_text().split()]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
