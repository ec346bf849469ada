import socket
from pathlib import Path

import pytest

from gateway.cli import demo_folder
from gateway.cli.commands.demo import _usable_port
from gateway.cli.exits import Failed, Refused
from gateway.cli.session import Session
from gateway.domain.routes import OpenPath, Protected
from gateway.domain.targets import canonical_target
from gateway.settings import load_settings
from gateway.tokens.keyring import KeyState, list_keys


def test_the_settings_are_sound_and_stay_in_the_folder(tmp_path: Path) -> None:
    settings = load_settings(demo_folder.write_config(tmp_path), {})

    assert settings.keys.dir == str(tmp_path / "keys")
    assert settings.ledger.data_dir == str(tmp_path / "ledger")
    assert settings.server.trusted_proxies == ()
    assert settings.forward_auth_networks()


@pytest.mark.parametrize(
    ("host", "method", "path", "is_open"),
    [
        ("127.0.0.1", "GET", "/", True),
        ("127.0.0.1", "POST", "/", False),
        ("127.0.0.1", "GET", "/seats", False),
        ("localhost", "GET", "/book", False),
        ("127.0.0.1", "POST", "/about", False),
        ("127.0.0.1", "GET", "/about", True),
        ("127.0.0.1", "GET", "/about/us", False),
        ("localhost", "GET", "/assets/style.css", True),
        ("localhost", "GET", "/Assets/style.css", True),
    ],
)
def test_everything_but_the_listed_paths_needs_a_place(
    tmp_path: Path, host: str, method: str, path: str, is_open: bool
) -> None:
    routes = load_settings(demo_folder.write_config(tmp_path), {}).routes()

    found = routes.designate(host, method, canonical_target(path.encode()))

    assert isinstance(found, OpenPath if is_open else Protected)


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = demo_folder.write_config(tmp_path)
    path.write_text("# mine\n")

    assert demo_folder.write_config(tmp_path).read_text() == "# mine\n"


def test_one_key_is_made_once(tmp_path: Path) -> None:
    for _ in range(2):
        demo_folder.ensure_key(tmp_path / "keys")

    assert [entry.state for entry in list_keys(tmp_path / "keys")] == [KeyState.ACTIVE]


def test_a_second_owner_is_told_of_the_first(tmp_path: Path) -> None:
    with demo_folder.owned(tmp_path) as lock:
        demo_folder.say_where(lock, "http://127.0.0.1:1")
        with (
            pytest.raises(Refused, match=r"process \d+, http://127\.0\.0\.1:1"),
            demo_folder.owned(tmp_path),
        ):
            pass
    with demo_folder.owned(tmp_path):
        pass


def test_only_the_usual_port_gives_way(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert _usable_port(Session(), "127.0.0.1", None, port, "--port") == 0
        assert "is taken" in capsys.readouterr().err
        with pytest.raises(Failed, match="--port"):
            _usable_port(Session(), "127.0.0.1", port, 8080, "--port")

    assert _usable_port(Session(), "127.0.0.1", port, 8080, "--port") == port
    assert _usable_port(Session(), "127.0.0.1", 0, 8080, "--port") == 0
