"""What the page without a script says in each case: decided from what is known, in no language yet."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.domain.admission import STATUS_OF, ProblemType, Refused
from gateway.domain.events import EventState
from gateway.domain.positions import Generation, Position, Turn
from gateway.domain.shown_wait import show_next
from gateway.domain.waiting import Wait
from gateway.page.languages import Language
from gateway.queue import FULL_RETRY_S, Standing

LEDGER_RETRY_S = 5

# How long the browser of somebody who asked for it waits on "it is your turn" before it goes on by itself.
ENTER_AFTER_S = 2

PLACE_IS_OVER = frozenset(
    {ProblemType.WINDOW_MISSED, ProblemType.GENERATION_OVER, ProblemType.EVENT_CLOSED}
)

PROBLEMS = frozenset({"many", "challenge", "voucher"})
"""What can stand against a join; the address names it after a form was refused."""


@dataclass(frozen=True, slots=True)
class View:
    """One showing of the page.

    Attributes:
        name: Which of the texts `title.…` and `lead.…`.
        lead: Key of another text under the title.
        standing: The numbers, where the visitor has a place that waits.
        paused: Whether the waiting time stands still.
        forms: What the visitor may do, most likely first: names of calls.
        again_s: After how many seconds to look again; None where nothing will change.
        enters: Whether looking again means to go in.
        problem: One of `PROBLEMS`.
        cookies_blocked: Whether the browser sent no cookie back.
    """

    name: str
    lead: str = ""
    status: int = 200
    standing: Standing | None = None
    paused: bool = False
    forms: tuple[str, ...] = ()
    again_s: int | None = None
    enters: bool = False
    problem: str = ""
    cookies_blocked: bool = False


def standing_view(standing: Standing, state: EventState | None, door: Refused | None) -> View:
    """Say where somebody with a place stands.

    Args:
        state: The event's; None while it was never read.
        door: What would refuse them at the door, where their turn has come.
    """
    problem = None if door is None else door.problem
    if state is EventState.SUSPENDED or problem is ProblemType.LEDGER_AWAY:
        return View("moment", "plain.lead", standing=standing, again_s=LEDGER_RETRY_S)
    if problem is ProblemType.BACKEND_FULL:
        return View("full", standing=standing, forms=("claim", "leave"), again_s=FULL_RETRY_S)
    if standing.status == "your-turn" and door is None:
        return View(
            "turn",
            standing=standing,
            forms=("claim", "leave"),
            again_s=ENTER_AFTER_S,
            enters=True,
        )
    if state is EventState.CLOSED:
        return View("closed", standing=standing, forms=("leave",))
    name, lead = _WAITING.get(state, _WAITING[EventState.OPEN])
    return View(
        name,
        lead,
        standing=standing,
        paused=state is EventState.PAUSED,
        forms=("leave",),
        again_s=standing.retry_after_s or LEDGER_RETRY_S,
    )


_WAITING: dict[EventState | None, tuple[str, str]] = {
    EventState.OPEN: ("waiting", "plain.lead"),
    EventState.SCHEDULED: ("scheduled", ""),
    EventState.PAUSED: ("paused", ""),
}

_REFUSED: dict[ProblemType, str] = {
    ProblemType.NO_TOKEN: "not_in",
    ProblemType.WINDOW_MISSED: "ended",
    ProblemType.GENERATION_OVER: "anew",
}
"""Where a refusal leaves the visitor no place, the way back in is to join again."""


def refused_view(refused: Refused, state: EventState | None) -> View:
    """Say why somebody has no place, or has it no more."""
    if state in (EventState.CLOSED, EventState.DELETED):
        return View("closed", status=STATUS_OF[ProblemType.EVENT_CLOSED])
    if state is EventState.SUSPENDED or refused.problem not in _REFUSED:
        if refused.problem is ProblemType.EVENT_CLOSED:
            return View("closed", status=STATUS_OF[ProblemType.EVENT_CLOSED])
        return AWAY
    return View(_REFUSED[refused.problem], forms=("join",))


AWAY = View("moment", status=STATUS_OF[ProblemType.LEDGER_AWAY], again_s=LEDGER_RETRY_S)
"""Nothing is known: not even whether the visitor has a place."""


@dataclass(frozen=True, slots=True)
class Fact:
    name: str
    label: str
    value: str


def facts_of(view: View, language: Language) -> Iterator[Fact]:
    """Put the numbers into words."""
    standing = view.standing
    if standing is None:
        return
    waits = view.again_s is not None and not view.enters and view.name not in ("moment", "full")
    if waits and standing.ahead is not None:
        yield Fact("ahead", language.say("fact.ahead"), language.ahead(standing.ahead))
    if waits:
        text = (
            language.say("wait.paused") if view.paused else language.wait(_rounded(standing.wait))
        )
        yield Fact("wait", language.say("fact.wait"), text)
    yield Fact("position", language.say("fact.position"), language.number(standing.position))


def _rounded(wait: Wait | None) -> Wait | None:
    """Round as the script does for somebody who sees a waiting time for the first time."""
    shown = show_next(None, wait, 0)
    return None if shown is None else shown.left_at(0)


def samples() -> Iterator[View]:
    """Show every kind of view once, to try a template on."""
    standing = Standing(
        status="waiting",
        generation=Generation(1),
        position=Position(1234),
        turn=Turn(1234),
        served_up_to=1000,
        ahead=233,
        wait=Wait(low_s=600, high_s=1500),
        retry_after_s=10,
    )
    for state in (EventState.OPEN, EventState.SCHEDULED, EventState.PAUSED, EventState.CLOSED):
        yield standing_view(standing, state, None)
    yield View("turn", standing=standing, forms=("claim", "leave"), again_s=2, enters=True)
    for name in _REFUSED.values():
        yield View(name, forms=("join",))
    yield AWAY
    yield View("not_in", cookies_blocked=True)
    for problem in PROBLEMS:
        yield View("not_in", forms=("join",), problem=problem)
