"""The pointer document as a signed statement, for those who check it without asking us again.

A compact JWS under the rules of our tokens (`compact.py`): header `alg: ES256`, `typ: pointer+jwt` and
`kid`; claims `iss`, `aud` (the event), `gen` and `iat`, and beside them the members of the document. It is
longer than a token may be, and its payload has numbers with a fraction and lists: a verifier of tokens
refuses it by its `typ`, and this one refuses every token by theirs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from gateway.domain.claims import QUEUE_TYP, QueueClaims
from gateway.domain.positions import MAX_POSITION, EventId, Generation
from gateway.errors import TokenFault, TokenRejected
from gateway.tokens.codec import MAX_STATEMENT_BYTES, POINTER_TYP, check_signature
from gateway.tokens.compact import (
    CompactJws,
    decode_segment,
    read_header,
    read_payload,
    refuse_repeated_names,
    split,
)
from gateway.tokens.keys import PublicKey

_CLAIMS: Final = frozenset({"iss", "aud", "gen", "iat"})


@dataclass(frozen=True, slots=True)
class PointerStatement:
    """A genuine statement.

    Attributes:
        issued_at: Unix seconds of the ledger's clock at which it was signed.
        document: The members of the pointer document, not looked at but for `event` and `generation`.
    """

    issuer: str
    event: EventId
    generation: Generation
    issued_at: int
    document: Mapping[str, object]


def verify_pointer(
    statement: str,
    keys: Mapping[str, PublicKey],
    *,
    expect_event: EventId,
    expect_issuer: str | None = None,
) -> PointerStatement:
    """Return what a genuine statement says.

    Args:
        keys: The public keys by `kid`.
        expect_issuer: None where the caller has none to compare with.

    Raises:
        TokenRejected: With the fault. Never anything else, whatever the text.
    """
    jws = _split(statement)
    header = read_header(jws.header)
    if header.typ != POINTER_TYP:
        raise TokenRejected(TokenFault.WRONG_TYPE)
    check_signature(jws, header.kid, keys)
    payload = _read(decode_segment(jws.payload))
    issuer, event = payload.get("iss"), payload.get("aud")
    generation, issued_at = payload.get("gen"), payload.get("iat")
    if type(issuer) is not str or type(event) is not str:
        raise TokenRejected(TokenFault.BAD_CLAIMS)
    if not (_is_count(generation, 1) and _is_count(issued_at, 0)):
        raise TokenRejected(TokenFault.BAD_CLAIMS)
    if event != expect_event:
        raise TokenRejected(TokenFault.WRONG_EVENT)
    if expect_issuer is not None and issuer != expect_issuer:
        raise TokenRejected(TokenFault.WRONG_ISSUER)
    if (payload.get("event"), payload.get("generation")) != (event, generation):
        raise TokenRejected(TokenFault.BAD_CLAIMS)
    return PointerStatement(
        issuer=issuer,
        event=EventId(event),
        generation=Generation(cast("int", generation)),
        issued_at=cast("int", issued_at),
        document={name: value for name, value in payload.items() if name not in _CLAIMS},
    )


def _split(statement: str) -> CompactJws:
    if len(statement) > MAX_STATEMENT_BYTES or not statement.isascii():
        raise TokenRejected(TokenFault.MALFORMED)
    segments = statement.encode("ascii").split(b".")
    if len(segments) != 3:
        raise TokenRejected(TokenFault.MALFORMED)
    header, payload, signature = segments
    decode_segment(payload)
    return CompactJws(header, payload, header + b"." + payload, decode_segment(signature))


def _read(content: bytes) -> dict[str, object]:
    try:
        payload: object = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=refuse_repeated_names,
            parse_constant=_refuse,
        )
    except (ValueError, RecursionError) as exc:
        raise TokenRejected(TokenFault.MALFORMED) from exc
    if not isinstance(payload, dict):
        raise TokenRejected(TokenFault.MALFORMED)
    return cast("dict[str, object]", payload)


def _refuse(_: str) -> object:
    raise ValueError("no number")


def _is_count(value: object, least: int) -> bool:
    return type(value) is int and least <= value <= MAX_POSITION


def read_place(
    token: str,
    keys: Mapping[str, PublicKey],
    *,
    expect_event: EventId,
    expect_issuer: str | None = None,
) -> QueueClaims:
    """Return what a genuine queue token says, for who holds it; its end is not judged.

    The bearer's own clock may be wrong, and an expired token can be refreshed: the server says what it is
    still good for.

    Raises:
        TokenRejected: With the fault. Never anything else, whatever the text.
    """
    jws = split(token)
    header = read_header(jws.header)
    if header.typ != QUEUE_TYP:
        raise TokenRejected(TokenFault.WRONG_TYPE)
    check_signature(jws, header.kid, keys)
    claims = QueueClaims.parse(read_payload(jws.payload))
    if claims.expires_at <= claims.issued_at:
        raise TokenRejected(TokenFault.BAD_CLAIMS)
    if claims.event != expect_event:
        raise TokenRejected(TokenFault.WRONG_EVENT)
    if expect_issuer is not None and claims.issuer != expect_issuer:
        raise TokenRejected(TokenFault.WRONG_ISSUER)
    return claims
