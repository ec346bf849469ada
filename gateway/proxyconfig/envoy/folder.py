"""The folder that Envoy runs from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import ClassVar, Final

from gateway.errors import BadInput
from gateway.proxyconfig.folders import Addresses, filled_in
from gateway.proxyconfig.knowledge import Subject
from gateway.proxyconfig.scripted_folder import ScriptedFolder

_HOST_AND_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - where an operator gives a port alone
_HIGHEST_PORT: Final = 65535


class EnvoyFolder(ScriptedFolder):
    """What Envoy runs from."""

    proxy: ClassVar[str] = "envoy"
    title: ClassVar[str] = "Envoy"

    @property
    def config(self) -> Path:
        return self.folder / "envoy.yaml"

    @property
    def start(self) -> str:
        return f"envoy -c {self.config}"

    def _texts(self, subject: Subject, addresses: Addresses) -> Mapping[str, bytes]:
        values = {
            "EVENT": subject.event,
            "FOLDER": str(self.folder),
            "HOSTS": ", ".join(f'["{host}"] = true' for host in subject.hosts),
            "ISSUER": subject.issuer,
            **_fields(addresses),
        }
        names = ("admission.lua", self.config.name)
        return {name: filled_in(f"envoy/{name}", values) for name in names}


@dataclass(frozen=True, slots=True)
class _Address:
    host: str
    port: int

    @classmethod
    def of(cls, name: str, text: str) -> "_Address":
        match = _HOST_AND_PORT.fullmatch(text)
        if match is None or not 1 <= int(match[2]) <= _HIGHEST_PORT:
            raise BadInput(f"--{name} is HOST:PORT for Envoy, the port a number up to 65535")
        return cls(match[1].strip("[]"), int(match[2]))

    @property
    def is_number(self) -> bool:
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True

    @property
    def field(self) -> str:
        return f'{{address: "{self.host}", port_value: {self.port}}}'


def _fields(addresses: Addresses) -> Mapping[str, str]:
    """Return the addresses as Envoy's configuration has them.

    Raises:
        BadInput: One is none that Envoy could take.
    """
    port_alone = re.fullmatch(r"\*?(:[0-9]+)", addresses.listen)
    listen = _Address.of(
        "listen", f"{_EVERY_ADDRESS}{port_alone[1]}" if port_alone else addresses.listen
    )
    if not listen.is_number:
        raise BadInput("--listen is :PORT or ADDRESS:PORT for Envoy, which listens at no name")
    fields = {"LISTEN": listen.field, "GATEWAY": addresses.gateway}
    for name, text in (("gateway", addresses.gateway), ("site", addresses.site)):
        address = _Address.of(name, text)
        fields[f"{name.upper()}_ADDRESS"] = address.field
        fields[f"{name.upper()}_TYPE"] = "STATIC" if address.is_number else "STRICT_DNS"
    return fields
