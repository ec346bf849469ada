"""`gateway config nginx`: what is written, and that it is what nginx takes."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.command_line import CONFIG, Operator, Sale, Typist
from tests.support.line_speed import NGINX_VERIFIES


@pytest.fixture
def operator(empty_folder: Path) -> Operator:
    operator = Typist(empty_folder)
    operator.config.write_text(CONFIG)
    assert operator("keys", "new").code == 0
    return operator


@pytest.fixture
def nginx() -> str:
    program = NGINX_VERIFIES.kind.program
    if program is None:
        pytest.skip("there is no nginx on this machine")
    NGINX_VERIFIES.skip_where_it_cannot()
    return program


@pytest.mark.parametrize("listen", [":18084", "127.0.0.1:18084"])
def test_what_is_written_is_what_nginx_takes(operator: Operator, nginx: str, listen: str) -> None:
    words = ("--folder", "proxy", "--listen", listen, "--json")
    written = operator("config", "nginx", "sale", *words)
    assert written.code == 0
    folder = Path(written.document["folder"])
    assert folder == (operator.folder / "proxy").resolve()
    assert written.document["start"] == f"nginx -c {folder}/nginx.conf"
    assert written.document["sync"] == f"gateway config sync sale --folder {folder}"
    # What it keeps in memory for the system, it keeps in the folder here.
    for file in folder.glob("*.conf"):
        file.write_text(file.read_text("utf-8").replace("/run/nginx-", f"{folder}/"), "utf-8")
    checked = subprocess.run(
        [nginx, "-t", "-c", folder / "nginx.conf"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (checked.returncode, "[warn]" in checked.stderr) == (0, False), checked.stderr


def test_nothing_is_verified_before_a_sync_ran(operator: Operator) -> None:
    operator("config", "nginx", "sale", "--folder", "proxy")
    lines = (operator.folder / "proxy" / "known").read_text().splitlines()
    assert {"generation 0", "good-until 0"} <= set(lines)


def test_addresses_and_the_event_are_taken(operator: Operator) -> None:
    operator.config.write_text(
        CONFIG.replace('["shop.example"]', '["shop.example", "WWW.shop.example"]')
        + '[server]\nhost = "::"\nport = 7000\n'
    )
    words = ("--folder", "proxy", "--listen", ":8443", "--site", "10.0.0.7:3000")
    assert operator("config", "nginx", "sale", *words).code == 0
    folder = operator.folder / "proxy"
    text = {file.name: file.read_text() for file in folder.iterdir() if file.is_file()}
    assert "        listen 8443;\n" in text["nginx.conf"]
    own = re.findall(
        r"    (?:server|listen) (127\.[0-9.]+:8443);\n", text["admission-verdicts.conf"]
    )
    assert len(own) == 2
    assert own[0] == own[1]
    assert "        server 10.0.0.7:3000;\n" in text["nginx.conf"]
    assert "    server 127.0.0.1:7000 max_fails=1" in text["admission-gateways.conf"]
    assert "keys_zone=admissions" in text["admission.conf"]
    assert "/run/nginx-sale-admissions " in text["admission.conf"]
    assert "const HOSTS = ['shop.example', 'www.shop.example'];" in text["admission.js"]
    for name, written in text.items():
        assert re.search(r"@[A-Z]+@", written) is None, name


def test_nginxs_workers_may_read_what_the_sync_writes(operator: Operator) -> None:
    operator("config", "nginx", "sale", "--folder", "proxy")
    folder = operator.folder / "proxy"
    for place in (folder, folder / "ended"):
        assert place.stat().st_mode & 0o777 == 0o755
    for name in ("known", "admission.js"):
        assert (folder / name).stat().st_mode & 0o777 == 0o644


def test_a_sync_tells_whoever_reads(sale: Sale, typed: Operator) -> None:
    typed("keys", "new")
    event = f"{sale.event}n"
    folder = typed.folder / f"proxy-{event}"
    with typed.config.open("a") as settings:
        settings.write(f'[events.{event}]\nhosts = ["{event}.example"]\n')
    assert typed("event", "create", event, "--open").code == 0
    assert typed("config", "nginx", event, "--folder", folder).code == 0
    told = typed("config", "sync", event, "--folder", folder, "--once", "--json")
    assert (told.code, told.document["reloaded"]) == (0, None)
    generation = typed("status", event, "--json").document["generation"]
    lines = (folder / "known").read_text().splitlines()
    assert f"generation {generation}" in lines
    assert [line.split(" ")[0] for line in lines[4:]] == ["pass", "place"] * told.document["keys"]
