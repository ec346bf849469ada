"""`gateway config PROXY` and `config sync`: what is written, and every refusal."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.proxyconfig import PROXIES, ProxyFolder
from gateway.proxyconfig.folders import shipped
from tests.support.command_line import CONFIG, Operator, Sale

DEPLOY = Path(__file__).parents[4] / "deploy"


@pytest.fixture(params=PROXIES, ids=lambda kind: kind.proxy)
def kind(request: pytest.FixtureRequest) -> type[ProxyFolder]:
    chosen: type[ProxyFolder] = request.param
    return chosen


def haproxy() -> str:
    found = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        pytest.skip("there is no haproxy on this machine")
    return found


def test_what_is_written_is_what_haproxy_takes(operator: Operator) -> None:
    written = operator("config", "haproxy", "sale", "--folder", "proxy", "--json")
    assert written.code == 0
    folder = Path(written.document["folder"])
    assert folder == (operator.folder / "proxy").resolve()
    files = ("-f", folder / "haproxy.cfg", "-f", folder / "keys.cfg")
    assert written.document["start"].split() == ["haproxy", "-W", *map(str, files)]
    assert written.document["sync"] == f"gateway config sync sale --folder {folder}"
    checked = subprocess.run(
        [haproxy(), "-c", *files], capture_output=True, text=True, timeout=30, check=False
    )
    assert (checked.returncode, "WARNING" in checked.stderr) == (0, False), checked.stderr


def test_nothing_is_verified_before_a_sync_ran(operator: Operator) -> None:
    operator("config", "haproxy", "sale", "--folder", "proxy")
    lines = (operator.folder / "proxy" / "event.map").read_text().splitlines()
    assert {"generation 0", "good-until 0"} <= set(lines)


def test_addresses_are_taken_and_the_gateways_is_that_of_the_settings(operator: Operator) -> None:
    operator.config.write_text(CONFIG + '[server]\nhost = "::"\nport = 7000\n')
    words = ("--listen", ":8443", "--site", "10.0.0.7:3000")
    assert operator("config", "haproxy", "sale", "--folder", "proxy", *words).code == 0
    text = (operator.folder / "proxy" / "haproxy.cfg").read_text()
    assert "    bind :8443\n" in text
    assert "    server gateway 127.0.0.1:7000\n" in text
    assert "    server site 10.0.0.7:3000\n" in text
    assert "@" not in text.replace("@-]", "")


def test_what_an_operator_changed_is_not_written_over(
    operator: Operator, kind: type[ProxyFolder]
) -> None:
    operator("config", kind.proxy, "sale", "--folder", "proxy")
    config = kind(operator.folder / "proxy").config
    config.write_text("changed")
    refused = operator("config", kind.proxy, "sale", "--folder", "proxy", "--json")
    assert (refused.code, refused.error["code"]) == (4, "refused")
    assert "--force" in refused.error["message"]
    assert config.read_text() == "changed"
    assert operator("config", kind.proxy, "sale", "--folder", "proxy", "--force").code == 0
    assert config.read_text() != "changed"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('[events.other]\nhosts = ["a.example"]\n', "[events.sale]"),
        ('[events.sale]\nhosts = ["*"]\n', "name its hosts"),
        ('[events.sale]\nhosts = ["a.example"]\nmode = "observe"\n', "only observes"),
        (
            '[events.sale]\nhosts = ["a.example"]\npaths = ["/a"]\n'
            '[events.other]\nhosts = ["a.example"]\npaths = ["/b"]\n',
            "a host of its own",
        ),
        ('[events.sale]\nhosts = ["a.example"]\n[keys]\nissuer = "a\\"b"\n', "issuer"),
    ],
)
def test_an_event_that_no_proxy_can_tell_is_refused(
    operator: Operator, kind: type[ProxyFolder], settings: str, said: str
) -> None:
    operator.config.write_text(settings)
    refused = operator("config", kind.proxy, "sale", "--folder", "proxy", "--json")
    assert refused.code == 2
    assert said in refused.error["message"]
    assert not (operator.folder / "proxy").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--folder", "a b"),
        ("--folder", "a" * 220),
        ("--folder", "proxy", "--site", "a b"),
        ("--folder", "proxy", "--listen", ":80\n    bind :81"),
        ("--folder", "proxy", "--gateway", "http://gateway:8080/"),
    ],
)
def test_what_a_proxy_could_misread_is_refused(
    operator: Operator, kind: type[ProxyFolder], words: tuple[str, ...]
) -> None:
    assert operator("config", kind.proxy, "sale", *words).code == 2
    assert not (operator.folder / words[1]).exists()


def test_haproxys_folder_has_a_shorter_name(operator: Operator) -> None:
    assert operator("config", "haproxy", "sale", "--folder", "a" * 90).code == 2
    assert not (operator.folder / ("a" * 90)).exists()


def test_without_a_key_nothing_can_be_verified(operator: Operator, kind: type[ProxyFolder]) -> None:
    shutil.rmtree(operator.folder / "keys")
    refused = operator("config", kind.proxy, "sale", "--folder", "proxy", "--json")
    assert (refused.code, "gateway keys new" in refused.error["message"]) == (4, True)


def test_a_sync_needs_a_folder_that_was_set_up(operator: Operator) -> None:
    refused = operator("config", "sync", "sale", "--folder", "nowhere", "--json")
    assert refused.code == 4
    kinds = "|".join(kind.proxy for kind in PROXIES)
    assert f"gateway config {kinds} sale" in refused.error["message"]


def test_a_sync_of_another_event_is_refused(operator: Operator, kind: type[ProxyFolder]) -> None:
    operator("config", kind.proxy, "sale", "--folder", "proxy")
    refused = operator("config", "sync", "other", "--folder", "proxy", "--json")
    assert refused.code == 4
    assert "'sale'" in refused.error["message"]


def test_a_sync_must_read_before_what_it_said_is_old(operator: Operator) -> None:
    words = ("--folder", "proxy", "--every", "5", "--good-for", "5")
    assert operator("config", "sync", "sale", *words).code == 2


def test_a_sync_without_haproxy_says_so_and_leaves_the_files_for_its_start(
    sale: Sale, typed: Operator
) -> None:
    typed("keys", "new")
    folder = typed.folder / f"proxy-{sale.event}"
    with typed.config.open("a") as settings:
        settings.write(f'[events.{sale.event}x]\nhosts = ["{sale.event}.example"]\n')
    assert typed("event", "create", f"{sale.event}x", "--open").code == 0
    event = f"{sale.event}x"
    assert typed("config", "haproxy", event, "--folder", folder).code == 0
    told = typed("config", "sync", event, "--folder", folder, "--once", "--json")
    assert told.code == 1
    assert "is HAProxy running?" in told.error["message"]
    generation = typed("status", event, "--json").document["generation"]
    assert f"generation {generation}\n" in (folder / "event.map").read_text()


def test_what_asks_the_gateway_is_the_same_with_and_without_passes_verified_here() -> None:
    assert shipped("haproxy/admission.lua") == (DEPLOY / "haproxy" / "admission.lua").read_bytes()
