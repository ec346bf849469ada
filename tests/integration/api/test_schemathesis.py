"""Calls made up from the OpenAPI document, most of them wrong on purpose, to a running gateway.

schemathesis walks every operation with the edges of each schema and with random values, sound and
unsound, and holds each answer to the document: status, fields, media type, body, and whether what is
unsound was refused. Its pytest plugin is switched off; here it is a library.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from schemathesis import engine, openapi
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events

from gateway.ports import StateChange
from tests.support.contract import CONTRACT
from tests.support.staging import OpenStage, Stage

EXAMPLES = 5

# What a place, a pass or an event may have come to, beside what schemathesis counts as accepted.
OVER = "410"
NOT_A_PREFLIGHT = "405"
LEDGER_AWAY = "503"

# An answer without an end is none that this walk could read; tests/integration/push reads it.
ENDLESS = "/queue/{event}/events"

ACCEPTED = ["2xx", "3xx", "401", "403", "404", "409", OVER, "429", LEDGER_AWAY]


@dataclass
class Walk:
    """What came of one walk through the document.

    Attributes:
        failures: What was not as documented, each with the request that shows it.
    """

    statuses: Counter[int] = field(default_factory=Counter[int])
    operations: set[str] = field(default_factory=set[str])
    failures: list[str] = field(default_factory=list[str])

    @property
    def calls(self) -> int:
        return self.statuses.total()


def settings_of(stage: Stage, *, token: str | None, event: str | None) -> SchemathesisConfig:
    headers = {"Host": stage.host} | ({} if token is None else {"Queue-Token": token})
    return SchemathesisConfig.from_dict(
        {
            "seed": 20_260_801,
            "base-url": f"http://127.0.0.1:{stage.gateway.port}",
            "headers": headers,
            "parameters": {} if event is None else {"path.event": event},
            "generation": {"max-examples": EXAMPLES, "deterministic": True, "no-shrink": True},
            # A busy machine is no finding.
            "suppress-health-check": ["all"],
            "request-timeout": 60,
            "phases": {"stateful": {"enabled": False}},
            "checks": {
                "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", LEDGER_AWAY]},
                "positive_data_acceptance": {"expected-statuses": ACCEPTED},
                # Without its two fields it is an OPTIONS like any other, which nothing here takes.
                "missing_required_header": {"expected-statuses": ["400", NOT_A_PREFLIGHT]},
            },
            "operations": [
                {
                    # The fields describe another request, of any method. Whether that is canonical no
                    # schema can say; those that are not get their documented 400.
                    "include-path-regex": "^/auth",
                    "checks": {
                        "positive_data_acceptance": {"enabled": False},
                        "unsupported_method": {"enabled": False},
                    },
                },
                {
                    # What is sound is answered by a 426: no schema can ask for an upgrade.
                    "include-path-regex": "/ws$",
                    "checks": {"positive_data_acceptance": {"enabled": False}},
                },
            ],
        }
    )


def error_of(happened: events.NonFatalError | events.FatalError) -> str:
    if isinstance(happened, events.NonFatalError):
        return f"{happened.info.title}: {happened.info.message}"
    return repr(happened.exception)


def walk(stage: Stage, *, token: str | None = None, event: str | None = None) -> Walk:
    """Walk through all operations, with `token` on every call, at `event` or at any name."""
    settings = settings_of(stage, token=token, event=event)
    document = openapi.from_dict(CONTRACT.document, config=settings).exclude(path=ENDLESS)
    walked = Walk()
    for happened in engine.from_schema(document).execute():
        if isinstance(happened, events.ScenarioFinished):
            walked.operations.add(happened.label or "")
            walked.failures += failures_of(happened)
            for interaction in happened.recorder.interactions.values():
                assert interaction.response is not None, interaction.request
                walked.statuses[interaction.response.status_code] += 1
        elif isinstance(happened, events.NonFatalError | events.FatalError):
            walked.failures.append(f"schemathesis itself failed: {error_of(happened)}")
    return walked


def failures_of(scenario: events.ScenarioFinished) -> Iterator[str]:
    for checks in scenario.recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                failure = check.failure_info.failure
                yield (
                    f"{scenario.label}: {check.name}: {failure.title}: {failure.message}\n"
                    f"    {check.failure_info.code_sample}"
                )


def assert_sound(walked: Walk) -> None:
    assert not walked.failures, "\n".join(dict.fromkeys(walked.failures))
    assert len(walked.operations) == sum(1 for _ in operations())
    assert walked.calls > 250


def operations() -> Iterator[tuple[str, str]]:
    for path, item in CONTRACT.document["paths"].items():
        for method in ("get", "post", "options"):
            if method in item and path != ENDLESS:
                yield method, path


@pytest.mark.parametrize("who", ["stranger", "waiting", "served", "admitted"])
def test_whoever_calls_gets_what_is_documented(stage: Stage, who: str) -> None:
    visitor: Any = getattr(stage, "visitor" if who == "stranger" else who)()
    token = None if who == "stranger" else visitor.held if who == "admitted" else visitor.place
    before = stage.operator.read(stage.event).issued
    walked = walk(stage, token=token, event=stage.event)
    assert_sound(walked)
    assert not any(status >= 500 for status in walked.statuses)
    # Joins do get through, and each that was answered so took one place; nothing else took any.
    assert (walked.statuses[201] > 0) or who != "stranger"
    assert stage.operator.read(stage.event).issued - before == walked.statuses[201]


def lose(stage: Stage) -> None:
    stage.lose()


def close(stage: Stage) -> None:
    stage.change(StateChange.CLOSE)


def delete(stage: Stage) -> None:
    stage.delete()


@pytest.mark.parametrize("happen", [lose, close, delete])
def test_in_a_bad_hour_too(open_stage: OpenStage, happen: Callable[[Stage], None]) -> None:
    stage = open_stage()
    visitor = stage.waiting()
    happen(stage)
    walked = walk(stage, token=visitor.place, event=stage.event)
    assert_sound(walked)
    assert (walked.statuses[503] > 0) == (happen is lose)


def test_a_made_up_name_of_an_event_is_no_worse(stage: Stage) -> None:
    walked = walk(stage)
    assert_sound(walked)
    assert walked.statuses[404] > 100
    assert not any(status >= 500 for status in walked.statuses)
