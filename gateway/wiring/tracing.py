"""Tracing, for who asks for it: imported only then."""

from typing import TYPE_CHECKING

from gateway.errors import SettingsInvalid
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.tracing.assembled import Traced


def open_tracing(settings: Settings) -> "Traced | None":
    """Return the parts that trace; None where no request is to be traced.

    Raises:
        SettingsInvalid: The packages that it needs are not installed.
    """
    tracing = settings.tracing
    if not tracing.sample_ratio:
        return None
    try:
        # Imported here: who traces nothing needs none of its packages.
        from gateway.tracing.assembled import Traced
    except ModuleNotFoundError as exc:
        raise SettingsInvalid(
            [
                f"[tracing]: the package {exc.name} is not installed; install "
                "'admission-gateway[otel]', or set sample_ratio to 0"
            ]
        ) from exc
    return Traced(tracing.endpoint, tracing.sample_ratio)
