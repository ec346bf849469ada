"""What nginx is given is what is shipped for it in `deploy/`, but for who verifies and where things are."""

from pathlib import Path

import pytest

from gateway.proxyconfig.folders import shipped

DEPLOY = Path(__file__).parents[3] / "deploy" / "nginx"

# Of each file, what stands in the shipped one and here.
DIFFERENCES: dict[str, dict[str, str]] = {
    "admission-server.conf": {},
    "admission-gateways.conf": {"127.0.0.1:8080": "@GATEWAY@"},
    "admission.conf": {"/run/nginx-": "/run/nginx-@EVENT@-"},
    # What the script says is no upstream's word; `$sent_http_` has what either said.
    "admission-check.conf": {
        "auth_request /_admission;": "auth_request /_verified;",
        "$upstream_http_": "$sent_http_",
    },
}


def ours(name: str) -> str:
    return shipped(f"nginx/{name}").decode()


@pytest.mark.parametrize("name", DIFFERENCES)
def test_what_asks_the_gateway_is_the_same_with_and_without_passes_verified_here(
    name: str,
) -> None:
    text = (DEPLOY / name).read_text("utf-8")
    for there, here in DIFFERENCES[name].items():
        assert there in text
        text = text.replace(there, here)
    assert ours(name) == text


def test_the_way_to_the_site_is_the_same() -> None:
    site = (DEPLOY / "site.conf").read_text("utf-8")
    location = site[site.index("    location / {") : site.rindex("}")]
    indented = "".join(
        f"    {line}" if line.strip() else line for line in location.splitlines(True)
    )
    assert indented in ours("nginx.conf")
    upstream = site[site.index("upstream site {") : site.index("server {")].strip()
    indented = upstream.replace("\n", "\n    ").replace("127.0.0.1:3000", "@SITE@")
    assert indented in ours("nginx.conf")
