"""Puts the parts together from the settings: the only place that knows them all.

`assembly.py` is the whole; each of the other files puts together the parts of one kind.
"""

from gateway.wiring.assembly import open_gate
from gateway.wiring.ledger import ledger_url
from gateway.wiring.opened import OpenedGate

__all__ = ["OpenedGate", "ledger_url", "open_gate"]
