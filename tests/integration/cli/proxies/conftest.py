"""Settings with an event and a key, from which a proxy is set up."""

from pathlib import Path

import pytest

from tests.support.command_line import CONFIG, Operator, Typist


@pytest.fixture
def operator(empty_folder: Path) -> Operator:
    operator = Typist(empty_folder)
    operator.config.write_text(CONFIG)
    assert operator("keys", "new").code == 0
    return operator
