"""The table of sessions, and how much one source may ask."""

from gateway.admin.limits import Allowance, Rate
from gateway.admin.sessions import IDLE_S, LIFE_S, SessionTable
from gateway.domain.carriers import without_our_cookies
from gateway.domain.positions import EventId
from gateway.operators.keys import Operator, Role

OPERATOR = Operator("anna", Role.VIEW, "a" * 64, 0)


def test_a_session_ends_when_it_idles() -> None:
    table = SessionTable()
    secret, _ = table.open(OPERATOR, now_s=0, monotonic_s=0)

    assert table.find(secret, monotonic_s=IDLE_S - 1) is not None
    assert table.find(secret, monotonic_s=2 * IDLE_S - 2) is not None
    assert table.find(secret, monotonic_s=3 * IDLE_S) is None
    assert table.find(secret, monotonic_s=3 * IDLE_S) is None
    assert len(table) == 0


def test_a_session_ends_however_busy_it_is() -> None:
    table = SessionTable()
    secret, session = table.open(OPERATOR, now_s=1000, monotonic_s=0)

    for at_s in range(0, LIFE_S, IDLE_S // 2):
        assert table.find(secret, monotonic_s=at_s) is not None
    assert table.find(secret, monotonic_s=LIFE_S) is None
    assert session.ends_at == 1000 + LIFE_S


def test_a_session_ends_no_later_than_its_key() -> None:
    brief = Operator("anna", Role.VIEW, "a" * 64, 0, expires_at=1060)
    assert SessionTable().open(brief, now_s=1000, monotonic_s=0)[1].ends_at == 1060


def test_the_table_is_bounded_and_lets_go_of_who_was_silent_longest() -> None:
    table = SessionTable(most=3)
    secrets = [table.open(OPERATOR, now_s=0, monotonic_s=n)[0] for n in range(3)]
    assert table.find(secrets[0], monotonic_s=3) is not None

    table.open(OPERATOR, now_s=0, monotonic_s=4)

    assert len(table) == 3
    assert table.find(secrets[1], monotonic_s=5) is None
    assert table.find(secrets[0], monotonic_s=5) is not None


def test_what_is_kept_of_a_session_opens_nothing() -> None:
    table = SessionTable()
    secret, _ = table.open(OPERATOR, now_s=0, monotonic_s=0)

    assert secret not in repr(vars(table))
    assert table.find(secret + "x", monotonic_s=0) is None
    table.end(secret)
    assert table.find(secret, monotonic_s=0) is None


def test_an_allowance_comes_back_with_time() -> None:
    allowance = Allowance(Rate(burst=2, per_minute=6))

    assert [allowance.take("a", 0), allowance.take("a", 0)] == [0, 0]
    wait_s = allowance.take("a", 0)
    assert wait_s >= 10
    assert allowance.take("b", 0) == 0
    assert allowance.take("a", wait_s) == 0
    assert allowance.take("a", wait_s) > 0
    # No more is stored up than the burst, and a clock that goes back gives nothing.
    assert [allowance.take("a", 9000) for _ in range(2)] == [0, 0]
    assert allowance.take("a", 9000) > 0
    assert allowance.take("a", 8000) > 0


def test_an_allowance_remembers_a_bounded_number_of_sources() -> None:
    allowance = Allowance(Rate(burst=1, per_minute=1), most=10)
    for number in range(100):
        allowance.take(str(number), 0)
    assert len(allowance) == 10


def test_no_backend_sees_an_operators_cookie() -> None:
    for name in (b"operator-session", b"__Host-operator-session"):
        value = b"a=1; " + name + b"=secret; b=2"
        assert without_our_cookies(value, (EventId("sale"),)) == b"a=1; b=2"
        assert without_our_cookies(name + b"=secret", ()) == b""
    assert without_our_cookies(b"operator-sessions=1", ()) == b"operator-sessions=1"
