"""One thing done wrong in front of the gateway: the doctor finds that, and nothing else."""

from dataclasses import dataclass

import pytest

from gateway.doctor.examination import Wishes
from tests.integration.doctor.chains import NGINX, QUICK, Collecting, Front, Site, examine

pytestmark = pytest.mark.skipif(NGINX is None, reason="there is no nginx on this machine")

KEPT = (
    "proxy_cache kept; proxy_cache_key $request_uri; proxy_cache_valid any 1m;"
    "proxy_ignore_headers Cache-Control Set-Cookie Vary Expires;"
)
ECHO = Wishes(heartbeat=False, echo="/headers")


@dataclass(frozen=True)
class Mistake:
    """What is done wrong.

    Attributes:
        expected: Every check that is not well, with its status.
        says: A part of what the first of them has seen.
    """

    front: Front
    expected: dict[str, str]
    says: str
    wishes: Wishes = QUICK


MISTAKES = {
    "the page needs no pass": Mistake(
        Front(protected="/elsewhere", more="location / { TO_BACKEND }"),
        {"page.protected": "fault"},
        "200 for a browser, 200 for a program",
    ),
    "one path alone is protected": Mistake(
        Front(protected="/book", more="location / { TO_BACKEND }"),
        {"page.spellings": "fault"},
        "upper case (/BOOK/SEAT): 200",
    ),
    "files are served past the gate": Mistake(
        Front(more=r"location ~ \.css$ { TO_BACKEND }"),
        {"page.spellings": "fault"},
        "a file's ending (/book/seat/doctor.css): 200",
    ),
    "slashes are merged for one location only": Mistake(
        Front(more="location ~ ^//+ { TO_BACKEND }"),
        {"page.spellings": "fault"},
        "two slashes in front (//book/seat): 200",
    ),
    "any other host reaches the backend": Mistake(
        Front(default="location / { TO_BACKEND }"),
        {"page.hosts": "fault"},
        "a host that nobody has (/book/seat): 200",
    ),
    "nginx believes a visitor's Queue-Status": Mistake(
        Front(
            more="location = /through { internal; TO_BACKEND }"
            "if ($http_queue_status = admitted) { rewrite ^ /through last; }"
        ),
        {"page.forged": "fault"},
        "Queue-Position, -Event and -Visitor (/book/seat): 200",
    ),
    "nginx believes a visitor's X-Original-URI": Mistake(
        Front(
            told="set $asked $request_uri; if ($http_x_original_uri) { set $asked $http_x_original_uri; }"
            + Front.told.replace("$request_uri", "$asked")
        ),
        {"page.forged": "fault"},
        "X-Original-* (/book/seat): 200",
        ECHO,
    ),
    "Queue-* of a visitor are passed on": Mistake(
        Front(identity=""),
        {"page.queue-fields": "fault"},
        "Queue-Position, Queue-Event, Queue-Visitor",
        ECHO,
    ),
    "the queue is not routed": Mistake(
        Front(routes_queue=False), {"queue.reached": "fault"}, "GET /queue/sale: 303"
    ),
    "refusals are kept": Mistake(
        Front(asks=False, more="location /book { TO_GATEWAY " + Front.host + KEPT + "}"),
        {"cache.refusals": "fault"},
        "who asks later is answered as who asked first",
    ),
    "refusals do not say no-store": Mistake(
        Front(refusals="private"), {"cache.refusals": "warning"}, "Cache-Control: private"
    ),
    "a visitor's place is kept": Mistake(
        Front(
            more="location = /queue/sale/position { TO_GATEWAY proxy_hide_header Cache-Control; "
            + Front.host
            + "}"
        ),
        {"cache.position": "fault"},
        "Cache-Control",
    ),
    "the pointer may not be kept": Mistake(
        Front(
            more="location = /queue/sale { TO_GATEWAY proxy_hide_header Cache-Control;"
            + Front.host
            + "}"
        ),
        {"cache.pointer": "warning"},
        "Cache-Control: nothing",
    ),
    "the pointer is kept too long": Mistake(
        Front(more="location = /queue/sale { TO_GATEWAY add_header Age 30; " + Front.host + "}"),
        {"cache.pointer": "fault"},
        "Age: 30",
    ),
    "streams are compressed, and held back for that": Mistake(
        Front(
            queue="gzip on; gzip_types *; gzip_proxied any; proxy_ignore_headers X-Accel-Buffering;"
        ),
        {"stream.events": "fault"},
        "no head within 3 seconds",
    ),
    "streams are cut": Mistake(
        Front(queue="proxy_read_timeout 1s;"),
        {"stream.heartbeat": "fault"},
        "was cut",
        Wishes(heartbeat=True),
    ),
    "upgrades are not passed on": Mistake(
        Front(upgrade=""), {"stream.websocket": "warning"}, "GET /queue/sale/ws: 426"
    ),
    "the gate is shown no cookies": Mistake(
        Front(gate='proxy_set_header Cookie "";'), {"cookies.page": "fault"}, "303"
    ),
    "the queue is shown no cookies": Mistake(
        Front(queue='proxy_set_header Cookie "";'), {"cookies.queue": "fault"}, "401"
    ),
    "cookies are taken out of answers": Mistake(
        Front(queue="proxy_hide_header Set-Cookie;"), {"cookies.set": "fault"}, "no Set-Cookie"
    ),
    "cookies are rewritten": Mistake(
        Front(queue="proxy_cookie_path ~^/queue/ /;"), {"cookies.set": "warning"}, "Path=/"
    ),
    "the Host is replaced": Mistake(
        Front(host="proxy_set_header Host 127.0.0.1;"), {"gateway.host": "fault"}, "told 127.0.0.1"
    ),
    "a visitor's X-Forwarded-For is believed": Mistake(
        Front(forwarded_for=""),
        {"gateway.client-address": "fault"},
        "from a stranger, and the gateway believes it",
    ),
    "nobody says whom nginx speaks for": Mistake(
        Front(forwarded_for='proxy_set_header X-Forwarded-For "";'),
        {"gateway.client-address": "fault"},
        "does not say whom it speaks for",
    ),
    "nginx names itself as the visitor": Mistake(
        Front(forwarded_for='proxy_set_header X-Forwarded-For "127.0.0.3";'),
        {"gateway.client-address": "fault"},
        "does not say whom it speaks for",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_doctor_finds_what_is_wrong_and_nothing_else(deployed: Site, name: str) -> None:
    mistake = MISTAKES[name]
    with deployed.behind(mistake.front) as port:
        url = f"http://localhost:{port}/book/seat"
        report = examine(url, deployed, mistake.wishes, event="sale")
    assert report.troubles == mistake.expected
    found = report[next(iter(mistake.expected))]
    assert mistake.says in found.seen
    assert found.means
    assert found.mend


def test_appending_to_x_forwarded_for_is_no_mistake(deployed: Site) -> None:
    front = Front(forwarded_for="proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;")
    with deployed.behind(front) as port:
        report = examine(f"http://localhost:{port}/book", deployed)
    assert report.troubles == {}
    assert "127.0.0.2" in report["gateway.client-address"].seen


def test_a_proxy_that_collects_before_it_sends_is_found(deployed: Site) -> None:
    with deployed.behind(Front()) as port, Collecting(port) as collecting:
        report = examine(f"http://localhost:{collecting.port}/book", deployed)
    assert report.troubles == {"stream.events": "fault"}
    assert "the head, and nothing of it within 3 seconds" in report["stream.events"].seen


def test_compressed_streams_that_are_not_held_back_are_well(deployed: Site) -> None:
    queue = "gzip on; gzip_min_length 1; gzip_types text/event-stream; gzip_proxied any;"
    with deployed.behind(Front(queue=queue)) as port:
        report = examine(f"http://localhost:{port}/book", deployed)
    assert report.troubles == {}
