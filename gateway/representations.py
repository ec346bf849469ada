"""Bodies that many ask for, prepared once: compressed, and told from each other by a tag."""

import gzip
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.answers import Answer, RawHeader, etag_matches
from gateway.preferences import accepts_gzip

# Of an answer that has not changed, only what a cache must update is repeated (RFC 9110, section 15.4.5).
_OF_UNCHANGED = frozenset({b"etag", b"cache-control", b"vary"})


@dataclass(frozen=True, slots=True)
class Prepared:
    """One body in the forms in which it goes out.

    Attributes:
        zipped: None where compressing gains nothing.
    """

    plain: Answer
    zipped: Answer | None

    def best(self, accept_encoding: str) -> Answer:
        """Return the form that a client understands."""
        if self.zipped is None:
            return self.plain
        return self.zipped if accepts_gzip(accept_encoding) else self.plain

    def unless_known(self, accept_encoding: str, if_none_match: bytes | None) -> Answer:
        """Return the form that a client understands, or a 304 where it holds that already."""
        answer = self.best(accept_encoding)
        if if_none_match is not None and etag_matches(if_none_match, dict(answer.headers)[b"etag"]):
            return _unchanged(answer)
        return answer


def prepare(body: bytes, headers: Iterable[RawHeader]) -> Prepared:
    """Compress a body."""
    headers = tuple(headers)
    zipped = Answer(200, (*headers, (b"content-encoding", b"gzip")), _compressed(body))
    return Prepared(Answer(200, headers, body), zipped)


def prepare_tagged(body: bytes, headers: Iterable[RawHeader]) -> Prepared:
    """Compress a body, and give each form its tag.

    Two codings are two representations, so each has one of its own (RFC 9110, section 8.8.3.3).
    """
    prepared = prepare(body, headers)
    digest = hashlib.sha256(body).hexdigest()[:24]
    zipped = prepared.zipped
    return Prepared(
        prepared.plain.with_headers([(b"etag", f'"{digest}"'.encode())]),
        None if zipped is None else zipped.with_headers([(b"etag", f'"{digest}-gzip"'.encode())]),
    )


def _compressed(body: bytes) -> bytes:
    """Return the body as gzip; the same bytes for the same body, always."""
    return gzip.compress(body, compresslevel=9, mtime=0)


def _unchanged(answer: Answer) -> Answer:
    return Answer(304, tuple(held for held in answer.headers if held[0] in _OF_UNCHANGED))
