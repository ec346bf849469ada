/**
 * Checks what a gateway signed: queue tokens, passes and pointer documents, as compact JWS (RFC 7515).
 *
 * As strict as the gateway where it matters to a client: ES256 fixed by us, a header of exactly `alg`, `typ`
 * and `kid`, the kind that was asked for, one spelling of base64url, and claims of the right type.
 */

const MOST = 65_536;
const SIGNATURE_BYTES = 64;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
const CLAIMS = new Set(["iss", "aud", "gen", "iat"]);
const EVENT = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** Says what is wrong by the gateway's own words: `malformed`, `wrong-type`, `unknown-key`, … */
export class NotGenuine extends Error {
  /** @param {string} fault */
  constructor(fault) {
    super(`not genuine: ${fault}`);
    this.name = "NotGenuine";
    this.fault = fault;
  }
}

/** @param {boolean} holds @param {string} fault */
function must(holds, fault) {
  if (!holds) throw new NotGenuine(fault);
}

/** @param {string} segment @returns {Uint8Array} */
function decode(segment) {
  must(/^[A-Za-z0-9_-]+$/.test(segment) && segment.length % 4 !== 1, "malformed");
  const bytes = new Uint8Array(Math.floor((segment.length * 3) / 4));
  let held = 0;
  let bits = 0;
  let at = 0;
  for (const letter of segment) {
    held = ((held << 6) | ALPHABET.indexOf(letter)) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = held >> bits;
    }
  }
  // Bits of no byte are zero in the one canonical text (RFC 4648, section 3.5).
  must((held & ((1 << bits) - 1)) === 0, "malformed");
  return bytes;
}

/** @param {string} segment @returns {any} */
function json(segment) {
  let read;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(decode(segment));
    read = JSON.parse(text);
  } catch {
    throw new NotGenuine("malformed");
  }
  must(typeof read === "object" && read !== null && !Array.isArray(read), "malformed");
  return read;
}

/** @param {unknown} value @param {number} least */
const isCount = (value, least) => Number.isSafeInteger(value) && Number(value) >= least;

/** @param {unknown} value */
const isText = (value) => typeof value === "string" && value.length > 0 && value.length <= 256;

/**
 * @param {string} text
 * @param {string} typ
 * @param {{keys: any[], event: string, issuer?: string | null, subtle: SubtleCrypto}} expected
 */
async function read(text, typ, { keys, event, issuer, subtle }) {
  must(typeof text === "string" && text.length <= MOST, "malformed");
  const [first, second, third, ...more] = text.split(".");
  must(third !== undefined && more.length === 0, "malformed");
  const header = json(first);
  const names = Object.keys(header).sort().join();
  must(names === "alg,kid,typ" && header.alg === "ES256", "malformed");
  must(typeof header.kid === "string" && typeof header.typ === "string", "malformed");
  must(header.typ === typ, "wrong-type");
  decode(second);
  const signature = decode(third);
  const jwk = keys.find((key) => key.kid === header.kid);
  must(jwk !== undefined, "unknown-key");
  must(signature.length === SIGNATURE_BYTES, "bad-signature");
  // The four members that make the key, and nothing that could widen its use.
  const { kty, crv, x, y } = jwk;
  const key = await subtle.importKey("jwk", { kty, crv, x, y }, ALGORITHM, false, ["verify"]);
  const message = new TextEncoder().encode(`${first}.${second}`);
  const how = { name: "ECDSA", hash: "SHA-256" };
  must(await subtle.verify(how, key, signature, message), "bad-signature");
  const claims = json(second);
  must(isText(claims.iss) && typeof claims.aud === "string" && EVENT.test(claims.aud), "bad-claims");
  must(isCount(claims.gen, 1) && isCount(claims.iat, 0), "bad-claims");
  must(claims.aud === event, "wrong-event");
  must(issuer == null || claims.iss === issuer, "wrong-issuer");
  return claims;
}

/**
 * Return the claims of a genuine queue token. Whether it has expired is for the caller to say, by the server's
 * clock.
 *
 * @param {string} token
 * @param {{keys: any[], event: string, issuer?: string | null, subtle: SubtleCrypto}} expected
 * @throws {NotGenuine}
 */
export async function readToken(token, expected) {
  must(token.length <= 2048, "malformed");
  const claims = await read(token, "queue+jwt", expected);
  must(isText(claims.sub) && isCount(claims.pos, 1) && isCount(claims.exp, 0), "bad-claims");
  must(claims.adv === undefined || isCount(claims.adv, 0), "bad-claims");
  must(claims.exp > claims.iat, "bad-claims");
  return claims;
}

/** @param {any} found */
function isDocument(found) {
  const { holes, draw, wait, poll } = found;
  const isPair = (/** @type {any} */ pair) =>
    Array.isArray(pair) && pair.length === 2 && pair.every((end) => isCount(end, 1));
  const isPoint = (/** @type {any} */ point) =>
    Array.isArray(point) && point.length === 3 && point.every((part) => isCount(part, 0));
  const seconds = [poll?.nearest, poll?.farthest, poll?.unknown, poll?.heartbeat, found.window];
  return (
    typeof found.state === "string" &&
    isCount(found.served_up_to, 0) &&
    isCount(found.issued, 0) &&
    typeof found.full === "boolean" &&
    typeof found.message === "string" &&
    (found.opens_at === null || isCount(found.opens_at, 0)) &&
    Array.isArray(holes) &&
    holes.every(isPair) &&
    (draw === null ||
      (typeof draw.commitment === "string" &&
        (draw.seed === null || typeof draw.seed === "string") &&
        (draw.count === null || isCount(draw.count, 0)))) &&
    (wait === null || (wait?.curve?.length >= 2 && wait.curve.every(isPoint))) &&
    seconds.every((value) => isCount(value, 0))
  );
}

/**
 * Return a genuine pointer document, with when it was signed.
 *
 * @param {string} statement
 * @param {{keys: any[], event: string, issuer?: string | null, subtle: SubtleCrypto}} expected
 * @returns {Promise<{issuer: string, issuedAt: number, document: any}>}
 * @throws {NotGenuine}
 */
export async function readPointer(statement, expected) {
  const claims = await read(statement, "pointer+jwt", expected);
  const document = Object.fromEntries(Object.entries(claims).filter(([name]) => !CLAIMS.has(name)));
  must(document.event === claims.aud && document.generation === claims.gen, "bad-claims");
  must(isDocument(document), "bad-claims");
  return { issuer: claims.iss, issuedAt: claims.iat, document };
}
