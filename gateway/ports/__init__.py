"""What the use cases need from outside, in our own words."""

from gateway.ports.ledger import Ledger
from gateway.ports.ledger_words import (
    Claimed,
    ClaimOutcome,
    Evidence,
    Extended,
    ExtendOutcome,
    GatewaysSeen,
    JoinRequest,
    Place,
    Recovery,
    Released,
    Scheduled,
    SessionSeen,
    SessionState,
    StateChange,
)
from gateway.ports.process import Clock, JoinGuard, Observer, Schedules, Snapshots, Witness
from gateway.ports.tokens import TokenSigner, TokenVerifier, Vouched, VoucherReader

__all__ = [
    "ClaimOutcome",
    "Claimed",
    "Clock",
    "Evidence",
    "ExtendOutcome",
    "Extended",
    "GatewaysSeen",
    "JoinGuard",
    "JoinRequest",
    "Ledger",
    "Observer",
    "Place",
    "Recovery",
    "Released",
    "Scheduled",
    "Schedules",
    "SessionSeen",
    "SessionState",
    "Snapshots",
    "StateChange",
    "TokenSigner",
    "TokenVerifier",
    "Vouched",
    "VoucherReader",
    "Witness",
]
