"""The Kustomize base: rendered by kubectl, held to the API's schemas, and to what the gateway needs."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway import __version__
from gateway.server.workers import EXIT_S
from gateway.settings import Settings, load_settings
from gateway.tokens.keyring import list_keys, new_key
from tests.unit.deploy.conftest import ROOT, Manifests, Tool

KUBERNETES = ROOT / "deploy" / "kubernetes"

NOW = 1_790_000_000


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load_settings(KUBERNETES / "gateway.toml", {})


@pytest.fixture(scope="session")
def pod(manifests: Manifests) -> Any:
    return manifests["Deployment gateway"]["spec"]["template"]["spec"]


@pytest.fixture(scope="session")
def container(pod: Any) -> Any:
    (container,) = pod["containers"]
    return container


def mounts(container: Any) -> dict[str, Any]:
    return {mount["mountPath"]: mount for mount in container["volumeMounts"]}


def volumes(pod: Any) -> dict[str, Any]:
    return {volume["name"]: volume for volume in pod["volumes"]}


def test_every_manifest_is_valid_in_the_oldest_and_the_newest_api(
    tool: Tool, manifests: Manifests, tmp_path: Path
) -> None:
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(yaml.safe_dump_all(manifests.values()), "utf-8")
    for version in ("1.31", "1.37"):
        tool("kubernetes-validate", "--strict", "-k", version, rendered)


def test_traffic_begins_when_all_is_ready_and_does_not_end_with_the_ledger(container: Any) -> None:
    """/readyz fails at every pod at once while the ledger is away: who holds a pass must get through."""
    assert container["startupProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": "admin"}


def test_a_pod_has_the_time_that_its_end_takes(
    pod: Any, container: Any, settings: Settings
) -> None:
    asked = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > asked + settings.server.drain_s + EXIT_S


def test_a_new_version_takes_no_pod_away_before_another_is_ready(manifests: Manifests) -> None:
    deployment = manifests["Deployment gateway"]["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert "replicas" not in deployment, "the autoscaler's number would be undone at each apply"
    scaler = manifests["HorizontalPodAutoscaler gateway"]["spec"]
    assert scaler["minReplicas"] > 1, "the floors of the others bring an event back"
    assert manifests["PodDisruptionBudget gateway"]["spec"]["maxUnavailable"] == 1


def test_the_settings_name_what_is_mounted(pod: Any, container: Any, settings: Settings) -> None:
    assert mounts(container)[settings.keys.dir]["readOnly"] is True
    assert volumes(pod)["keys"]["secret"] == {"secretName": "gateway-keys", "defaultMode": 0o400}
    assert str(Path(settings.admin.operators).parent) in mounts(container)
    floors = mounts(container)[settings.ledger.floor_dir]
    assert "emptyDir" in volumes(pod)[floors["name"]]
    assert "readOnly" not in floors
    (config,) = [entry["value"] for entry in container["env"] if entry["name"] == "GATEWAY_CONFIG"]
    assert str(Path(config).parent) in mounts(container)


def test_a_secret_made_of_the_ring_holds_the_ring(tool: Tool, tmp_path: Path) -> None:
    """By the command of docs/deployment.md."""
    source, shown = tmp_path / "keys", tmp_path / "shown"
    new_key(source, now_s=NOW)
    new_key(source, now_s=NOW + 1)
    words = ["create", "secret", "generic", "gateway-keys", f"--from-file={source}/"]
    secret = yaml.safe_load(tool("kubectl", *words, "--dry-run=client", "-o", "yaml"))
    shown.mkdir(mode=0o700)
    for name, content in secret["data"].items():
        (shown / name).write_bytes(base64.b64decode(content or ""))
        (shown / name).chmod(0o400)
    assert list_keys(shown) == list_keys(source)


def test_the_ports_are_those_of_the_settings(
    manifests: Manifests, container: Any, settings: Settings
) -> None:
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": settings.server.port, "admin": settings.server.admin_port}
    assert [port["targetPort"] for port in manifests["Service gateway"]["spec"]["ports"]] == [
        "http"
    ]


def test_a_pod_may_do_nothing_that_it_does_not_need(pod: Any, container: Any) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False, "GATEWAY_… variables of the cluster are no settings"
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["fsGroup"] == security["runAsGroup"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_nobody_but_monitoring_reaches_the_admin_port(manifests: Manifests) -> None:
    policy = manifests["NetworkPolicy gateway"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    allowed = {
        source["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]: [
            port["port"] for port in rule["ports"]
        ]
        for rule in policy["ingress"]
        for source in rule["from"]
    }
    assert allowed == {"ingress": ["http"], "monitoring": ["admin"]}


def test_the_image_is_of_this_version(container: Any) -> None:
    assert container["image"] == f"admission-gateway:{__version__}"


def test_the_alert_rules_are_those_of_monitoring() -> None:
    """See the head of the file for how it is made."""
    rule = yaml.safe_load((KUBERNETES / "monitoring" / "prometheusrule.yaml").read_text("utf-8"))
    assert rule["kind"] == "PrometheusRule"
    assert rule["spec"] == yaml.safe_load((ROOT / "monitoring" / "alerts.yml").read_text("utf-8"))


def test_the_component_for_monitoring_finds_the_admin_service(
    tool: Tool, manifests: Manifests, tmp_path: Path
) -> None:
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    # A component goes over a base, as in the overlay of whoever uses it.
    (overlay / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "resources": [os.path.relpath(KUBERNETES, overlay)],
                "components": [os.path.relpath(KUBERNETES / "monitoring", overlay)],
            }
        ),
        "utf-8",
    )
    rendered = list(yaml.safe_load_all(tool("kubectl", "kustomize", overlay)))
    (monitor,) = [document for document in rendered if document["kind"] == "ServiceMonitor"]
    wanted = monitor["spec"]["selector"]["matchLabels"]
    service = manifests["Service gateway-admin"]
    assert wanted.items() <= service["metadata"]["labels"].items()
    assert {end["port"] for end in monitor["spec"]["endpoints"]} <= {
        port["name"] for port in service["spec"]["ports"]
    }
