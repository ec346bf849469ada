"""The Gateway API's documents ask about a request just as the Envoy that is tried end to end does."""

from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    loaded = yaml.safe_load_all((DEPLOY / "gateway-api" / "route.yaml").read_text("utf-8"))
    return {document["metadata"]["name"]: document["spec"] for document in loaded}


@pytest.fixture(scope="module")
def connections() -> Any:
    """Envoy's connection manager, as it is shipped."""
    config = yaml.safe_load((DEPLOY / "envoy" / "envoy.yaml").read_text("utf-8"))
    listener = config["static_resources"]["listeners"][0]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


@pytest.fixture(scope="module")
def asking(connections: Any) -> Any:
    filters = {each["name"]: each["typed_config"] for each in connections["http_filters"]}
    return filters["envoy.filters.http.ext_authz"]


def exact(patterns: Any) -> list[str]:
    return [pattern["exact"] for pattern in patterns["patterns"]]


def test_the_same_is_asked_in_the_same_way(documents: dict[str, Any], asking: Any) -> None:
    said = documents["booking-admission"]["extAuth"]
    assert said["headersToExtAuth"] == exact(asking["allowed_headers"])
    answer = asking["http_service"]["authorization_response"]
    assert said["http"]["headersToBackend"] == exact(answer["allowed_upstream_headers"])
    assert said["http"]["path"] == asking["http_service"]["path_prefix"]
    assert said["failOpen"] is asking["failure_mode_allow"] is False


def test_what_is_judged_is_what_is_passed_on(documents: dict[str, Any], connections: Any) -> None:
    said = documents["one-reading"]
    assert said["path"] == {"escapedSlashesAction": "KeepUnchanged", "disableMergeSlashes": True}
    assert connections["path_with_escaped_slashes_action"] == "KEEP_UNCHANGED"
    assert connections["merge_slashes"] is False
    assert said["headers"]["withUnderscoresAction"] == "DropHeader"


def test_all_but_the_queues_own_paths_is_asked_about(documents: dict[str, Any]) -> None:
    (asked,) = documents["booking-admission"]["targetRefs"]
    assert (asked["kind"], asked["name"]) == ("HTTPRoute", "booking")
    paths = {
        name: [match["path"]["value"] for rule in route["rules"] for match in rule["matches"]]
        for name, route in documents.items()
        if "rules" in route
    }
    assert paths == {"booking": ["/"], "booking-queue": ["/queue"]}
    assert documents["booking"]["hostnames"] == documents["booking-queue"]["hostnames"]
