"""What `--json` answers with. The names are stable: programs read them; people get the same in words."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gateway.domain.backoff import RECOVERY_MS
from gateway.domain.events import NO_LIMIT, EventPolicy, EventSnapshot, EventState
from gateway.domain.waiting import release_rate_per_s
from gateway.operating.releases import Effects, Reason
from gateway.ports import Released

STATUS_HELP = """\
\b
Fields of --json:
  event, state, message, generation
  mode                enforce, or observe: everybody is let through; null where the settings do not
                      name the event
  issued              positions handed out so far
  served_up_to        the pointer: every turn up to it was let in
  waiting             handed out, not let in
  active_sessions     of max_sessions (null: no limit)
  sessions_held       those of them that stand in for sessions lost with the ledger's data, until their
                      passes are shown or must have ended
  claims              turns exchanged for a pass so far
  rate_per_min        people let in per minute, lately (null: no history)
  event_clock_s       seconds that claims could be served
  holes, ceiling      ranges that belong to nobody; positions below it may be dealt
  claims_frozen       whether a pause stops claims too
  updated_at          Unix seconds of the last change
  healed              how it was last brought back after a loss or on another server; null if never
  schedule            what the release schedule does now; null without one
    why               why it lets in no more just now: rate, full, overshoot, nobody-waits, ill, or
                      the state of an event that is not open; null before its first call
    pace              1; less while a backend that was ill is spared
    at_the_door       people whose turn has come and who have not claimed it yet, in their window
    expected          how many of them will come, by what was seen so far
    show_rate         the part of those let in that claims its turn; null before any window has passed
  policy, draw        the rules, lengths in seconds; draw is null without one
"""


def status_document(snapshot: EventSnapshot, mode: str | None = None) -> dict[str, Any]:
    """`mode` is what the settings of who asks say of the event; null where they do not name it."""
    rate_per_s = release_rate_per_s(snapshot)
    draw, healed = snapshot.draw, snapshot.healed
    return {
        "event": snapshot.event,
        "state": snapshot.state.value,
        "message": snapshot.message,
        "mode": mode,
        "generation": snapshot.generation,
        "issued": snapshot.issued,
        "served_up_to": snapshot.served_up_to,
        "waiting": snapshot.waiting,
        "active_sessions": snapshot.active_sessions,
        "max_sessions": limit_of(snapshot.policy),
        "sessions_held": snapshot.sessions_held,
        "claims": snapshot.claims,
        "rate_per_min": None if rate_per_s is None else round(rate_per_s * 60, 1),
        "event_clock_s": snapshot.active_ms / 1000,
        "holes": [list(hole) for hole in snapshot.holes.ranges],
        "ceiling": snapshot.ceiling,
        "claims_frozen": snapshot.claims_frozen,
        "updated_at": snapshot.updated_at_ms // 1000,
        "healed": None
        if healed is None
        else {
            "at": healed.at_ms // 1000,
            "why": healed.why,
            "known_issued": healed.known_issued,
            "went_on_above": healed.went_on_above,
            "silent_gateways": healed.silent,
        },
        "schedule": schedule_document(snapshot),
        "draw": None
        if draw is None
        else {"commitment": draw.commitment, "seed": draw.seed, "count": draw.count},
        "policy": policy_document(snapshot.policy),
    }


def schedule_document(snapshot: EventSnapshot) -> dict[str, Any] | None:
    if not snapshot.policy.has_schedule:
        return None
    state, turnout = snapshot.schedule, snapshot.turnout
    why = None if state is None else state.reason
    if snapshot.state is not EventState.OPEN:
        why = snapshot.state.value
    at_the_door, expected = (0, 0.0) if turnout is None else turnout.at_the_door()
    show_rate = None if turnout is None else turnout.show_rate()
    return {
        "why": why,
        "pace": 1.0 if state is None else round(state.pace_ms / RECOVERY_MS, 2),
        "at_the_door": at_the_door,
        "expected": round(expected),
        "show_rate": None if show_rate is None else round(show_rate, 3),
    }


def limit_of(policy: EventPolicy) -> int | None:
    return None if policy.max_sessions == NO_LIMIT else policy.max_sessions


def policy_document(policy: EventPolicy) -> dict[str, Any]:
    return {**asdict(policy), "durability": policy.durability.word}


RELEASE_HELP = """\
\b
Fields of --json:
  event, by or to     what was asked
  before, after       the pointer
  people              let in; turns in holes are not counted
  capped              whether fewer were let in than asked: nobody else waits
  repeated            whether this id was carried out before; nothing moved now
  dry_run
  id                  stands for this release, whatever came of it: also one that let nobody in is not
                      made up for under the same id
  unusual             [{code, text}]: what a release is asked about first, empty for most. Codes:
                      beyond-waiting, beyond-room, beyond-habit, backend-ill
  effects             by the numbers just before it; null where repeated
    people, not_joined, holes_crossed
                      not_joined of the people have not joined yet (headroom)
    show_rate, expected
                      the part that came so far (null: nothing seen, all count), and how many that is
    claim_window_s      they may take so long to claim, while claims can be served
    sessions, at_the_door
                      that run; let in before and not come yet
    sessions_expected, sessions_at_most, max_sessions
                      once all of them, or those expected, have come and none has ended
    wait_expected, wait_at_most
                      how many find no place free then and wait at the door
    frees_per_min, wait_s
                      places that become free a minute; how long the last of wait_expected waits
    rate_per_min, usual_min
                      people let in a minute lately; how many minutes that takes for as many
    largest             the largest release so far; null before there were three of some size
"""


def release_document(
    event: str,
    released: Released,
    *,
    asked: int,
    mode: str,
    request_id: str | None,
    effects: Effects | None,
    reasons: Sequence[Reason] = (),
) -> dict[str, Any]:
    return {
        "event": event,
        mode: asked,
        "before": released.before,
        "after": released.after,
        "people": released.people,
        "capped": released.capped,
        "repeated": released.repeated,
        "dry_run": released.dry_run,
        "id": request_id,
        "unusual": [{"code": reason.code.value, "text": reason.text} for reason in reasons],
        "effects": None if effects is None else effects.document(),
    }
