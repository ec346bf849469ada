"""Signing and verifying our tokens. The only file that imports `jwt`.

PyJWT's `encode` and `decode` are not used: `decode` takes tokens that our profile refuses (any
`typ`, repeated names, `"exp": "1"`), and both spend half of their time on checks that one regular
expression does. What is used is its ES256, on key objects: there is no code path that an `alg`
could choose, and no HMAC. PyJWT's `decode` is the oracle of the property tests: never laxer than
it.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from jwt.algorithms import ECAlgorithm

from gateway.domain.claims import (
    PASS_TYP,
    QUEUE_TYP,
    PassClaims,
    QueueClaims,
    check_issued,
    check_not_expired,
)
from gateway.domain.positions import EventId
from gateway.errors import BadInput, TokenFault, TokenRejected
from gateway.tokens.cache import DEFAULT_ENTRIES, VerifiedToken, VerifiedTokens, digest_of
from gateway.tokens.compact import (
    MAX_TOKEN_BYTES,
    CompactJws,
    encode_segment,
    read_header,
    read_payload,
    split,
    token_bytes,
    write_header,
)
from gateway.tokens.keys import PublicKey, PublicKeys, SigningKey, SigningKeys

REFRESH_GRACE_S: Final = 7 * 24 * 3600
"""A queue token may be refreshed this long after its end."""

POINTER_TYP: Final = "pointer+jwt"
"""A pointer document that was signed (`statements.py`); no token, and refused as one."""

MAX_STATEMENT_BYTES: Final = 65_536

_SIGNATURE_BYTES: Final = 64
_ES256: Final = ECAlgorithm(ECAlgorithm.SHA256)

_PARSERS: Final[dict[str, Callable[[Mapping[str, object]], QueueClaims | PassClaims]]] = {
    QUEUE_TYP: QueueClaims.parse,
    PASS_TYP: PassClaims.parse,
}


def verify_es256(message: bytes, signature: bytes, public_key: PublicKey) -> bool:
    """Tell whether `signature`, R and S of 32 bytes each (RFC 7518, 3.4), is over `message`."""
    return len(signature) == _SIGNATURE_BYTES and _ES256.verify(message, public_key, signature)


def check_signature(jws: CompactJws, kid: str, keys: Mapping[str, PublicKey]) -> None:
    """Refuse a token that key `kid` of `keys` did not sign.

    Raises:
        TokenRejected: With `UNKNOWN_KEY` or `BAD_SIGNATURE`.
    """
    public_key = keys.get(kid)
    if public_key is None:
        raise TokenRejected(TokenFault.UNKNOWN_KEY)
    if not verify_es256(jws.signing_input, jws.signature, public_key):
        raise TokenRejected(TokenFault.BAD_SIGNATURE)


class Signer:
    """Signs with whatever key is active at the moment (`ports.TokenSigner`)."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys
        self._prepared_for: SigningKey | None = None
        self._headers: dict[str, bytes] = {}

    def sign_queue(self, claims: QueueClaims) -> str:
        return self.sign(QUEUE_TYP, claims.to_payload())

    def sign_pass(self, claims: PassClaims) -> str:
        return self.sign(PASS_TYP, claims.to_payload())

    @property
    def kid(self) -> str:
        """Return the name of the key that signs now.

        Raises:
            KeyRingError: No key is active.
        """
        return self._keys.active_signing_key.kid

    def sign_pointer(self, payload: Mapping[str, object]) -> str:
        """Sign a pointer document with its claims.

        Raises:
            KeyRingError: No key is active.
            BadInput: The statement would be longer than any verifier takes.
        """
        statement = self._signed(POINTER_TYP, payload)
        if len(statement) > MAX_STATEMENT_BYTES:
            raise BadInput(f"a statement may have {MAX_STATEMENT_BYTES} bytes")
        return statement

    def sign(self, typ: str, payload: Mapping[str, object]) -> str:
        """Sign a payload of JSON values under `typ`, which is text of ours and never a client's.

        Raises:
            KeyRingError: No key is active.
            BadInput: The token would be longer than any verifier takes.
        """
        token = self._signed(typ, payload)
        if len(token) > MAX_TOKEN_BYTES:
            raise BadInput(f"a token may have {MAX_TOKEN_BYTES} bytes; shorten the issuer's name")
        return token

    def _signed(self, typ: str, payload: Mapping[str, object]) -> str:
        key = self._keys.active_signing_key
        if key is not self._prepared_for:
            self._headers = {}
            self._prepared_for = key
        header = self._headers.get(typ)
        if header is None:
            header = self._headers[typ] = write_header(key.kid, typ)
        signing_input = header + b"." + encode_segment(msgspec.json.encode(payload))
        signature = _ES256.sign(signing_input, key.private_key)
        return (signing_input + b"." + encode_segment(signature)).decode("ascii")


class Verifier:
    """Turns a token from outside into claims that can be believed, or refuses it.

    Cheap checks (shape, header, `typ`, `kid`) come before the signature; the payload is not read
    before the signature is good. Genuine tokens are remembered: seen again, they cost no signature.
    When the key set changes, the next call notices, and forgets the tokens of keys that left.
    """

    def __init__(self, keys: PublicKeys, issuer: str, cache_entries: int = DEFAULT_ENTRIES) -> None:
        self._keys = keys
        self._issuer = issuer
        self._cache = VerifiedTokens(cache_entries)
        self._public: Mapping[str, PublicKey] = {}
        self._prepared: dict[bytes, tuple[str, str]] = {}

    @property
    def keys_in_force(self) -> object:
        """Return the key set itself: another object once a key came or went."""
        return self._keys.public_keys()

    @property
    def cached(self) -> int:
        """How many tokens are remembered."""
        return len(self._cache)

    def verify(
        self,
        token: str | bytes,
        now_s: float,
        *,
        expect_event: EventId | None = None,
        queue_grace_s: int = 0,
        judge_pass_end: bool = False,
    ) -> QueueClaims | PassClaims:
        """Return the claims of a genuine token, of the kind that its `typ` names.

        Args:
            now_s: Unix seconds by the ledger's clock.
            expect_event: The event that the token must be for; None when the caller compares.
            queue_grace_s: How long after its end a queue token still counts: 0, or
                `REFRESH_GRACE_S` for a refresh.
            judge_pass_end: Whether a pass is refused once it has ended. By default it is returned
                all the same, and the caller must compare `expires_at`: paths listed as `finish`
                admit it for a while longer, and only the admission decision knows the path.

        Raises:
            TokenRejected: With the fault. Never anything else, whatever the bytes.
        """
        raw = token_bytes(token)
        self._follow_keys()
        digest = digest_of(raw)
        known = self._cache.find(digest)
        verified = self._verify_first_sight(raw) if known is None else known
        claims = verified.claims
        if expect_event is not None and claims.event != expect_event:
            raise TokenRejected(TokenFault.WRONG_EVENT)
        check_issued(claims, now_s)
        if isinstance(claims, QueueClaims):
            check_not_expired(claims, now_s, queue_grace_s)
        elif judge_pass_end:
            check_not_expired(claims, now_s)
        if known is None:
            self._cache.keep(digest, verified)
        return claims

    def _verify_first_sight(self, raw: bytes) -> VerifiedToken:
        jws = split(raw)
        # Equal to a header that we would write: the strictest check of alg, typ and kid there is.
        # Another spelling of the same three members takes the slow way to the same answer.
        kid, typ = self._prepared.get(jws.header) or read_header(jws.header)
        parse = _PARSERS.get(typ)
        if parse is None:
            raise TokenRejected(TokenFault.WRONG_TYPE)
        check_signature(jws, kid, self._public)
        claims = parse(read_payload(jws.payload))
        if claims.issuer != self._issuer:
            raise TokenRejected(TokenFault.WRONG_ISSUER)
        return VerifiedToken(claims, kid)

    def _follow_keys(self) -> None:
        public = self._keys.public_keys()
        if public is self._public:
            return
        # Compared by key, not by name: a kid that now names another key vouches for nothing old.
        gone = {kid for kid, key in self._public.items() if public.get(kid) != key}
        self._cache.forget_keys(gone)
        self._prepared = {write_header(kid, typ): (kid, typ) for kid in public for typ in _PARSERS}
        self._public = public
