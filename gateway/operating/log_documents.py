"""An operator log as `--json` answers with it."""

import json
from collections.abc import Sequence
from typing import Any

from gateway.domain.operator_log import Logged, OperatorLog, Verdict, read_entry


def log_document(
    event: str, held: OperatorLog, shown: Sequence[Logged], verdict: Verdict
) -> dict[str, Any]:
    head = held.head
    return {
        "event": event,
        "entries": [entry_document(logged) for logged in shown],
        "head": None if head is None else {"seq": head.seq, "hash": head.hash},
        "whole": verdict.is_whole,
        "faults": list(verdict.faults),
        "notices": list(verdict.notices),
    }


def entry_document(logged: Logged) -> dict[str, Any]:
    if read_entry(logged.text) is None:
        return {"unreadable": logged.text, "hash": logged.hash}
    return {**json.loads(logged.text), "hash": logged.hash}
