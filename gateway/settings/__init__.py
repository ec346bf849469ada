"""The settings: one TOML file plus environment variables, checked whole at start.

A secret is named by the path of a file, or lives in the ledger's URL, which is never printed.
"""

from gateway.settings.reading import CONFIG_ENV, DEFAULT_FILE, ENV_PREFIX, load_settings
from gateway.settings.sections import (
    ENFORCE,
    OBSERVE,
    OWN_PATHS,
    SECTIONS,
    AdminSettings,
    EventSettings,
    JoinSettings,
    KeySettings,
    LedgerSettings,
    PageSettings,
    ProxySettings,
    PushSettings,
    ServerSettings,
    Settings,
    TracingSettings,
)

__all__ = [
    "CONFIG_ENV",
    "DEFAULT_FILE",
    "ENFORCE",
    "ENV_PREFIX",
    "OBSERVE",
    "OWN_PATHS",
    "SECTIONS",
    "AdminSettings",
    "EventSettings",
    "JoinSettings",
    "KeySettings",
    "LedgerSettings",
    "PageSettings",
    "ProxySettings",
    "PushSettings",
    "ServerSettings",
    "Settings",
    "TracingSettings",
    "load_settings",
]
