"""TLS, observed events, places that are really taken, and what is not there at all."""

import pytest

from gateway.doctor.examination import Wishes
from gateway.doctor.findings import Status
from tests.integration.doctor.chains import EVENT, NGINX, Front, Site, examine
from tests.support.certificates import Authority
from tests.support.gateways import Backend, Server
from tests.support.operators import Operator
from tests.support.servers import free_port

pytestmark = pytest.mark.skipif(NGINX is None, reason="there is no nginx on this machine")


@pytest.mark.parametrize("asks", [True, False], ids=["asking", "through"])
def test_a_good_chain_over_tls_is_well(deployed: Site, authority: Authority, asks: bool) -> None:
    with deployed.behind(Front(asks=asks, tls=True), authority.sign("good")) as port:
        report = examine(
            f"https://localhost:{port}/book",
            deployed,
            ca=authority.certificate,
            wishes=Wishes(heartbeat=False, join=True),
        )
    # The test's certificate lives for an hour.
    assert report.troubles == {"tls.certificate": "warning"}
    assert "secure" in report["join.cookie"].seen
    assert report["join.cookie"].seen.startswith("__Host-queue-")


def test_a_certificate_that_nobody_vouches_for_is_a_fault_and_no_place_is_sent(
    deployed: Site, authority: Authority, operator: Operator
) -> None:
    before = operator.read(EVENT).issued
    with deployed.behind(Front(tls=True), authority.sign("unknown")) as port:
        report = examine(
            f"https://localhost:{port}/book", deployed, Wishes(heartbeat=False, join=True)
        )
    assert report.troubles == {"tls.certificate": "fault"}
    assert report["join.place"].status is Status.NOT_CHECKED
    assert operator.read(EVENT).issued == before


def test_a_gateway_that_is_not_told_of_tls_is_found(deployed: Site, authority: Authority) -> None:
    certificate = authority.sign("told")
    with deployed.behind(Front(tls=True, proto=""), certificate) as port:
        report = examine(f"https://localhost:{port}/book", deployed, ca=authority.certificate)
    # One mistake, and everything that it spoils.
    assert report.having(Status.FAULT) == {"cookies.queue", "cookies.set", "gateway.scheme"}
    assert "scheme" in report["cookies.queue"].mend
    untold = Front.told.replace("proxy_set_header X-Original-Proto $scheme;", "")
    with deployed.behind(Front(tls=True, told=untold), certificate) as port:
        report = examine(f"https://localhost:{port}/book", deployed, ca=authority.certificate)
    assert report.having(Status.FAULT) == {"page.redirect", "cookies.page"}


def test_a_place_is_taken_only_where_that_is_asked_for(deployed: Site, operator: Operator) -> None:
    before = operator.read(EVENT).issued
    with deployed.behind(Front()) as port:
        report = examine(f"http://localhost:{port}/book", deployed, Wishes(heartbeat=False))
        assert report["join.place"].status is Status.NOT_CHECKED
        assert operator.read(EVENT).issued == before
        report = examine(
            f"http://localhost:{port}/book", deployed, Wishes(heartbeat=False, join=True)
        )
    assert report.troubles == {}
    assert operator.read(EVENT).issued == before + 1
    assert report.having(Status.OK) >= {"join.place", "join.cookie", "join.kept", "join.page"}
    assert f"{before + 1}" in report["join.place"].seen


def test_a_chain_that_keeps_no_cookies_is_found_with_a_place(deployed: Site) -> None:
    front = Front(gate='proxy_set_header Cookie "";')
    with deployed.behind(front) as port:
        report = examine(
            f"http://localhost:{port}/book", deployed, Wishes(heartbeat=False, join=True)
        )
    assert report.having(Status.FAULT) == {"cookies.page"}


def test_an_observed_event_is_told_of_and_is_no_fault(deployed: Site) -> None:
    with deployed.behind(Front()) as port:
        report = examine(f"http://127.0.0.1:{port}/book", deployed, event="watched")
        assert report.troubles == {"page.protected": "warning", "gateway.mode": "warning"}
        assert report["page.protected"].means.startswith("the event is observed only")
        # A stranger cannot know that it is meant so.
        report = examine(f"http://127.0.0.1:{port}/book", event="watched")
        assert report.troubles == {"page.protected": "fault"}


def test_a_page_that_the_settings_open_is_no_fault(deployed: Site) -> None:
    with deployed.behind(Front()) as port:
        report = examine(f"http://localhost:{port}/headers", deployed)
    assert report.troubles == {"page.protected": "warning", "page.open": "warning"}


def test_where_nobody_answers_there_is_one_fault(deployed: Site) -> None:
    report = examine(f"http://localhost:{free_port()}/book", deployed)
    assert report.troubles == {"site.reached": "fault"}


def test_a_redirect_to_another_site_is_not_followed(deployed: Site) -> None:
    other = Backend()
    server = Server(other)
    server.start()
    try:
        away = f"return 302 http://127.0.0.1:{server.port}/login;"
        with deployed.behind(Front(more="location /book { " + away + " }")) as port:
            report = examine(
                f"http://localhost:{port}/book", deployed, Wishes(heartbeat=False, join=True)
            )
        assert report["page.protected"].status is Status.FAULT
        assert other.seen == []
    finally:
        server.stop()


def test_nothing_of_an_operators_is_sent_to_where_a_page_leads(deployed: Site) -> None:
    # A host of somebody else, which looks like a gateway.
    pointer = f'return 200 \'{{"event":"{EVENT}","state":"open"}}\';'
    with deployed.behind(Front(more="location /queue/sale { " + pointer + " }")) as elsewhere:
        away = f"return 303 http://127.0.0.1:{elsewhere}/queue/sale/room;"
        more = "location /book { " + away + " }"
        with deployed.behind(Front(more=more)) as port:
            report = examine(f"http://localhost:{port}/book", deployed)
    assert report["gateway.diagnosis"].status is Status.FAULT
    assert "no code is sent there" in report["gateway.diagnosis"].seen


def test_without_settings_what_only_an_operator_can_ask_is_left_open(deployed: Site) -> None:
    with deployed.behind(Front(forwarded_for="")) as port:
        report = examine(f"http://localhost:{port}/book")
    assert report.troubles == {}
    unchecked = report.having(Status.NOT_CHECKED)
    assert unchecked >= {"gateway.client-address", "ledger.settings", "keys.ring", "join.place"}
    assert all(report[check].mend for check in unchecked - {"tls.certificate", "stream.heartbeat"})
