"""A plan is read at any width, and its page is whole in itself."""

from dataclasses import replace
from typing import Any

import click
import pytest

from gateway.cli.plan_page import plan_page
from gateway.cli.plan_view import LEAST_WIDTH, plan_text
from gateway.domain.events import EventPolicy
from gateway.operating.documents import policy_document
from gateway.operating.plan import Assumed, forecast_document, foretell, needed_by

POLICY = EventPolicy(fill=True, max_sessions=100, window_s=120, session_s=300)
CROWD = Assumed(people=1_000, stay_s=150, failure=(300, 60))


def document(*shares: float) -> dict[str, Any]:
    sales = [
        forecast_document(
            foretell(POLICY, crowd, share),
            persons=(500,),
            by_s=600,
            needed=needed_by(POLICY, crowd, share, 600),
            opens_at=0,
        )
        for share in shares
        for crowd in (replace(CROWD, failure=None), CROWD)
    ]
    return {
        "event": "<sale>",
        "people": 1_000,
        "by_s": 600,
        "policy": policy_document(POLICY),
        "assumed": {
            "waiting": 0,
            "arrive_over_s": 0,
            "stay_s": 150,
            "come_after_s": 20,
            "failure": {"after_s": 300, "for_s": 60},
            "seated": 0,
            "seed": 1,
        },
        "sales": sales,
    }


@pytest.fixture(scope="module")
def plan() -> dict[str, Any]:
    return document(0.0, 0.2, 0.4)


@pytest.mark.parametrize("width", [20, 80, 120, 300])
def test_no_line_is_wider_than_the_terminal_and_every_sale_is_shown(
    plan: dict[str, Any], width: int
) -> None:
    lines = click.unstyle(plan_text(plan, width=width)).splitlines()
    assert max(map(len, lines)) <= max(width, LEAST_WIDTH)
    heads = " ".join(line for line in lines if line.startswith("  no-shows ")).split()
    assert [word for word in heads if "%" in word] == ["0%", "0%,", "20%", "20%,", "40%", "40%,"]
    assert heads.count("fails") == 3


def test_what_is_asked_for_is_answered(plan: dict[str, Any]) -> None:
    text = plan_text(plan, width=100)
    for words in ("person 500 waits", "let in within 10 min", "all, with sessions", "full again"):
        assert words in text
    assert "backend fails  after 5 min, for 1 min" in text


def test_a_page_has_its_plots_and_asks_for_nothing(plan: dict[str, Any]) -> None:
    page = plan_page(plan)
    # Two sales to a plot, without a failure and with it, and four things to be seen.
    assert page.count("<svg") == 12
    assert "&lt;sale&gt;" in page
    assert "<sale>" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count('<rect class="span"') == 12
