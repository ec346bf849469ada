"""What `gateway config` and `config sync` do for every proxy whose own script reads plain files."""

import pytest

from tests.support.command_line import Operator, Sale

SCRIPTS = {"nginx": "admission.js", "envoy": "admission.lua"}


@pytest.mark.parametrize("proxy", SCRIPTS)
def test_nothing_is_verified_before_a_sync_ran(operator: Operator, proxy: str) -> None:
    operator("config", proxy, "sale", "--folder", "proxy")
    lines = (operator.folder / "proxy" / "known").read_text().splitlines()
    assert {"generation 0", "good-until 0"} <= set(lines)


@pytest.mark.parametrize("proxy", SCRIPTS)
def test_whoever_runs_the_proxy_may_read_what_the_sync_writes(
    operator: Operator, proxy: str
) -> None:
    operator("config", proxy, "sale", "--folder", "proxy")
    folder = operator.folder / "proxy"
    for place in (folder, folder / "ended"):
        assert place.stat().st_mode & 0o777 == 0o755
    for name in ("known", SCRIPTS[proxy]):
        assert (folder / name).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("proxy", SCRIPTS)
def test_a_sync_tells_whoever_reads(sale: Sale, typed: Operator, proxy: str) -> None:
    typed("keys", "new")
    event = f"{sale.event}{proxy[0]}"
    folder = typed.folder / f"proxy-{event}"
    with typed.config.open("a") as settings:
        settings.write(f'[events.{event}]\nhosts = ["{event}.example"]\n')
    assert typed("event", "create", event, "--open").code == 0
    assert typed("config", proxy, event, "--folder", folder).code == 0
    told = typed("config", "sync", event, "--folder", folder, "--once", "--json")
    assert (told.code, told.document["reloaded"]) == (0, None)
    generation = typed("status", event, "--json").document["generation"]
    lines = (folder / "known").read_text().splitlines()
    assert f"generation {generation}" in lines
    assert [line.split(" ")[0] for line in lines[4:]] == ["pass", "place"] * told.document["keys"]
