"""What operators do, each as the command of the same name does it and noted in the operator log."""

import secrets
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast

from gateway.admin import bodies
from gateway.admin.asking import Ask
from gateway.admin.problems import Problem, on_mistake, refuse
from gateway.answers import Answer, json_answer
from gateway.domain.events import EventPolicy, EventSnapshot, EventState
from gateway.domain.positions import EventId, Position, is_event_id
from gateway.errors import LedgerUnavailable, StateLost
from gateway.operating.documents import policy_document, release_document
from gateway.operating.durations import describe_duration, parse_duration
from gateway.operating.policies import BY_NAME, differences, read_table, with_flags
from gateway.operating.releases import (
    LEAST_UNUSUAL,
    Reason,
    amount_asked,
    effects_of,
    people,
    question,
    unusual,
)
from gateway.operating.sessions import LONGEST_EXTENSION_S, why_not_running
from gateway.operators.keys import Role
from gateway.ports import ExtendOutcome, Ledger, Released, SessionSeen, StateChange

LONGEST_BYPASS_S: Final = 86_400
"""A gate that stands open for longer than a day is no gate: take it out of the way instead."""

_LEADS_TO: Final = {
    StateChange.OPEN: EventState.OPEN,
    StateChange.PAUSE: EventState.PAUSED,
    StateChange.RESUME: EventState.OPEN,
    StateChange.CLOSE: EventState.CLOSED,
    StateChange.BYPASS: EventState.BYPASS,
}

_FOR_RELEASERS: Final = frozenset({"pause", "resume"})


class Acts:
    """Acts on the ledger in an operator's name.

    Args:
        check_role: Refuses an ask whose operator's role is less; for what depends on the body.
    """

    def __init__(self, ledger: Ledger, check_role: Callable[[Ask, Role], None]) -> None:
        self._ledger = ledger
        self._check_role = check_role

    async def release(self, ask: Ask) -> Answer:
        """Let people in; what is out of the ordinary needs `confirm`."""
        event, wish = ask.incoming.event(), await ask.incoming.fields(bodies.Release)
        by, to = wish.by, wish.to
        if (by is None) == (to is None):
            refuse(Problem.BAD_INPUT, "Say how many: by, a number of people, or to, a turn.")
        author = ask.author(wish.reason)
        # Also without an id of the client's: where the ledger does not answer, the problem tells it.
        own_id = wish.id or (secrets.token_hex(16) if by is not None and not wish.dry_run else None)

        async def release(*, only_try: bool) -> Released:
            return await self._ledger.release(
                event, by=by, to=to, request_id=own_id, dry_run=only_try, author=author
            )

        with _naming(own_id):
            snapshot = await self._ledger.read(event)
            reasons: tuple[Reason, ...] = ()

            def document(released: Released) -> dict[str, Any]:
                return release_document(
                    event,
                    released,
                    asked=cast("int", to if by is None else by),
                    mode="to" if by is None else "by",
                    request_id=own_id,
                    effects=None if released.repeated else effects_of(snapshot, released),
                    reasons=reasons,
                )

            if wish.dry_run or amount_asked(snapshot, by, to) >= LEAST_UNUSUAL:
                would = await release(only_try=True)
                effects = effects_of(snapshot, would)
                reasons = () if would.repeated else unusual(snapshot, effects, by=by, to=to)
                if wish.dry_run:
                    return json_answer(200, document(would))
                if reasons and not wish.confirm:
                    _ask_first(question(snapshot, effects, reasons), would=document(would))
            return json_answer(200, document(await release(only_try=False)))

    async def state(self, ask: Ask) -> Answer:
        """Change an event's state, as the commands do."""
        event, wish = ask.incoming.event(), await ask.incoming.fields(bodies.State)
        self._check_role(ask, Role.RELEASE if wish.change in _FOR_RELEASERS else Role.ADMIN)
        details = _details(wish)
        change = StateChange.OPEN
        if wish.change == "end-bypass":
            if (await self._ledger.read(event)).state is not EventState.BYPASS:
                refuse(Problem.REFUSED, "The event is not in bypass; nothing was changed.")
        else:
            change = StateChange(wish.change)
        if change in (StateChange.CLOSE, StateChange.BYPASS) and not wish.confirm:
            snapshot = await self._ledger.read(event)
            _ask_first(
                _question(change, snapshot, details), would={"state": _LEADS_TO[change].value}
            )
        await self._ledger.change_state(event, change, author=ask.author(wish.reason), **details)
        return json_answer(200, {"event": event, "state": _LEADS_TO[change].value, **details})

    async def message(self, ask: Ask) -> Answer:
        """Change what the waiting page says; an empty message takes it away."""
        event, wish = ask.incoming.event(), await ask.incoming.fields(bodies.SetMessage)
        await self._ledger.change_state(
            event, StateChange.MESSAGE, message=wish.message, author=ask.author(wish.reason)
        )
        snapshot = await self._ledger.read(event)
        return json_answer(
            200, {"event": event, "state": snapshot.state.value, "message": snapshot.message}
        )

    async def create(self, ask: Ask) -> Answer:
        wish = await ask.incoming.fields(bodies.Create)
        if not is_event_id(wish.event):
            refuse(Problem.BAD_INPUT, "event: a name is 1 to 63 characters of a-z, 0-9 and '-'.")
        event = EventId(wish.event)
        policy = with_flags(EventPolicy(), _rules(wish.policy))
        author = ask.author(wish.reason)
        if not await self._ledger.create(event, policy, opened=wish.open, author=author):
            refuse(
                Problem.EXISTS,
                f"Event {event!r} exists; change its rules with PATCH /admin/events/{event}/policy.",
            )
        state = EventState.OPEN if wish.open else EventState.SCHEDULED
        document = {"event": event, "state": state.value, "policy": policy_document(policy)}
        return json_answer(201, document)

    async def policy(self, ask: Ask) -> Answer:
        """Change rules; what is not named stays."""
        event, wish = ask.incoming.event(), await ask.incoming.fields(bodies.PolicyChange)
        reason = wish.pop("reason", "")
        if not isinstance(reason, str):
            refuse(Problem.BAD_INPUT, "reason: must be text.")
        given = _rules(wish, creating=False)
        if not given:
            refuse(Problem.BAD_INPUT, "Name at least one rule to change, such as max_sessions.")
        author = ask.author(reason)
        before = (await self._ledger.read(event)).policy
        after = with_flags(before, given)
        if after != before:
            await self._ledger.configure(event, after, author=author)
        changes = differences(before, after)
        document = {"event": event, "changes": changes, "policy": policy_document(after)}
        return json_answer(200, document)

    async def reset(self, ask: Ask) -> Answer:
        event, wish = ask.incoming.event(), await ask.incoming.fields(bodies.Reset)
        own_id = wish.id or secrets.token_hex(16)
        author = ask.author(wish.reason)
        with _naming(own_id):
            snapshot = await self._ledger.read(event)
            if wish.confirm != event:
                _ask_for_name(f"Reset {event!r}? {_losses(snapshot)}", event)
            begun = await self._ledger.reset(
                event, snapshot.generation, opened=wish.open, request_id=own_id, author=author
            )
        document = {
            "event": event,
            "state": (EventState.OPEN if wish.open else EventState.SCHEDULED).value,
            "generation": begun,
            "previous_generation": snapshot.generation,
        }
        return json_answer(200, document)

    async def delete(self, ask: Ask) -> Answer:
        event, wish = ask.incoming.event(), await ask.incoming.fields(bodies.Delete)
        own_id = wish.id or secrets.token_hex(16)
        author = ask.author(wish.reason)
        with _naming(own_id):
            if wish.confirm != event:
                snapshot = await self._ledger.read(event)
                _ask_for_name(f"Delete {event!r} for good? {_losses(snapshot)}", event)
            await self._ledger.delete(event, request_id=own_id, author=author)
        return json_answer(200, {"event": event, "state": EventState.DELETED.value})

    async def end_session(self, ask: Ask) -> Answer:
        event, position = ask.incoming.event(), ask.incoming.position()
        wish = await ask.incoming.fields(bodies.EndSession)
        author = ask.author(wish.reason)
        generation = (await self._ledger.read(event)).generation
        _require_running(position, await self._ledger.session(event, generation, position))
        # One that ended meanwhile, by itself or by a repetition of this, is what was asked for.
        await self._ledger.leave(event, generation, position, 0, author=author)
        document = {"event": event, "generation": generation, "position": position}
        return json_answer(200, {**document, "session": "over"})

    async def extend_session(self, ask: Ask) -> Answer:
        event, position = ask.incoming.event(), ask.incoming.position()
        wish = await ask.incoming.fields(bodies.ExtendSession)
        for_s = seconds_of(wish.for_, most_s=LONGEST_EXTENSION_S, name="for")
        author = ask.author(wish.reason)
        generation = (await self._ledger.read(event)).generation
        extended = await self._ledger.extend(
            event, generation, position, by_s=for_s, by_visitor=False, author=author
        )
        if extended.outcome is not ExtendOutcome.EXTENDED:
            _require_running(position, await self._ledger.session(event, generation, position))
        document = {
            "event": event,
            "generation": generation,
            "position": position,
            "extended": extended.longer,
            "session_ends_at": extended.session_ends_at,
        }
        return json_answer(200, document)


def _require_running(position: Position, seen: SessionSeen) -> None:
    if (why := why_not_running(position, seen)) is not None:
        refuse(Problem.NO_SUCH_SESSION, f"{why[:1].upper()}{why[1:]}. Nothing was changed.")


def _details(wish: bodies.State) -> dict[str, Any]:
    """Return what belongs to the change, named as the ledger and the commands name it."""
    if wish.change != "pause" and (wish.message or wish.releases_only):
        refuse(Problem.BAD_INPUT, "message and releases_only belong to the change 'pause'.")
    if (wish.change == "bypass") != (wish.for_ is not None):
        refuse(Problem.BAD_INPUT, "for, a length like 10m, belongs to 'bypass', which needs it.")
    match wish.change:
        case "pause":
            return {"message": wish.message, "releases_only": wish.releases_only}
        case "bypass":
            return {"for_s": seconds_of(wish.for_ or 0, most_s=LONGEST_BYPASS_S, name="for")}
        case _:
            return {}


def seconds_of(written: int | str, *, most_s: int, name: str) -> int:
    """Return a length of time in seconds.

    Raises:
        Refusal: It is none, or longer than `most_s`.
    """
    try:
        seconds = parse_duration(written) if isinstance(written, str) else written
    except ValueError as exc:
        refuse(Problem.BAD_INPUT, f"{name}: {exc}.")
    if not 1 <= seconds <= most_s:
        refuse(Problem.BAD_INPUT, f"{name}: must lie between 1 s and {describe_duration(most_s)}.")
    return seconds


def _rules(table: Mapping[str, object], *, creating: bool = True) -> dict[str, int | bool | None]:
    mistakes: list[str] = []
    given = read_table(table, "policy", mistakes)
    mistakes += [
        f"policy {name}: is decided when the event is created"
        for name in given
        if BY_NAME[name].at_creation and not creating
    ]
    if mistakes:
        refuse(Problem.BAD_INPUT, "; ".join(mistakes) + ".", mistakes=mistakes)
    return given


def _question(change: StateChange, snapshot: EventSnapshot, details: Mapping[str, Any]) -> str:
    waiting = people(snapshot.waiting)
    if change is StateChange.BYPASS:
        length = describe_duration(details["for_s"])
        return f"Let EVERYONE through at {snapshot.event!r} for {length}, past {waiting} waiting?"
    return f"Close {snapshot.event!r} with {waiting} waiting?"


def _losses(snapshot: EventSnapshot) -> str:
    waiting, inside = people(snapshot.waiting), people(snapshot.active_sessions)
    state = snapshot.state.value
    return f"It is {state}: {waiting} waiting lose their place, {inside} inside their session."


def _ask_first(asked: str, *, would: Mapping[str, Any]) -> None:
    detail = f"{asked} Nothing was changed; send confirm: true to do it."
    refuse(Problem.CONFIRM, detail, question=asked, would=would)


def _ask_for_name(asked: str, event: EventId) -> None:
    detail = f"{asked} Nothing was changed; send confirm: {event!r} to do it."
    refuse(Problem.CONFIRM, detail, question=asked)


@contextmanager
def _naming(request_id: str | None) -> Generator[None]:
    """Tell the id with an answer that may be asked for again by it."""
    try:
        yield
    except StateLost:
        raise
    except LedgerUnavailable as exc:
        refused = on_mistake(exc, id=request_id)
        assert refused is not None  # noqa: S101 - every trouble of the ledger's has an answer
        raise refused from exc
