"""What `gateway event set` says of a change, for people."""

import re

from gateway.cli.rendering import changes_text
from gateway.domain.events import Durability


def test_instants_and_levels_are_said_in_words() -> None:
    text = changes_text({"opens_at": (0, 1798743600), "window_s": (900, 600)})
    assert re.fullmatch(r"opens_at never -> 2026-12-3\d \S+ \S+, window_s 900 -> 600", text)
    levels = (Durability.REPLICAS.value, Durability.FSYNC.value)
    assert changes_text({"durability": levels}) == "durability replicas -> fsync"
