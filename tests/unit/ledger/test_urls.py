"""The ledger's URL: what is read, and that no message quotes a secret."""

import re

import pytest

from gateway.ledger.urls import LedgerUrl, Topology, parse_ledger_url

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("redis://h", LedgerUrl(Topology.SINGLE)),
        ("rediss://h:1/2?ssl_ca_certs=ca.pem", LedgerUrl(Topology.SINGLE, tls=True)),
        ("unix:///run/s", LedgerUrl(Topology.SINGLE)),
        (
            "redis+sentinel://a,b:1,[::1]:2,[::2]/sale",
            LedgerUrl(
                Topology.SENTINEL,
                hosts=(("a", 26379), ("b", 1), ("::1", 2), ("::2", 26379)),
                service="sale",
            ),
        ),
        (
            "rediss+sentinel://u:p%40%2F%3F@a/my%20sale/3"
            "?sentinel_username=s&sentinel_password=x%26y&ssl_ca_certs=%2Fca.pem",
            LedgerUrl(
                Topology.SENTINEL,
                True,
                (("a", 26379),),
                "u",
                "p@/?",
                "my sale",
                3,
                {
                    "sentinel_username": "s",
                    "sentinel_password": "x&y",
                    "ssl_ca_certs": "/ca.pem",
                },
            ),
        ),
        (
            "redis+cluster://:p:q@a:1,b",
            LedgerUrl(Topology.CLUSTER, hosts=(("a", 1), ("b", 6379)), password="p:q"),
        ),
        (
            "rediss+cluster://a/0",
            LedgerUrl(Topology.CLUSTER, True, (("a", 6379),)),
        ),
    ],
)
def test_a_url_is_read(url: str, read: LedgerUrl) -> None:
    assert parse_ledger_url(url) == read


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (SECRET, "must start with redis://"),
        (f"http://:{SECRET}@h", "must start with redis://"),
        (f"redis+sentinels://:{SECRET}@h", "must start with redis://"),
        (f"redis://:{SECRET}@h:port", "is not a URL"),
        (f"redis+sentinel://:{SECRET}@a:1,b:2", "must name the Sentinels' service"),
        (f"redis+sentinel://:{SECRET}@a/sale/x", "database behind the service must be a number"),
        (f"redis+sentinel://:{SECRET}@a:1,,b/sale", "host number 2 of its list is empty"),
        (f"redis+sentinel://u:{SECRET}/sale", "port of host number 1 of its list is no number"),
        (f"redis+sentinel://:{SECRET}@a:70000/sale", "no number from 1 to 65535"),
        (f"redis+sentinel://:{SECRET}@a:0/sale", "no number from 1 to 65535"),
        (f"redis+sentinel://:{SECRET}@[::1/sale", "host number 1 of its list is no address"),
        (f"redis+sentinel://:{SECRET}@[::1]x/sale", "host number 1 of its list is no address"),
        (f"redis+sentinel://:{SECRET}/x@a/sale", "holds an '@' behind the hosts"),
        (f"redis+sentinel://:{SECRET}?x@a/sale", "holds an '@' behind the hosts"),
        (f"redis+sentinel://:x#{SECRET}@a/sale", "holds a '#'"),
        (f"redis+sentinel://a/sale?{SECRET}=1", "has an unknown option"),
        (f"redis+sentinel://a/sale?{SECRET}", "must be name=value"),
        (f"redis+sentinel://a/sale?protocol=2&protocol={SECRET}", "option protocol twice"),
        (f"redis+sentinel://a/sale?ssl_keyfile={SECRET}", "needs TLS: rediss+sentinel://"),
        (f"redis+cluster://:{SECRET}@a/1", "a Cluster has one database"),
        (f"redis+cluster://a?sentinel_password={SECRET}", "has an unknown option"),
        ("redis+cluster://", "host number 1 of its list is empty"),
    ],
)
def test_what_is_wrong_is_said_without_a_secret(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as mistake:
        parse_ledger_url(url)
    assert SECRET not in str(mistake.value)


def test_a_url_that_was_read_does_not_show_its_secrets() -> None:
    read = parse_ledger_url(f"redis+sentinel://u:{SECRET}@a/sale?sentinel_password={SECRET}")
    assert SECRET not in repr(read)
    assert SECRET in {read.password, *read.options.values()}
