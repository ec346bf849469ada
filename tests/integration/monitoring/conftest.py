"""The stage of `tests.support.staging`, and promtool."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import staging

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

MONITORING = Path(__file__).parents[3] / "monitoring"

Promtool = Callable[..., str]


@pytest.fixture
def promtool() -> Promtool:
    """Run Prometheus's own checker; a complaint fails the test with what it says."""
    binary = shutil.which("promtool")
    if binary is None:
        pytest.skip("there is no promtool on PATH (Debian: prometheus)")

    def run(*words: str | Path, stdin: str = "") -> str:
        done = subprocess.run(
            [binary, *map(str, words)],
            cwd=MONITORING,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
