"""Who may come in: the Host, the page that asks, the key or the session, the role, and how often.

A script shows its key with every request. A browser shows it once and holds a cookie, which it sends by
itself, also where another page made it do so; so such a request must prove besides that a page of ours
meant it.
"""

from collections.abc import Collection
from ipaddress import ip_address
from typing import Final, NoReturn

from gateway.admin.asking import SAFE_METHODS, Identity, Incoming, Way
from gateway.admin.limits import AdminLimits, Allowance
from gateway.admin.problems import Problem, refuse
from gateway.admin.sessions import LIFE_S, Session, SessionTable
from gateway.answers import Answer, RawHeader, json_answer
from gateway.calls import CSRF_SAFE_SITES
from gateway.domain.carriers import OPERATOR_COOKIE
from gateway.domain.join_limits import source_of
from gateway.domain.targets import NotCanonical, canonical_host
from gateway.operators.file import OperatorFile
from gateway.operators.keys import Operator, Role, find
from gateway.ports import Clock

CSRF_HEADER: Final = b"operator-request"
"""No form can send it, and a script of another origin only after a preflight, which nobody here grants."""

_LOOPBACK_NAMES: Final = frozenset({"localhost"})

_HOW_TO_SHOW = "Send Authorization: Bearer KEY, or sign in with POST /admin/session."


class Doorkeeper:
    """Knows the operators and their sessions.

    Args:
        hosts: Names by which the interface may be reached, beside those of loopback.
    """

    def __init__(
        self,
        operators: OperatorFile,
        clock: Clock,
        hosts: Collection[str],
        limits: AdminLimits | None = None,
    ) -> None:
        limits = limits or AdminLimits()
        self._operators = operators
        self._clock = clock
        self._hosts = frozenset(hosts)
        self._sessions = SessionTable()
        self._mistakes = Allowance(limits.mistakes)
        self._mistakes_overall = Allowance(limits.mistakes_overall, most=1)
        self._requests = Allowance(limits.requests)

    def check_host(self, incoming: Incoming) -> None:
        """Refuse a name that nobody gave to this interface.

        A page whose own name is rebound to this address has the same origin as what it reads, and so passes
        every other check but the cookie's; only the name in Host gives it away.

        Raises:
            Refusal: The name is not one of ours.
        """
        values = [value for name, value in incoming.scope["headers"] if name == b"host"]
        try:
            host = canonical_host(values)
        except NotCanonical as exc:
            refuse(Problem.BAD_INPUT, f"{exc.why[:1].upper()}{exc.why[1:]}.")
        bare = host.strip("[]")
        if bare in self._hosts or bare in _LOOPBACK_NAMES or _is_own_address(bare, incoming):
            return
        refuse(
            Problem.WRONG_HOST,
            "Reach it by a name of this machine's loopback, by [server] admin_host, or add the name to "
            "[admin] hosts in the settings.",
        )

    def check_site(self, incoming: Incoming) -> None:
        """Refuse what a page of another origin made a browser send.

        Raises:
            Refusal: It was such a page.
        """
        origin, site = incoming.header(b"origin"), incoming.header(b"sec-fetch-site")
        if (origin is not None and not incoming.is_own_origin(origin)) or (
            site is not None and site.encode("latin-1") not in CSRF_SAFE_SITES
        ):
            refuse(Problem.CROSS_SITE, "Requests from pages of other origins are not accepted.")

    def identify(self, incoming: Incoming) -> Identity:
        """Return who sends the request.

        Raises:
            Refusal: Nobody whom we know, or too often.
        """
        shown = incoming.header(b"authorization")
        if shown is not None:
            scheme, _, key = shown.partition(" ")
            if scheme.lower() != "bearer":
                self._refuse_unknown(Problem.OPERATOR_REQUIRED, _HOW_TO_SHOW)
            operator = self._by_key(key.strip(), incoming)
            identity = Identity(operator, Way.BEARER, operator.expires_at)
        else:
            identity = self._by_cookie(incoming)
        self._take_request(identity.operator)
        return identity

    def check_intent(self, incoming: Incoming, identity: Identity) -> None:
        """Refuse a change by cookie that no page of ours asked for.

        Raises:
            Refusal: Something that only a page of ours can say is missing.
        """
        if identity.way is not Way.SESSION or incoming.method in SAFE_METHODS:
            return
        # What is wrong in either was refused before; here one of the two must be there and right.
        from_ours = (
            incoming.header(b"origin") or incoming.header(b"sec-fetch-site") == "same-origin"
        )
        if not from_ours:
            refuse(
                Problem.CROSS_SITE,
                "With a session, a change needs Origin or Sec-Fetch-Site: same-origin, as browsers send "
                "them; scripts use Authorization: Bearer KEY.",
            )
        if incoming.header(CSRF_HEADER) != "1":
            refuse(
                Problem.CROSS_SITE, "With a session, a change needs the field Operator-Request: 1."
            )
        if incoming.method != "DELETE" and not incoming.is_json:
            refuse(Problem.JSON_ONLY, "Send a JSON object, as content-type application/json.")

    def check_role(self, identity: Identity, needed: Role) -> None:
        """Refuse what the operator's role does not cover.

        Raises:
            Refusal: It does not.
        """
        operator = identity.operator
        if not operator.role.covers(needed):
            refuse(
                Problem.ROLE_REQUIRED,
                f"This needs the role {needed.value}; {operator.name} has {operator.role.value}. "
                f"Give another: gateway operator add NAME --role {needed.value}",
                role=needed.value,
            )

    def sign_in(self, key: str, incoming: Incoming) -> tuple[Identity, Answer]:
        """Begin a session for who shows a key.

        Raises:
            Refusal: It is nobody's key.
        """
        operator = self._by_key(key, incoming)
        self._take_request(operator)
        secret, session = self._sessions.open(
            operator, now_s=self._clock.now_s(), monotonic_s=self._clock.monotonic_s()
        )
        identity = Identity(operator, Way.SESSION, session.ends_at)
        life_s = max(session.ends_at - int(self._clock.now_s()), 0)
        cookie = _set_cookie(incoming, secret, life_s)
        return identity, json_answer(200, identity.document(), [cookie])

    def sign_out(self, incoming: Incoming) -> Answer:
        for secret in incoming.cookies(_cookie_name(incoming)):
            self._sessions.end(secret)
        return Answer(204, (_set_cookie(incoming, "", 0),))

    def _by_key(self, key: str, incoming: Incoming) -> Operator:
        operator = find(self._operators.operators, key)
        if operator is not None and not operator.is_expired(self._clock.now_s()):
            return operator
        now_s = self._clock.monotonic_s()
        wait_s = self._mistakes.take(source_of(incoming.client), now_s)
        wait_s = wait_s or self._mistakes_overall.take("", now_s)
        if wait_s:
            refuse(
                Problem.TOO_MANY,
                "Too many wrong keys; a genuine one is let in all the same.",
                retry_after_s=wait_s,
            )
        why = "The key is nobody's." if operator is None else f"The key of {operator.name} expired."
        self._refuse_unknown(Problem.KEY_REFUSED, why)

    def _by_cookie(self, incoming: Incoming) -> Identity:
        secrets = set(incoming.cookies(_cookie_name(incoming)))
        if not secrets:
            self._refuse_unknown(Problem.OPERATOR_REQUIRED, _HOW_TO_SHOW)
        found = self._session(secrets.pop()) if len(secrets) == 1 else None
        if found is None:
            refuse(
                Problem.SESSION_OVER,
                "Sign in again with POST /admin/session.",
                headers=(_set_cookie(incoming, "", 0),),
            )
        operator, session = found
        return Identity(operator, Way.SESSION, session.ends_at)

    def _session(self, secret: str) -> tuple[Operator, Session] | None:
        session = self._sessions.find(secret, monotonic_s=self._clock.monotonic_s())
        if session is None:
            return None
        now_s = self._clock.now_s()
        for operator in self._operators.operators:
            if operator.digest == session.key_digest and not operator.is_expired(now_s):
                return operator, session
        # The key was taken away while the session ran.
        self._sessions.end(secret)
        return None

    def _take_request(self, operator: Operator) -> None:
        wait_s = self._requests.take(operator.name, self._clock.monotonic_s())
        if wait_s:
            refuse(Problem.TOO_MANY, "Too many requests of one operator.", retry_after_s=wait_s)

    def _refuse_unknown(self, problem: Problem, detail: str) -> NoReturn:
        if not self._operators.operators:
            detail = "There is no operator yet. Make one: gateway operator add NAME --role admin"
            if self._operators.trouble is not None:
                detail = "The file of the operators cannot be read; the gateway's log says why."
        refuse(problem, detail)


def _is_own_address(host: str, incoming: Incoming) -> bool:
    """Whether the Host is an address, loopback's or the connection's own: an address cannot be rebound."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    server = incoming.scope.get("server")
    return address.is_loopback or (server is not None and str(address) == server[0])


def _cookie_name(incoming: Incoming) -> str:
    return f"__Host-{OPERATOR_COOKIE}" if incoming.secure else OPERATOR_COOKIE


def _set_cookie(incoming: Incoming, secret: str, life_s: int) -> RawHeader:
    # `__Host-` wants Path=/ (RFC 6265bis, section 4.1.3.2); without TLS the path keeps it from what else
    # this host serves, since cookies do not mind the port.
    where = "Path=/; Secure" if incoming.secure else "Path=/admin"
    life_s = min(life_s, LIFE_S)
    cookie = (
        f"{_cookie_name(incoming)}={secret}; {where}; Max-Age={life_s}; HttpOnly; SameSite=Strict"
    )
    return b"set-cookie", cookie.encode("ascii")
