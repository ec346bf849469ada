/** What of the gateway's words is genuine: read with keys that are pinned, kept, or fetched anew. */

import { NO_ANSWER, refuseTrouble, Trouble } from "./calls.js";
import { NotGenuine } from "./jws.js";

// Seconds.
const KEYS_EVERY = 60;

export class Trust {
  #calls;
  #expected;
  #pinned;
  #now;
  /** @type {any[] | null} */
  #fetched = null;
  #fetchedAt = -Infinity;

  /** The public keys that the record has. @type {any[] | null} */
  kept = null;

  /**
   * @param {import("./calls.js").Calls} calls
   * @param {{event: string, subtle: SubtleCrypto, issuer?: string, keys?: {keys: any[]}, now: () => number}} given
   *   `keys`: a JWK set to trust instead of the one that the gateway publishes; `issuer`: the `iss` to insist on,
   *   else that of the place held
   */
  constructor(calls, { event, subtle, issuer, keys, now }) {
    this.#calls = calls;
    this.#expected = { event, subtle, issuer };
    this.#pinned = keys?.keys ?? null;
    this.#now = now;
  }

  /** The newest public keys. */
  get known() {
    return this.#fetched ?? this.kept;
  }

  /** Fetch the keys where there are none. */
  async haveKeys() {
    if (!this.#pinned && !this.known) await this.#fetchKeys();
  }

  /**
   * Read what was signed; with keys fetched anew where its own is not among those at hand.
   *
   * @param {(text: string, expected: any) => Promise<any>} read
   * @param {string} text
   * @param {any} held the claims of the place that is held
   */
  async genuine(read, text, held) {
    const expected = () => ({
      ...this.#expected,
      keys: this.#pinned ?? this.known ?? [],
      issuer: this.#expected.issuer ?? held?.iss ?? null,
    });
    try {
      return await read(text, expected());
    } catch (failure) {
      const isUnknown = failure instanceof NotGenuine && failure.fault === "unknown-key";
      const isLate = this.#now() - this.#fetchedAt < KEYS_EVERY;
      if (!isUnknown || this.#pinned !== null || isLate) throw failure;
      await this.#fetchKeys();
      return read(text, expected());
    }
  }

  async #fetchKeys() {
    this.#fetchedAt = this.#now();
    const answer = refuseTrouble(await this.#calls.jwks());
    const { keys } = answer.body;
    if (!Array.isArray(keys)) throw new Trouble(NO_ANSWER);
    this.#fetched = keys;
  }
}
