"""Alerts and dashboard: right by Prometheus's own tools, and about metrics that a gateway really has."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.edge.options import BackendFault
from tests.integration.monitoring.conftest import MONITORING, Promtool
from tests.support.staging import Stage

RULES, TESTS = MONITORING / "alerts.yml", MONITORING / "alerts_test.yml"
DASHBOARD = MONITORING / "grafana.json"

_NAME = re.compile(r"\bgateway_[a-z0-9_]+\b")
_OF_A_FAMILY = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)


def queries() -> list[str]:
    """Return every query of the dashboard, a choice made for its variables."""
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [
        target["expr"].replace("$event", "sale|other")
        for panel in panels
        for target in panel.get("targets", [])
    ]


def exported(text: str) -> set[str]:
    """Return the names of all series that an exposition describes."""
    names: set[str] = set()
    for name, kind in _OF_A_FAMILY.findall(text):
        names.add(name)
        if kind == "histogram":
            names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return names


@pytest.fixture
def exposition(stage: Stage) -> str:
    return stage.gateway.opened.metrics.exposition().decode()


def test_the_rules_are_valid(promtool: Promtool) -> None:
    promtool("check", "rules", "--lint-fatal", RULES)


def test_the_rules_alert_when_they_should_and_not_otherwise(promtool: Promtool) -> None:
    assert "SUCCESS" in promtool("test", "rules", TESTS)


def test_every_rule_is_tested_and_says_what_to_do() -> None:
    alerts = re.findall(r"^      - alert: (\w+)$", RULES.read_text("utf-8"), re.MULTILINE)
    tested = re.findall(r"^        alertname: (\w+)$", TESTS.read_text("utf-8"), re.MULTILINE)
    assert len(alerts) >= 6
    assert set(alerts) == set(tested)
    assert RULES.read_text("utf-8").count("          action: ") == len(alerts)


def test_a_gateway_exports_everything_that_an_alert_or_a_panel_names(exposition: str) -> None:
    asked = {name for query in queries() for name in _NAME.findall(query)}
    asked |= set(_NAME.findall(RULES.read_text("utf-8")))
    assert len(asked) > 20
    assert asked <= exported(exposition)


def test_every_query_of_the_dashboard_can_be_read(promtool: Promtool, tmp_path: Path) -> None:
    rules = tmp_path / "panels.yml"
    recorded = [{"record": f"panel:{n}", "expr": query} for n, query in enumerate(queries())]
    # JSON is YAML.
    rules.write_text(json.dumps({"groups": [{"name": "panels", "rules": recorded}]}), "utf-8")
    assert f"{len(recorded)} rules found" in promtool("check", "rules", rules)


def test_panels_do_not_share_a_number_or_a_place() -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    places = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_names_and_texts_of_all_metrics_follow_the_conventions(
    stage: Stage, promtool: Promtool
) -> None:
    visitor = stage.admitted()
    visitor.get("/book")
    metrics = stage.gateway.opened.metrics
    metrics.backend_failed(BackendFault.UNREACHABLE)
    metrics.frames_pushed("events", 1, 1)
    promtool("check", "metrics", stdin=metrics.exposition().decode())
