"""The demo's data folder: its settings file, its keys, and the lock that keeps a second demo away."""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gateway.cli.exits import Refused
from gateway.domain.events import EventPolicy
from gateway.domain.positions import EventId
from gateway.whole_files import replace_whole, usual_mode

EVENT = EventId("demo")
OPERATOR = "demo"
POLICY = EventPolicy(max_sessions=50, window_s=15 * 60, session_s=10 * 60)

_CONFIG = """\
# Settings of the demo. `gateway demo` made this file on its first run and keeps it as it is:
# change what you like and start the demo again. `gateway config check` shows what is in force.
log_level = "warning"

[server]
port = 8080          # for visitors; when it is taken, the demo picks a free one
admin_port = 8081    # metrics and the operator's interface
# Any proxy on this machine may ask /auth, so that an nginx of your own can be tried in front.
forward_auth_peers = ["127.0.0.0/8", "::1/128"]
# Nobody's X-Forwarded-For is believed.
trusted_proxies = []

[keys]
dir = "keys"         # the keys that sign tokens: gateway --config THIS-FILE keys list

[ledger]
data_dir = "ledger"  # an embedded Valkey; positions are kept here
floor_dir = "floors" # what the gateway knows for certain, should that be lost

[proxy]
# The demo stands in front of a small sample site. To see your own site behind the queue, name it:
# backend = "http://127.0.0.1:3000"

[joins]
burst = 0            # no limit for each address: everybody on this machine has the same one

[events.demo]
hosts = ["127.0.0.1", "localhost"]
# Everything on these hosts needs a place in the queue, except:
open = ["GET,HEAD /", "GET,HEAD /about", "GET,HEAD /assets/"]
# Who is paying when the session ends may finish.
finish = ["/booked", "/done"]
"""


@contextmanager
def owned(folder: Path) -> Generator[IO[str]]:
    """Hold the folder for one demo; yields a file to say in where it answers.

    Raises:
        Refused: Another demo holds it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "demo.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            lock.seek(0)
            where = lock.read().strip()
            raise Refused(
                f"another demo runs on {folder}{f' ({where})' if where else ''}; "
                "stop it, or choose another folder with --data-dir"
            ) from exc
        lock.truncate(0)
        yield lock


def say_where(lock: IO[str], url: str) -> None:
    """Leave a word for a second demo on the same folder."""
    lock.truncate(0)
    lock.write(f"process {os.getpid()}, {url}")
    lock.flush()


def write_config(folder: Path) -> Path:
    """Return the settings file, made where there is none."""
    path = folder / "gateway.toml"
    if not path.exists():
        # In one step: a demo that is killed now leaves no half of a file behind.
        replace_whole(path, _CONFIG.encode(), mode=usual_mode())
    return path


def operator_key(file: Path) -> str:
    """Make the demo's operator a new key, and return it: of the one before, only the hash is known.

    Raises:
        OperatorFileError: The file cannot be used.
    """
    from gateway.operators.file import add
    from gateway.operators.keys import Role

    return add(file, OPERATOR, Role.ADMIN, now_s=time.time(), replace=True)[1]


def ensure_key(key_dir: Path) -> None:
    """Make a key where none signs.

    Raises:
        KeyRingError: The folder cannot be used.
    """
    from gateway.tokens.keyring import KeyState, list_keys, new_key

    entries = list_keys(key_dir) if key_dir.exists() else ()
    if not any(entry.state is KeyState.ACTIVE for entry in entries):
        new_key(key_dir, now_s=time.time())
