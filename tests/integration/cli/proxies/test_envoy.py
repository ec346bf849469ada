"""`gateway config envoy`: what is written, and that it is what Envoy takes."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.command_line import CONFIG, Operator
from tests.support.line_speed import ENVOY_VERIFIES


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--listen", "[::1]:18085", "--gateway", "[::1]:8080", "--site", "site.example:3000"),
    ],
)
def test_what_is_written_is_what_envoy_takes(operator: Operator, words: tuple[str, ...]) -> None:
    program = ENVOY_VERIFIES.kind.program
    if program is None:
        pytest.skip("there is no envoy on this machine")
    written = operator("config", "envoy", "sale", "--folder", "proxy", *words, "--json")
    assert written.code == 0
    folder = Path(written.document["folder"])
    assert folder == (operator.folder / "proxy").resolve()
    assert written.document["start"] == f"envoy -c {folder}/envoy.yaml"
    assert written.document["sync"] == f"gateway config sync sale --folder {folder}"
    checked = subprocess.run(
        [program, "--mode", "validate", "-c", folder / "envoy.yaml", "--log-level", "warning"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    said = checked.stderr + checked.stdout
    assert (checked.returncode, "deprecated" in said.lower()) == (0, False), said


def test_addresses_and_the_event_are_taken(operator: Operator) -> None:
    operator.config.write_text(
        CONFIG.replace('["shop.example"]', '["shop.example", "WWW.shop.example"]')
        + '[server]\nhost = "::"\nport = 7000\n'
    )
    words = ("--folder", "proxy", "--listen", ":8443", "--site", "site.internal:3000")
    assert operator("config", "envoy", "sale", *words).code == 0
    folder = operator.folder / "proxy"
    text = {name: (folder / name).read_text() for name in ("envoy.yaml", "admission.lua")}
    for name, written in text.items():
        assert re.search(r"@[A-Z_]+@", written) is None, name
    resources = yaml.safe_load(text["envoy.yaml"])["static_resources"]
    listens = resources["listeners"][0]["address"]["socket_address"]
    assert listens == {"address": "0.0.0.0", "port_value": 8443}
    found = {
        cluster["name"]: (
            cluster["type"],
            cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"][
                "socket_address"
            ],
        )
        for cluster in resources["clusters"]
    }
    assert found == {
        "gateway": ("STATIC", {"address": "127.0.0.1", "port_value": 7000}),
        "site": ("STRICT_DNS", {"address": "site.internal", "port_value": 3000}),
    }
    hosts = 'local HOSTS = {["shop.example"] = true, ["www.shop.example"] = true}'
    assert hosts in text["admission.lua"]


@pytest.mark.parametrize(
    "words",
    [
        ("--listen", "shop.example:80"),
        ("--listen", "80"),
        ("--listen", ":0"),
        ("--site", "127.0.0.1"),
        ("--site", "::1:3000"),
        ("--gateway", "gateway:65536"),
    ],
)
def test_an_address_that_envoy_would_not_take_is_refused(
    operator: Operator, words: tuple[str, ...]
) -> None:
    refused = operator("config", "envoy", "sale", "--folder", "proxy", *words, "--json")
    assert refused.code == 2
    assert words[0] in refused.error["message"]
    assert not (operator.folder / "proxy").exists()
