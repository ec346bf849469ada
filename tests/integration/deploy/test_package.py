"""What is published: sdist and wheel as they are built, and the wheel alone in an empty environment."""

import http.client
import importlib.util
import json
import re
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from tests.support.command_line import clean_environment

ROOT = Path(__file__).parents[3]
SHIPPED_KINDS = {".html", ".js", ".css", ".json", ".lua", ".acl"}
START_TIMEOUT_S = 60

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the sdist, and the wheel that was made from it."""
    for module in ("build", "hatchling"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"there is no {module} (pip install '.[deploy]')")
    folder = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def ours(folder: str) -> set[str]:
    """Return the files of the checkout below a folder, those that a run leaves behind apart."""
    return {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_the_wheel_holds_the_package_whole_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(only(built, "*.whl")) as wheel:
        names = set(wheel.namelist())
    inside = {name for name in names if not re.match(r"admission_gateway-[^/]+\.dist-info/", name)}
    assert inside == ours("gateway")
    assert {Path(name).suffix for name in inside} >= SHIPPED_KINDS
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


@pytest.mark.parametrize("folder", ["deploy", "monitoring", "docs", "examples", "clients/js"])
def test_the_sdist_holds_what_a_deployment_is_made_of(built: Path, folder: str) -> None:
    with tarfile.open(only(built, "*.tar.gz")) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = {name for name in ours(folder) if "node_modules" not in name}
    assert wanted
    assert wanted <= names


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment that holds nothing else; return its programs' folder."""
    home = tmp_path_factory.mktemp("empty") / "env"
    subprocess.run([sys.executable, "-m", "venv", str(home)], timeout=120, check=True)
    words = [home / "bin" / "python", "-m", "pip", "install", "--quiet", only(built, "*.whl")]
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, timeout=240, check=False
    )
    if "No matching distribution found" in done.stderr or "Connection" in done.stderr:
        pytest.skip("the packages that the wheel needs cannot be had here")
    assert done.returncode == 0, done.stderr
    return home / "bin"


def test_the_demo_runs_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    words = ["demo", "--json", "--data-dir", str(tmp_path / "data"), "--port", "0"]
    with (tmp_path / "errors.log").open("wb") as errors:
        demo = subprocess.Popen(
            [str(installed / "gateway"), *words, "--admin-port", "0"],
            cwd=tmp_path,
            env=clean_environment(None),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert demo.stdout is not None
    watchdog = threading.Timer(START_TIMEOUT_S, demo.kill)
    watchdog.start()
    try:
        line = demo.stdout.readline()
        assert line, (tmp_path / "errors.log").read_text()
        said = json.loads(line)
        queue = f"{said['url']}/queue/{said['event']}"
        # Templates and languages; scripts of the ledger; the console's own files.
        assert answer("GET", f"{queue}/room")[0] == 200
        status, place = answer("POST", f"{queue}/join")
        assert (status, json.loads(place)["position"]) == (201, 1)
        status, page = answer("GET", f"{said['admin_url']}/admin/")
        assert status == 200
        scripts = re.findall(r'<script[^>]* src="([^"]+)"', page.decode())
        assert scripts
        for script in scripts:
            assert answer("GET", urljoin(f"{said['admin_url']}/admin/", script))[0] == 200
    finally:
        watchdog.cancel()
        demo.send_signal(signal.SIGTERM)
        status = demo.wait(30)
        demo.stdout.close()
    assert status == 0, (tmp_path / "errors.log").read_text()


def answer(method: str, url: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request(method, parts.path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
