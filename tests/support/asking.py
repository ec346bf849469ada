"""A proxy that asks `/auth`, in the way of each profile."""

from gateway.edge.forward_auth import Profile
from tests.support.replies import Reply
from tests.support.visitors import Visitor

FIELDS = (
    *("queue-event", "queue-position", "queue-visitor"),
    *("queue-status", "queue-location", "queue-retry-after"),
)
PROFILES = [profile.value for profile in Profile]


class Asking:
    """A proxy that asks about what a visitor wants."""

    def __init__(self, profile: str, visitor: Visitor) -> None:
        self.profile = profile
        self.visitor = visitor

    def about(
        self,
        target: str = "/book",
        headers: dict[str, str] | None = None,
        *,
        method: str = "GET",
        host: str | None = None,
    ) -> Reply:
        host = host or self.visitor.host
        fields = {"cookie": self.cookie} if self.visitor.cookies else {}
        fields |= headers or {}
        if self.profile == "envoy":
            reply = self.visitor.ask(method, f"/auth/envoy{target}", {"host": host, **fields})
        else:
            family = "x-original-" if self.profile == "nginx" else "x-forwarded-"
            told = {f"{family}uri": target, f"{family}method": method, f"{family}host": host}
            query = f"?profile={self.profile}"
            reply = self.visitor.get(f"/auth{query}", {"host": "auth.internal", **told, **fields})
        for name in FIELDS:
            assert len(reply.all(name)) == 1, f"{name} in {reply}"
        return reply

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.visitor.cookies.items())


def said(reply: Reply) -> dict[str, str]:
    return {name: reply.header(name) or "" for name in FIELDS}


NOTHING = dict.fromkeys(FIELDS, "")
