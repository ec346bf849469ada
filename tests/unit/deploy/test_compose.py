"""The Compose file: held to Compose's schema, and to the files and settings that it names."""

from ipaddress import ip_address, ip_network

import yaml

from gateway import __version__
from gateway.ledger.urls import parse_ledger_url
from gateway.server.workers import EXIT_S
from gateway.settings import load_settings
from tests.support.composed import COMPOSE, compose_document
from tests.unit.deploy.conftest import ROOT, Tool

GATEWAYS = ("gateway-1", "gateway-2")


def test_it_is_as_compose_wants_it(tool: Tool) -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE / "compose.yaml")


def test_every_file_and_name_that_is_used_is_there() -> None:
    document = compose_document()
    configs = document["configs"]
    for config in configs.values():
        assert (COMPOSE / config["file"]).is_file()
    for service in document["services"].values():
        assert {used["source"] for used in service.get("configs", ())} <= configs.keys()
        assert set(service["networks"]) <= document["networks"].keys()
        assert set(service.get("depends_on", ())) <= document["services"].keys()
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source.startswith("./") or source in document["volumes"]


def test_the_gateways_find_their_ledger_and_believe_nobody_but_nginx() -> None:
    document = compose_document()
    settings = load_settings(COMPOSE / "gateway.toml", {})
    (network,) = document["networks"]["front"]["ipam"]["config"]
    front = network["subnet"]
    assert settings.server.trusted_proxies == settings.server.forward_auth_peers == (front,)
    on_front = {
        name for name, service in document["services"].items() if "front" in service["networks"]
    }
    assert on_front == {"nginx", *GATEWAYS}
    for name in GATEWAYS:
        address = document["services"][name]["networks"]["front"]["ipv4_address"]
        assert ip_address(address) in ip_network(front)
    url = parse_ledger_url(settings.ledger.url)
    assert {host for host, _ in url.hosts} == {f"sentinel-{number}" for number in (1, 2, 3)}


def test_each_gateway_has_its_own_floors_and_the_time_that_its_end_takes() -> None:
    document = compose_document()
    settings = load_settings(COMPOSE / "gateway.toml", {})
    volumes = set[str]()
    for name in GATEWAYS:
        service = document["services"][name]
        assert service["image"] == f"admission-gateway:{__version__}"
        grace_s = int(service["stop_grace_period"].removesuffix("s"))
        assert grace_s >= settings.server.drain_s + EXIT_S
        (floors,) = [v for v in service["volumes"] if v.endswith(settings.ledger.floor_dir)]
        volumes.add(floors.partition(":")[0])
        assert f"./keys:{settings.keys.dir}:ro" in service["volumes"]
        assert f"./operators.json:{settings.admin.operators}:ro" in service["volumes"]
    assert len(volumes) == len(GATEWAYS)


def test_the_site_is_guarded_as_the_nginx_files_show_it() -> None:
    shipped = (ROOT / "deploy" / "nginx" / "site.conf").read_text("utf-8")
    assert (COMPOSE / "site.conf").read_text("utf-8") == shipped.replace(
        "server 127.0.0.1:3000;", "server site:80;"
    )


def test_prometheus_reads_every_gateway_and_our_rules(tool: Tool) -> None:
    settings = load_settings(COMPOSE / "gateway.toml", {})
    text = (COMPOSE / "prometheus.yml").read_text("utf-8")
    (job,) = yaml.safe_load(text)["scrape_configs"]
    (static,) = job["static_configs"]
    assert static["targets"] == [f"{name}:{settings.server.admin_port}" for name in GATEWAYS]
    tool("promtool", "check", "config", "--syntax-only", COMPOSE / "prometheus.yml")
