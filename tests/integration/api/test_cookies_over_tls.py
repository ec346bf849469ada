"""Over TLS the cookies are bound to the host, and plain ones count for nothing."""

import pytest

from tests.support.gateways import Tables
from tests.support.staging import Stage


@pytest.fixture(scope="module")
def tables(tables: Tables) -> Tables:
    return {**tables, "server": {"scheme": "https"}}


def test_both_cookies_are_secure_and_bound_to_their_host(stage: Stage) -> None:
    visitor = stage.visitor()
    joined = visitor.call("join")
    stage.release()
    claimed = visitor.call("claim")
    for reply, kind in ((joined, "queue"), (claimed, "pass")):
        (cookie,) = reply.cookies.values()
        assert cookie.name == f"__Host-{kind}-{stage.event}"
        assert int(cookie.attributes.pop("max-age")) > 0
        # A prefix that browsers refuse unless Path=/, Secure, and no Domain go with it.
        assert cookie.attributes == {"path": "/", "httponly": "", "samesite": "Lax", "secure": ""}


def test_they_are_read_and_cleared_under_the_same_names(stage: Stage) -> None:
    visitor = stage.admitted()
    assert visitor.call("position").json()["status"] == "admitted"
    cookies = visitor.call("leave").cookies
    assert set(cookies) == {f"__Host-queue-{stage.event}", f"__Host-pass-{stage.event}"}
    assert all(cookie.cleared and "secure" in cookie.attributes for cookie in cookies.values())


def test_a_cookie_that_another_host_could_have_set_is_not_read(stage: Stage) -> None:
    visitor = stage.admitted()
    plain = f"queue-{stage.event}={visitor.place}; pass-{stage.event}={visitor.held}"
    for cookie in (plain, f" \u00a0__Host-pass-{stage.event}={visitor.held}"):
        reply = stage.visitor().call("position", {"cookie": cookie})
        assert reply.verdict == (401, "no-token")


def test_addresses_of_the_site_are_written_with_its_scheme(stage: Stage) -> None:
    reply = stage.visitor().call(
        "join", {"accept": "text/html"}, return_to=f"http://{stage.host}/book"
    )
    assert reply.location == (f"/queue/{stage.event}/room?return_to=https%3A//{stage.host}/book")
