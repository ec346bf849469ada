"""Reads the settings: the file, then the variables that win over it; every mistake is named at once."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_args

import msgspec
from msgspec import Struct

from gateway.domain.positions import is_event_id
from gateway.errors import SettingsInvalid
from gateway.settings.checks import find_mistakes
from gateway.settings.sections import SECTIONS, EventSettings, PageSettings, Settings

ENV_PREFIX = "GATEWAY_"
CONFIG_ENV = "GATEWAY_CONFIG"
DEFAULT_FILE = "gateway.toml"


def load_settings(path: Path | None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read, check and freeze the settings.

    Args:
        path: The TOML file. None for `GATEWAY_CONFIG`, else `gateway.toml` where there is one.
            Relative paths inside count from the file's folder.
        environ: Variables such as `GATEWAY_SERVER__PORT=9000`, which win over the file.

    Raises:
        SettingsInvalid: With every mistake named at once.
    """
    environ = os.environ if environ is None else environ
    path = _find_file(path, environ)
    data, mistakes = _read_file(path)
    _overlay(data, environ, mistakes)
    settings = _convert(data, mistakes)
    mistakes += find_mistakes(settings)
    if mistakes:
        raise SettingsInvalid(mistakes)
    return _anchor(settings, path.parent if path is not None else Path())


def _find_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if path is not None:
        return path
    if environ.get(CONFIG_ENV):
        return Path(environ[CONFIG_ENV])
    default = Path(DEFAULT_FILE)
    return default if default.exists() else None


def _read_file(path: Path | None) -> tuple[dict[str, Any], list[str]]:
    if path is None:
        return {}, []
    try:
        return tomllib.loads(path.read_text("utf-8")), []
    except OSError as exc:
        raise SettingsInvalid([f"{path}: cannot be read: {exc.strerror}"]) from exc
    except UnicodeDecodeError as exc:
        raise SettingsInvalid([f"{path}: is not UTF-8"]) from exc
    except ValueError as exc:  # TOMLDecodeError, or a number of thousands of digits
        raise SettingsInvalid([f"{path}: is not TOML: {exc}"]) from exc


def _overlay(data: dict[str, Any], environ: Mapping[str, str], mistakes: list[str]) -> None:
    for name, text in environ.items():
        if not name.startswith(ENV_PREFIX) or name == CONFIG_ENV:
            continue
        section, double, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        if not double:
            if section == "log_level":
                data["log_level"] = text
            # Other programs' variables (a shell's, a container's) may share the prefix.
            continue
        if section not in SECTIONS:
            mistakes.append(f"{name}: there is no section {section!r}")
            continue
        struct = SECTIONS[section]
        if key not in struct.__struct_fields__:
            mistakes.append(f"{name}: there is no setting {key!r} in [{section}]")
            continue
        table = data.setdefault(section, {})
        if isinstance(table, dict):
            table[key] = _env_value(struct.__annotations__[key], text)


def _env_value(kind: Any, text: str) -> Any:
    if "tuple" in str(kind):
        return [part.strip() for part in text.split(",") if part.strip()]
    # `VARIABLE=` with nothing behind it is how a container's environment says "not set".
    return None if not text and type(None) in get_args(kind) else _EnvText(text)


class _EnvText(str):
    """Text from the environment: numbers and booleans in it are read as such."""

    __slots__ = ()


def _convert(data: dict[str, Any], mistakes: list[str]) -> Settings:
    # Field by field, so that every mistake is named and not the first alone; what is mistaken is
    # left out, so that the rest can be checked.
    built: dict[str, Any] = {}
    for name, value in data.items():
        if name in SECTIONS:
            struct = SECTIONS[name]
            built[name] = struct(**_good_fields(f"[{name}]", struct, value, mistakes))
        elif name == "events":
            built[name] = _convert_events(value, mistakes)
        elif name == "log_level":
            built[name] = value
        else:
            mistakes.append(f"[{name}]: there is no such section")
    return Settings(**built)


def _good_fields(
    where: str, struct: type[Struct], value: Any, mistakes: list[str]
) -> dict[str, Any]:
    if not isinstance(value, dict):
        mistakes.append(f"{where}: must be a table")
        return {}
    good: dict[str, Any] = {}
    for key, item in cast("dict[str, Any]", value).items():
        if key not in struct.__struct_fields__:
            mistakes.append(f"{where} {key}: there is no such setting")
            continue
        try:
            good[key] = msgspec.convert(
                item, struct.__annotations__[key], strict=not isinstance(item, _EnvText)
            )
        except msgspec.ValidationError as exc:
            mistakes.append(f"{where} {key}: {exc}".replace(" - at `$", " at `"))
    return good


def _convert_events(value: Any, mistakes: list[str]) -> dict[str, EventSettings]:
    if not isinstance(value, dict):
        mistakes.append("[events]: must be a table of events")
        return {}
    events: dict[str, EventSettings] = {}
    for name, item in cast("dict[str, Any]", value).items():
        if not is_event_id(name):
            mistakes.append(f"[events.{name}]: a name is 1 to 63 characters of a-z, 0-9 and '-'")
            continue
        good = _good_fields(f"[events.{name}]", EventSettings, item, mistakes)
        # An event without hosts is found by its check.
        good.setdefault("hosts", ())
        events[name] = EventSettings(**good)
    return events


def _anchor(settings: Settings, folder: Path) -> Settings:
    """Make the paths of the file count from its own folder."""

    def anchored(text: str | None) -> str | None:
        return None if text is None else str(folder / text)

    keys = settings.keys
    return msgspec.structs.replace(
        settings,
        keys=msgspec.structs.replace(
            keys,
            dir=anchored(keys.dir),
            jwks=anchored(keys.jwks),
            voucher_jwks=anchored(keys.voucher_jwks),
            sub_secret=anchored(keys.sub_secret),
        ),
        ledger=msgspec.structs.replace(
            settings.ledger,
            data_dir=anchored(settings.ledger.data_dir),
            floor_dir=settings.ledger.floor_dir and anchored(settings.ledger.floor_dir),
        ),
        admin=msgspec.structs.replace(
            settings.admin, operators=str(folder / settings.admin.operators)
        ),
        page=PageSettings(brand=settings.page.brand and str(folder / settings.page.brand)),
    )
