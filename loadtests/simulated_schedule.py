"""A whole sale by the release schedule, in virtual time: what it does with the backend's places.

    python -m loadtests.simulated_schedule          the table of README.md
    python -m loadtests.simulated_schedule --lua    the last row by the real scripts, on a real server

200,000 people arrive in bursts; some of those let in never come, the others after a while; sessions are of
all lengths; for some minutes the backend fails. The sale is the one that `gateway plan` foretells by. By
default the event is its model in Python, to which a test holds the scripts.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.domain.backoff import Seen
from gateway.domain.events import Durability, EventPolicy
from gateway.operating.simulated_sale import ModelEvent, Outcome, Scenario, run
from tests.support.servers import RealServer, valkey_binary
from tests.support.virtual_sale import VirtualSale


class LuaEvent:
    """The same by the scripts, on a real server."""

    def __init__(self, server: RealServer, scenario: Scenario) -> None:
        policy = EventPolicy(
            fill=not scenario.rate_people,
            schedule_people=scenario.rate_people,
            schedule_every_s=scenario.rate_every_s,
            max_sessions=scenario.limit,
            overshoot=scenario.overshoot,
            window_s=scenario.window_s,
            session_s=scenario.session_s,
            late_for_s=0,
            durability=Durability.MEMORY,
        )
        self._sale = VirtualSale(server, policy)
        self.pass_ms = self._sale.pass_ms
        self.join = self._sale.join
        self.claim = self._sale.claim
        self.leave = self._sale.leave
        self.close = self._sale.close

    def let_in(self, seen: Seen) -> int:
        return self._sale.follow_schedule(seen, gateway="gateway")[1]

    def active(self) -> int:
        return self._sale.read().active_sessions

    def exposed(self) -> int:
        event = self._sale.read()
        return event.active_sessions + (event.turnout.at_the_door()[0] if event.turnout else 0)


def changing(second: float) -> float:
    """From nobody to 60 % and back, every half an hour."""
    return 0.6 * (1 - abs(second % 1800 / 900 - 1))


SCENARIOS: Final[Sequence[tuple[str, Scenario]]] = [
    ("everybody comes", Scenario(no_show=lambda _: 0.0)),
    ("20 % do not", Scenario(no_show=lambda _: 0.2)),
    ("40 % do not", Scenario(no_show=lambda _: 0.4)),
    ("60 % do not", Scenario(no_show=lambda _: 0.6)),
    ("0 to 60 %, the backend fails", Scenario(no_show=changing, fails=(2400, 2700))),
]


def _row(name: str, how: str, scenario: Scenario, outcome: Outcome) -> str:
    words = (
        name,
        how,
        f"{outcome.use:.1%}",
        f"{outcome.most_active / scenario.limit:.1%}",
        f"{outcome.most_exposed / scenario.limit:.2f}",
        f"{outcome.most_turned_away:,}",
        f"{outcome.missed:,}",
        f"{outcome.took_s / 60:.0f} min",
    )
    return f"| {' | '.join(words)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lua", action="store_true")
    if parser.parse_args().lua:
        name, scenario = SCENARIOS[-1]
        with tempfile.TemporaryDirectory() as folder:
            server = RealServer(valkey_binary(), Path(folder), {"appendonly": "no"})
            server.start()
            try:
                event = LuaEvent(server, scenario)
                print(_row(name, "the scripts", scenario, run(scenario, event)))
                event.close()
            finally:
                server.kill()
        return
    print(
        "| who comes | released by | places used | most used | with open turns, of the limit | "
        "turned away at once | lost | took |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, scenario in SCENARIOS:
        print(_row(name, "the schedule", scenario, run(scenario, ModelEvent(scenario))))
        batch = round(scenario.limit * 60 / scenario.middle_s)
        fixed = run(scenario, ModelEvent(scenario, batch=batch))
        print(_row(name, f"{batch} a minute", scenario, fixed), flush=True)


if __name__ == "__main__":
    main()
