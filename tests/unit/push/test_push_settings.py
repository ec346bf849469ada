"""`[push]`: streams never take the room that joins, checks and polls need."""

from pathlib import Path

import pytest

from gateway.errors import SettingsInvalid
from gateway.settings import Settings, load_settings


def settings_of(folder: Path, text: str) -> Settings:
    path = folder / "gateway.toml"
    path.write_text(text, "utf-8")
    return load_settings(path, {})


def test_unsaid_it_is_a_part_of_what_the_server_bears(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "[server]\nconnections = 9000\nconnections_per_client = 300\n")
    assert (settings.most_streams(), settings.most_streams_per_client()) == (6000, 150)


def test_said_it_is_as_said(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "[push]\nconnections = 700\nconnections_per_client = 7\n")
    assert (settings.most_streams(), settings.most_streams_per_client()) == (700, 7)


@pytest.mark.parametrize("name", ["connections", "connections_per_client"])
def test_it_is_less_than_what_the_server_bears(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsInvalid, match=rf"\[push\] {name}: must be less than"):
        settings_of(tmp_path, f"[server]\n{name} = 50\n[push]\n{name} = 50\n")
