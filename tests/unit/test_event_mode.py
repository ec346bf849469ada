"""`mode` of an event: `enforce` unless the settings file says `observe`, and nothing else can."""

from pathlib import Path

import pytest

from gateway.errors import SettingsInvalid
from gateway.settings import load_settings


def write(folder: Path, line: str) -> Path:
    path = folder / "gateway.toml"
    path.write_text(f'[events.sale]\nhosts = ["a.example"]\n{line}\n')
    return path


@pytest.mark.parametrize(
    ("line", "observed"), [("", False), ('mode = "enforce"', False), ('mode = "observe"', True)]
)
def test_an_event_protects_unless_its_settings_say_observe(
    tmp_path: Path, line: str, observed: bool
) -> None:
    (route,) = load_settings(write(tmp_path, line), {}).routes().routes
    assert route.observed is observed


@pytest.mark.parametrize(
    "line", ['mode = "off"', 'mode = ""', 'mode = "Observe"', "mode = true", 'mode = ["observe"]']
)
def test_any_other_mode_is_a_mistake(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(write(tmp_path, line), {})
    assert any("mode" in mistake for mistake in caught.value.mistakes)


def test_the_environment_does_not_switch_it(tmp_path: Path) -> None:
    for name in ("GATEWAY_MODE", "GATEWAY_EVENTS__SALE__MODE", "GATEWAY_SERVER__MODE"):
        try:
            settings = load_settings(write(tmp_path, ""), {name: "observe"})
        except SettingsInvalid:
            continue
        assert not settings.routes().routes[0].observed
