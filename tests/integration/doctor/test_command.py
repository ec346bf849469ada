"""`gateway doctor` as operators and scripts call it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli.root import run_command_line
from gateway.settings import Settings
from tests.integration.doctor.chains import NGINX, Front, Site
from tests.support.command_line import Operator, Ran

pytestmark = pytest.mark.skipif(NGINX is None, reason="there is no nginx on this machine")

Doctor = Callable[..., Ran]


@pytest.fixture
def config(settings_file: Path, settings: Settings) -> Path:
    return settings_file


@pytest.fixture
def doctor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Doctor:
    """Type commands in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)

    def run(*words: str | Path | int) -> Ran:
        capsys.readouterr()
        code = run_command_line([str(word) for word in words])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


def test_a_good_chain_ends_with_success(deployed: Site, doctor: Doctor, config: Path) -> None:
    with deployed.behind(Front()) as port:
        url = f"http://localhost:{port}/book"
        words = ("doctor", url, "--quick", "--connect", "127.0.0.1", "--source", "127.0.0.2")
        ran = doctor("--config", config, *words, "--json")
        document = json.loads(ran.out)
        assert (ran.code, ran.err) == (0, "")
        assert (document["url"], document["event"]) == (url, "sale")
        assert (document["faults"], document["warnings"]) == (0, 0)
        assert document["requests"] > 50
        fields = {"check", "status", "seen", "means", "mend", "lines"}
        assert all(check.keys() == fields for check in document["checks"])
        told = doctor("--config", config, *words)
        assert told.code == 0
        assert "0 faults, 0 warnings" in told.out


def test_a_fault_ends_with_one_and_is_told_with_its_mending(deployed: Site, doctor: Doctor) -> None:
    with deployed.behind(Front(routes_queue=False)) as port:
        url = f"http://localhost:{port}/book"
        ran = doctor("doctor", url, "--quick", "--json")
        assert ran.code == 1
        document = json.loads(ran.out)
        (fault,) = [check for check in document["checks"] if check["status"] == "fault"]
        assert fault["check"] == "queue.reached"
        assert "location /queue/" in fault["lines"]["nginx"]
        assert json.loads(ran.err)["error"]["exit_code"] == 1
        told = doctor("doctor", url, "--quick")
        assert told.code == 1
        assert "mend:" in told.out
        assert "location /queue/" in told.out
        assert "1 fault found" in told.err


def test_outside_leaves_the_settings_alone(deployed: Site, doctor: Doctor, config: Path) -> None:
    with deployed.behind(Front()) as port:
        url = f"http://localhost:{port}/book"
        ran = doctor("--config", config, "doctor", url, "--quick", "--outside", "--json")
    checks = {check["check"]: check["status"] for check in json.loads(ran.out)["checks"]}
    assert checks["gateway.client-address"] == "not checked"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tickets.example.org/book"], "the whole URL"),
        (["ftp://tickets.example.org/"], "the whole URL"),
        (["https://ada:secret@tickets.example.org/"], "user and password"),
        (["https://tickets.example.org/b\u00fccher"], "ASCII"),
        (["https://tickets.example.org:port/"], "no URL"),
        (["https://tickets.example.org/", "--echo", "headers"], "write a path"),
        (["https://tickets.example.org/", "--event", "No Such"], "event"),
    ],
)
def test_wrong_usage_says_what_to_write(doctor: Doctor, words: list[str], says: str) -> None:
    ran = doctor("doctor", *words)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert "secret" not in ran.err


def test_a_site_that_is_not_there_is_a_fault(doctor: Doctor) -> None:
    ran = doctor("doctor", "https://no-such-site.invalid/book", "--quick", "--json")
    assert ran.code == 1
    checks = json.loads(ran.out)["checks"]
    assert [check["check"] for check in checks] == ["site.reached"]


def test_it_runs_as_a_program_of_its_own(deployed: Site, tmp_path: Path) -> None:
    with deployed.behind(Front()) as port:
        ran = Operator(tmp_path)("doctor", f"http://localhost:{port}/book", "--quick", "--json")
    assert ran.code == 0
    assert ran.err == ""
    assert ran.document["faults"] == 0
