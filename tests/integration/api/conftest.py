"""The stage of `tests.support.staging`; and at the very end, whether all that is documented was seen."""

import pytest

from tests.support import staging

LAST = "test_every_documented_answer_was_seen"

event_numbers = staging.event_numbers
common_tables = staging.common_tables
gateway = staging.gateway
mint = staging.mint
open_stage = staging.open_stage
operator = staging.operator
parser = staging.parser
short_folder = staging.short_folder
site = staging.site
stage = staging.stage
tables = staging.tables
valkey = staging.valkey


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.name == LAST)
