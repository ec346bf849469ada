"""`gateway config nginx`: what is written, and that it is what nginx takes."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.command_line import CONFIG, Operator
from tests.support.line_speed import NGINX_VERIFIES


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
