"""Tells HAProxy over its runtime socket, and keeps the files from which it reads when it starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.proxyconfig.haproxy.files import HAProxyFiles, ended_entries, event_entries
from gateway.proxyconfig.haproxy.runtime import RuntimeMaps
from gateway.proxyconfig.knowledge import Knowledge
from gateway.proxyconfig.sync import Step

# So many sessions may be dead in HAProxy's map, beside as many as are in use, before it is made anew.
_DEAD_ALLOWED: Final = 1000


@dataclass(slots=True)
class _Told:
    """What the HAProxy of one process id has been told."""

    process: int = 0
    event: Mapping[str, str] = field(default_factory=dict[str, str])
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    ended: set[str] = field(default_factory=set[str])


class HAProxySync:
    """Tells one HAProxy what is known.

    Args:
        good_for_s: How long what was read holds without a further read.
    """

    def __init__(self, files: HAProxyFiles, *, good_for_s: int) -> None:
        self._files = files
        self._runtime = RuntimeMaps(files.socket)
        self._good_for_s = good_for_s
        self._told = _Told()
        self._written: Knowledge | None = None

    def tell(self, known: Knowledge, *, read_at_s: float) -> Step:
        """See `Sync`."""
        good_until_s = int(read_at_s) + self._good_for_s
        # Files first: a HAProxy that starts meanwhile reads them, and is told at the next step.
        reload = self._files.write_keys(known.keys)
        if known != self._written:
            self._files.write_maps(known, good_until_s=good_until_s, good_for_s=self._good_for_s)
            self._written = known
        whole = self._tell_process(known, good_until_s)
        return Step(reload, whole, known.generation, len(known.ended), len(known.keys))

    def _tell_process(self, known: Knowledge, good_until_s: int) -> bool:
        process = self._runtime.process()
        whole = process != self._told.process
        if whole:
            self._told = _Told(process)
        told = self._told
        keys, ended = self._files.key_entries(known.keys), ended_entries(known)
        if keys != told.keys:
            self._runtime.replace(self._files.keys_map, keys)
            told.keys = keys
        if whole or len(told.ended) > 2 * len(ended) + _DEAD_ALLOWED:
            self._runtime.replace(self._files.ended_map, ended)
            told.ended = set(ended)
        elif new := {place: end for place, end in ended.items() if place not in told.ended}:
            self._runtime.add(self._files.ended_map, new)
            told.ended.update(new)
        event = event_entries(known, good_until_s=good_until_s, good_for_s=self._good_for_s)
        if event != told.event:
            self._runtime.replace(self._files.event_map, event)
            told.event = event
        return whole
