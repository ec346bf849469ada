"""The draw: everyone who joined before the opening gets a turn by a keyed permutation.

At the opening the count `n` is frozen and a seed, whose hash was published beforehand, is revealed.
The turn of position p ≤ n is a Feistel network over the smallest even-bit domain that holds n, with
cycle walking (Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains"). Nothing is stored for
each visitor, any gateway computes it, and anyone can check it from the pointer document:

    h = max(1, ceil(bit_length(n - 1) / 2)); v = p - 1
    do   L, R = the upper and lower h bits of v
         for i in 0 … 9:
             L, R = R, L xor (the lower h bits of the first 8 bytes of
                              HMAC-SHA256(seed, byte i ‖ R as 8 bytes), both big-endian)
         v = L ‖ R
    while v ≥ n; the turn is v + 1
"""

import hashlib
import hmac
from dataclasses import dataclass

from gateway.domain.positions import Position, Turn

# Four rounds make a Luby-Rackoff permutation indistinguishable from random; ten leave a margin for
# small domains, where the bound is weak, and still cost some ten microseconds.
ROUNDS = 10

SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class Draw:
    """What the pointer document says of an event's draw.

    Attributes:
        commitment: Hex SHA-256 of the seed, published before the opening.
        seed: Hex seed, revealed at the opening; None before.
        count: How many positions are drawn, frozen at the opening; None before.
    """

    commitment: str
    seed: str | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        # A seed that is not what was promised is found out here, once, and not at every decision.
        if self.seed is not None and commitment_to(bytes.fromhex(self.seed)) != self.commitment:
            raise ValueError("the seed is not the one whose hash was published")

    def turn_of(self, position: Position) -> Turn | None:
        """Return the turn of `position`, or None while the draw has not been held."""
        if self.seed is None or self.count is None:
            return None
        if position > self.count:
            return Turn(position)
        return Turn(permute(position, self.count, bytes.fromhex(self.seed)))


def commitment_to(seed: bytes) -> str:
    return hashlib.sha256(seed).hexdigest()


def permute(position: int, count: int, seed: bytes) -> int:
    """Map `position` in 1…`count` to its turn in 1…`count`, a bijection for every seed."""
    if not 1 <= position <= count:
        raise ValueError("position must lie within the draw")
    half_bits = max(1, ((count - 1).bit_length() + 1) // 2)
    value = position - 1
    while True:
        value = _feistel(value, half_bits, seed)
        if value < count:
            return value + 1


def _feistel(value: int, half_bits: int, seed: bytes) -> int:
    mask = (1 << half_bits) - 1
    left, right = value >> half_bits, value & mask
    for round_number in range(ROUNDS):
        message = round_number.to_bytes(1, "big") + right.to_bytes(8, "big")
        digest = hmac.digest(seed, message, "sha256")
        left, right = right, left ^ (int.from_bytes(digest[:8], "big") & mask)
    return left << half_bits | right
