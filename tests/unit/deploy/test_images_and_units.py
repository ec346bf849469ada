"""The image's recipe and the systemd unit, judged by the tools that know them."""

import re
from pathlib import Path

from gateway.server.descriptors import RESERVE
from gateway.server.workers import EXIT_S
from gateway.settings import load_settings
from tests.unit.deploy.conftest import ROOT, Tool

SYSTEMD = ROOT / "deploy" / "systemd"
UNIT = SYSTEMD / "admission-gateway.service"

# `systemd-analyze security` gives 0 to what can do nothing and 10 to what can do everything.
MOST_EXPOSURE = 2.0


def directive(name: str) -> str:
    (value,) = re.findall(rf"^{name}=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)
    return str(value)


def on_this_machine(folder: Path, program: str = "/bin/true") -> Path:
    """Write the unit with a program that is here; return its file."""
    unit = folder / UNIT.name
    words = directive("ExecStart").partition(" ")[0]
    unit.write_text(UNIT.read_text("utf-8").replace(words, program), "utf-8")
    return unit


def test_the_image_is_made_as_its_linter_wants_it(tool: Tool) -> None:
    tool("hadolint", ROOT / "Dockerfile")


def test_the_unit_is_what_systemd_understands(tool: Tool, tmp_path: Path) -> None:
    tool("systemd-analyze", "verify", on_this_machine(tmp_path))


def test_the_unit_may_do_little(tool: Tool, tmp_path: Path) -> None:
    said = tool(
        "systemd-analyze", "security", "--offline=true", "--no-pager", on_this_machine(tmp_path)
    )
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert float(exposure) <= MOST_EXPOSURE


def test_the_settings_fit_the_unit() -> None:
    settings = load_settings(SYSTEMD / "gateway.toml", {})
    state = Path("/var/lib") / directive("StateDirectory")
    for path in (settings.keys.dir, settings.ledger.floor_dir, settings.admin.operators):
        assert Path(path).parent == state
    assert int(directive("TimeoutStopSec")) > settings.server.drain_s + EXIT_S
    # A limit of a process, each of which has its own.
    assert int(directive("LimitNOFILE")) >= settings.server.connections + RESERVE
