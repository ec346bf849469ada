import pytest

from gateway.cli.masking import masked_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", ""),
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:secret@localhost/0", "redis://:***@localhost/0"),
        ("rediss://ops:secret@r.example:1/0", "rediss://ops:***@r.example:1/0"),
        ("redis://ops:a@secret@r.example/0", "redis://ops:***@r.example/0"),
        ("redis://h/0?password=secret&db=1", "redis://h/0?password=***&db=1"),
        ("unix:///run/valkey.sock", "unix:///run/valkey.sock"),
        ("unix://:secret@/run/valkey.sock", "unix://:***@/run/valkey.sock"),
        ("redis+sentinel://ops:secret@a:1,b:2/sale/0", "redis+sentinel://ops:***@a:1,b:2/sale/0"),
        (
            "rediss+sentinel://a:1,b:2/sale?sentinel_username=u&sentinel_password=secret",
            "rediss+sentinel://a:1,b:2/sale?sentinel_username=***&sentinel_password=***",
        ),
        ("redis+cluster://:secret@a:1,b:2", "redis+cluster://:***@a:1,b:2"),
        ("redis+cluster://:a/secret@a:1,b:2", "redis+cluster://***"),
        ("redis://:a/secret@h/0", "redis://***"),
        ("redis://:a#secret@h/0", "redis://***"),
        ("redis://[secret/0", "***"),
    ],
)
def test_no_credential_is_left_in_a_url(url: str, shown: str) -> None:
    assert masked_url(url) == shown
