"""What must hold of any text that an operator, a file or the ledger hands over."""

import contextlib
from itertools import pairwise
from pathlib import Path

from gateway.domain.holes import Holes
from gateway.domain.positions import is_event_id, parse_event_id
from gateway.domain.routes import PathEntry, parse_host
from gateway.errors import BadInput, SettingsInvalid
from gateway.operating.durations import LONGEST_S, describe_duration, parse_duration, parse_moment
from gateway.settings import Settings, load_settings
from tests.support.fuzzing import counted, guided

SECRET = "hunter2-hunter2"


@counted
def settings_file(path: Path, content: bytes, environ: dict[str, str]) -> bool:
    """A file is settings that hold together, or a list of mistakes that quotes no password."""
    path.write_bytes(content)
    try:
        settings = load_settings(path, environ)
    except SettingsInvalid as invalid:
        assert invalid.mistakes
        assert all(mistake.strip() for mistake in invalid.mistakes)
        # The ledger's URL may hold a password; what is no password's place may be quoted.
        assert not [m for m in invalid.mistakes if m.startswith("[ledger]") and SECRET in m]
        return False
    assert isinstance(settings, Settings)
    assert SECRET not in repr(settings.ledger)
    assert settings.server.port != settings.server.admin_port or settings.server.port == 0
    # What was accepted can be used: none of these may find a mistake that the check did not.
    table = settings.routes()
    assert {route.event for route in table.routes} == set(settings.events)
    settings.trusted_networks()
    settings.forward_auth_networks()
    return True


@guided
def holes(raw: bytes) -> bool:
    """The ledger's notation is read back as it was written, or refused as a ValueError."""
    text = raw.decode("latin-1")
    try:
        read = Holes.parse(text)
    except ValueError:
        return False
    written = ",".join(f"{first}-{last}" for first, last in read.ranges)
    assert Holes.parse(written) == read
    assert all(first <= last for first, last in read.ranges)
    assert all(a[1] < b[0] for a, b in pairwise(read.ranges))
    if read.ranges:
        last = read.ranges[-1][1]
        empty = sum(b - a + 1 for a, b in read.ranges)
        assert read.occupied_between(0, last) == last - empty
        assert read.occupied_between(last, last + 5) == 5
    return bool(read.ranges)


@guided
def operators_words(raw: bytes) -> bool:
    """A length, an instant, a name, a host, a path: read, or refused in words."""
    text = raw.decode("utf-8", "replace")
    accepted = False
    with contextlib.suppress(ValueError):
        seconds = parse_duration(text)
        assert 0 <= seconds <= LONGEST_S
        assert describe_duration(seconds)
        accepted = True
    with contextlib.suppress(ValueError):
        parse_moment(text)
        accepted = True
    with contextlib.suppress(BadInput):
        assert is_event_id(parse_event_id(text))
        assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        accepted = True
    with contextlib.suppress(ValueError):
        assert parse_host(text) in ("*", parse_host(parse_host(text)))
        accepted = True
    with contextlib.suppress(ValueError):
        entry = PathEntry.parse(text)
        assert entry.path_key.startswith("/")
        assert all(method == "*" or method == method.upper() for method in entry.methods)
        accepted = True
    return accepted
