"""`[tracing]`: off unless somebody asks for it, and nothing half asked for."""

from pathlib import Path

import pytest

from gateway.errors import SettingsInvalid
from gateway.settings import load_settings


def read(folder: Path, text: str, **environ: str) -> tuple[float, str]:
    path = folder / "gateway.toml"
    path.write_text(text)
    tracing = load_settings(path, environ).tracing
    return tracing.sample_ratio, tracing.endpoint


def test_nothing_is_traced_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert read(tmp_path, "") == (0.0, "")
    assert read(tmp_path, "", OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318") == (0.0, "")


def test_the_environment_may_ask_for_it(tmp_path: Path) -> None:
    assert read(tmp_path, "", GATEWAY_TRACING__SAMPLE_RATIO="0.01") == (0.01, "")


@pytest.mark.parametrize(
    "endpoint", ["http://collector:4318", "https://[::1]:4318", "http://collector/otlp/"]
)
def test_a_collector_is_an_http_address(tmp_path: Path, endpoint: str) -> None:
    text = f'[tracing]\nsample_ratio = 1.0\nendpoint = "{endpoint}"\n'
    assert read(tmp_path, text) == (1.0, endpoint)


@pytest.mark.parametrize(
    ("lines", "advice"),
    [
        ('endpoint = "http://collector:4318"', "without a sample_ratio"),
        ('sample_ratio = 0.1\nendpoint = "collector:4318"', "must be http://host:port"),
        ('sample_ratio = 0.1\nendpoint = "grpc://collector:4317"', "must be http://host:port"),
        ('sample_ratio = 0.1\nendpoint = "http://u:hushhush@c"', "OTEL_EXPORTER_OTLP_HEADERS"),
        ('sample_ratio = 0.1\nendpoint = "http://c/?key=hushhush"', "OTEL_EXPORTER_OTLP_HEADERS"),
        ("sample_ratio = 1.5", "[tracing] sample_ratio"),
        ("sample_ratio = -0.1", "[tracing] sample_ratio"),
        ("ratio = 0.1", "there is no such setting"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, lines: str, advice: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        read(tmp_path, f"[tracing]\n{lines}\n")
    assert advice in str(refused.value)
    assert "hushhush" not in str(refused.value)
