"""What every proxy has whose own script reads plain files: keys, endings and faults count at once."""

import tempfile
import time
from pathlib import Path

import pytest

from gateway.proxyconfig import Knowledge, ProxyFolder
from gateway.proxyconfig.known_files import KnownFiles
from gateway.tokens.keyring import KeyRing
from tests.support.fronts import Front
from tests.support.gateways import BACKEND_BODY
from tests.support.known_faults import FAULTS
from tests.support.line_speed import SCRIPTED, Asked, Verifier
from tests.support.minting import Mint, now_s
from tests.support.replies import ask
from tests.support.staging import Stage


@pytest.fixture(scope="module", params=SCRIPTED, ids=lambda verifier: verifier.folder.proxy)
def verifier(request: pytest.FixtureRequest) -> Verifier:
    chosen: Verifier = request.param
    return chosen


def test_a_new_key_counts_at_once_and_a_removed_one_no_longer_without_a_reload(
    common_lone: tuple[Front, ProxyFolder],
    told: Asked,
    common_stage: Stage,
    mint: Mint,
    told_held: str,
    short_folder: Path,
) -> None:
    stage = common_stage
    later = Mint(Path(tempfile.mkdtemp(prefix="later-", dir=short_folder)) / "keys")
    old, new = (KeyRing.load(place.folder).public_keys() for place in (mint, later))
    by_new = later.held(stage.event, stage.generation)
    sync = common_lone[1].sync(good_for_s=300)
    for keys, of_old, of_new in (
        (old, False, True),
        ({**old, **new}, False, False),
        (new, True, False),
        (old, False, True),
    ):
        step = sync.tell(Knowledge(stage.generation, {}, keys), read_at_s=time.time())
        assert step.reload is False
        assert (told(told_held)[0], told(by_new)[0]) == (of_old, of_new)


def test_many_ended_sessions_are_told_and_forgotten(
    stage: Stage, mint: Mint, lone_front: Front, folder: ProxyFolder
) -> None:
    asked, keys = Asked(lone_front, stage), KeyRing.load(mint.folder).public_keys()
    sync = folder.sync(good_for_s=300)

    def refused(*positions: int) -> list[bool]:
        return [asked(mint.held(stage.event, stage.generation, at))[0] for at in positions]

    def tell(ended: range, at_s: float) -> None:
        known = Knowledge(stage.generation, dict.fromkeys(ended, now_s() + 600), keys)
        sync.tell(known, read_at_s=at_s)

    start_s = time.time()
    tell(range(1, 2001), start_s - 120)
    assert refused(1, 1000, 2000, 2001) == [True, True, True, False]
    # Their passes have died by themselves; a minute later so have their files.
    tell(range(1990, 2001), start_s - 90)
    tell(range(1990, 2001), start_s)
    assert refused(1, 1989, 1990, 2000) == [False, False, True, True]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_read_or_understood_means_asking(
    fault: str, told: Asked, files: KnownFiles, told_held: str
) -> None:
    assert told(told_held)[0] is False
    FAULTS[fault](files)
    was_asked, reply = told(told_held)
    assert (was_asked, reply.status, reply.body) == (True, 200, BACKEND_BODY)


def test_what_cannot_be_read_while_the_gateway_is_away_lets_nobody_in(
    common_lone: tuple[Front, ProxyFolder], told: Asked, files: KnownFiles, told_held: str
) -> None:
    front, _ = common_lone
    with front.wire.refusing():
        assert told(told_held)[1].status == 200
        reached = len(front.site.seen)
        files.known.unlink()
        away = told(told_held)[1]
        assert (away.status, away.header("retry-after")) == (503, "5")
        assert len(front.site.seen) == reached


def test_the_host_must_be_the_events(
    common_lone: tuple[Front, ProxyFolder], common_stage: Stage, files: KnownFiles, told_held: str
) -> None:
    front, _ = common_lone
    own = common_stage.host
    for host, expected in (
        (own, False),
        (own.upper(), False),
        (f"{own}:80", False),
        (f"{own}.", True),
        (f"www.{own}", True),
        (f"{own}:", True),
        (f"{own}:123456", True),
        ("sale-219.example", True),
    ):
        before = front.door.count("/auth")
        cookie = f"to={host}; pass-{common_stage.event}={told_held}"
        ask(front.port, "GET", "/book", [("host", host), ("cookie", cookie)])
        assert (front.door.count("/auth") > before) is expected, host
