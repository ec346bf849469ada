"""What a client would rather have: `Accept-Language` and `Accept-Encoding` (RFC 9110, section 12.5)."""

from collections.abc import Iterator, Sequence


def weighted(field: str) -> Iterator[tuple[str, float]]:
    """Read a list of values with weights, in the order in which they came.

    A weight that is none counts as 1, as if it were not there: a browser never sends one.
    """
    for item in field.split(","):
        value, _, parameters = item.partition(";")
        if name := value.strip().lower():
            yield name, _weight(parameters)


def _weight(parameters: str) -> float:
    """Read `q=0.5` (RFC 9110, section 12.4.2): 0 to 1, at most three decimals."""
    name, _, number = parameters.partition("=")
    digits = number.strip()
    if name.strip().lower() != "q" or not digits.replace(".", "", 1).isdecimal():
        return 1.0
    return min(float(digits), 1.0) if digits.isascii() and len(digits) <= len("0.123") else 1.0


def preferred_language(field: str, offered: Sequence[str]) -> str | None:
    """Return the best of the offered language tags, or None where the client wants none of them.

    Lookup by RFC 4647, section 3.4: `pt-BR` finds `pt`. Of two with one weight, the first named wins;
    `*` stands for the first that is offered.
    """
    ranges = sorted(weighted(field), key=lambda item: -item[1])
    for wanted, weight in ranges:
        if weight == 0:
            break
        if wanted == "*":
            return offered[0]
        tag = wanted
        while tag:
            if tag in offered:
                return tag
            tag = tag.rpartition("-")[0]
    return None


def accepts_gzip(field: str) -> bool:
    """Whether `Accept-Encoding` allows gzip (RFC 9110, section 12.5.3). Nothing said is no."""
    weights = dict(weighted(field))
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0
