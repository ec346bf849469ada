/** Turns after a draw, as `gateway/domain/draw.py` says: a keyed permutation that anybody can check. */

const ROUNDS = 10;

/** @param {string} hex */
function bytesOf(hex) {
  if (!/^([0-9a-f]{2})*$/.test(hex)) throw new RangeError("the seed is no hexadecimal text");
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/**
 * @param {SubtleCrypto} subtle
 * @param {number} position from 1 to `count`
 * @param {number} count
 * @param {string} seed hex
 * @returns {Promise<number>} the turn, from 1 to `count`
 */
export async function permute(subtle, position, count, seed) {
  if (!(position >= 1 && position <= count)) {
    throw new RangeError("the position must lie within the draw");
  }
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await subtle.importKey("raw", bytesOf(seed), algorithm, false, ["sign"]);
  // Positions reach 2^53, beyond the 32 bits of JavaScript's own bit operations.
  const halfBits = BigInt(Math.max(1, Math.ceil((count - 1).toString(2).length / 2)));
  const mask = (1n << halfBits) - 1n;
  const message = new Uint8Array(9);
  const view = new DataView(message.buffer);
  let value = BigInt(position - 1);
  do {
    let left = value >> halfBits;
    let right = value & mask;
    for (let round = 0; round < ROUNDS; round += 1) {
      view.setUint8(0, round);
      view.setBigUint64(1, right);
      const digest = new DataView(await subtle.sign("HMAC", key, message));
      [left, right] = [right, left ^ (digest.getBigUint64(0) & mask)];
    }
    value = (left << halfBits) | right;
  } while (value >= BigInt(count));
  return Number(value) + 1;
}

/**
 * Say which turn a position has; null while its draw has not been held.
 *
 * @param {SubtleCrypto} subtle
 * @param {number} position
 * @param {number} headStart turns granted by an invitation
 * @param {{commitment: string, seed: string | null, count: number | null} | null} draw
 * @returns {Promise<number | null>}
 * @throws {RangeError} the seed is not the one that was promised
 */
export async function turnOf(subtle, position, headStart, draw) {
  let drawn = position;
  if (draw !== null) {
    if (draw.seed === null || draw.count === null) return null;
    const digest = new Uint8Array(await subtle.digest("SHA-256", bytesOf(draw.seed)));
    const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (hex !== draw.commitment) throw new RangeError("the seed is not the one that was promised");
    if (position <= draw.count) drawn = await permute(subtle, position, draw.count, draw.seed);
  }
  return Math.max(1, drawn - headStart);
}
