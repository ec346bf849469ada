"""What `gateway watch` writes away from a terminal while the ledger cannot be read."""

import json

import pytest

from gateway.cli.commands.watch import _Shown
from gateway.operating.picture import Picture

BEFORE = Picture(document={}, series={})


@pytest.mark.parametrize("as_json", [False, True])
def test_a_trouble_is_one_line_however_its_cause_changes(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    show = _Shown(as_json=as_json, once=False, is_screen=False)
    for cause in ("unreachable", "circuit-open", "unreachable"):
        show(BEFORE, f"The ledger cannot be read ({cause}).")
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line) if as_json else {"error": line}
    assert told == {"error": "The ledger cannot be read (unreachable)."}
