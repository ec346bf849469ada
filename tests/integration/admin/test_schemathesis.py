"""Calls made up from the OpenAPI document, most of them wrong on purpose, by an operator who may do all."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from schemathesis import engine, openapi
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events

from gateway.operators.file import add
from gateway.operators.keys import Role
from tests.support.admin import AdminPort, House, patiently

EXAMPLES = 6


def settings_of(port: AdminPort, key: str) -> SchemathesisConfig:
    # What is asked for in vain by one schema, such as the name of a rule, another part says.
    off: dict[str, Any] = {"enabled": False}
    return SchemathesisConfig.from_dict(
        {
            "seed": 20_261_128,
            "base-url": port.url,
            "headers": {"Authorization": f"Bearer {key}"},
            "parameters": {"path.event": "walked"},
            "generation": {"max-examples": EXAMPLES, "deterministic": True, "no-shrink": True},
            # A busy machine is no finding.
            "suppress-health-check": ["all"],
            "request-timeout": 60,
            "phases": {"stateful": {"enabled": False}},
            "checks": {
                "positive_data_acceptance": off,
                "negative_data_rejection": off,
                "ignored_auth": off,
                # The server itself takes no TRACE: 501.
                "unsupported_method": off,
                "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "501"]},
            },
        }
    )


def test_whatever_is_sent_is_answered_as_documented(house: House) -> None:
    port = house.port
    port.create("walked", max_sessions=5)
    document = port.send("GET", "/admin/openapi.json").json()
    # An operator for each path: one alone would soon be told to ask less often.
    keys = {
        path: add(house.file, f"walker-{number}", Role.ADMIN, now_s=time.time())[1]
        for number, path in enumerate(document["paths"])
    }
    headers = {"authorization": f"Bearer {[*keys.values()][-1]}"}
    patiently(lambda: port.ask("GET", "/session", role=None, headers=headers).status == 200)
    statuses: Counter[int] = Counter()
    failures: list[str] = []
    for path, key in keys.items():
        schema = openapi.from_dict(document, config=settings_of(port, key)).include(path=path)
        for happened in engine.from_schema(schema).execute():
            if isinstance(happened, events.ScenarioFinished):
                failures += failures_of(happened)
                for interaction in happened.recorder.interactions.values():
                    assert interaction.response is not None, interaction.request
                    statuses[interaction.response.status_code] += 1
            elif isinstance(happened, events.NonFatalError | events.FatalError):
                failures.append(f"schemathesis itself failed: {happened}")

    assert not failures, "\n".join(dict.fromkeys(failures))
    assert statuses[200] > 10
    assert statuses[400] > 100
    assert not any(status >= 500 and status != 501 for status in statuses)
    # Everything that was sent is over; the gateway goes on.
    assert port.ask("GET", "/events", role="view").status == 200


def failures_of(scenario: events.ScenarioFinished) -> Iterator[str]:
    for checks in scenario.recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                yield f"{scenario.label}: {check.name}: {check.failure_info.failure.message}"
