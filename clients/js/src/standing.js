/** Where a visitor stands, worked out from the token and the newest document alone. */

import { turnOf } from "./draw.js";
import { peopleAhead, pollAfter, showNext, timeLeft, waitAt } from "./place.js";

const DEFAULT_POLL = { nearest: 2, farthest: 60, unknown: 10, heartbeat: 15 };
const NO_CLAIMS_IN = new Set(["scheduled", "suspended", "deleted"]);

export class Standing {
  #tools;

  /** The token's; null while it could not be checked. @type {any} */
  claims = null;
  /** The newest genuine document, and when it was signed. @type {{issuedAt: number, document: any} | null} */
  pointer = null;
  /** Null before the draw. @type {number | null} */
  turn = null;
  /** @type {any} */
  shown = null;
  /** @type {number | null} */
  turnSeenAt = null;
  /** Where the pointer stood in the document before the newest. @type {number | null} */
  servedBefore = null;
  /** How often the site was full for this turn. */
  refusals = 0;

  /** The least wait, as of the document. @type {number | null} */
  #low = null;

  /** @param {{subtle: SubtleCrypto, now: () => number}} tools */
  constructor(tools) {
    this.#tools = tools;
  }

  forget() {
    this.claims = this.pointer = this.turn = this.shown = this.#low = null;
    this.turnSeenAt = this.servedBefore = null;
    this.refusals = 0;
  }

  get document() {
    return this.pointer?.document ?? null;
  }

  get poll() {
    return this.document?.poll ?? DEFAULT_POLL;
  }

  /** Work out the turn, which a draw may have changed. */
  async findTurn() {
    const { pos, adv = 0 } = this.claims;
    this.turn = await turnOf(this.#tools.subtle, pos, adv, this.document.draw);
  }

  /** Say anew how long the turn may take. */
  estimate() {
    const wait = this.#wait();
    this.#low = wait?.low ?? null;
    this.shown = showNext(this.shown, wait, Math.floor(this.#tools.now()));
  }

  hasTurn() {
    const { document, turn } = this;
    if (turn === null || !document) return false;
    return turn <= document.served_up_to && !NO_CLAIMS_IN.has(document.state);
  }

  /** How many are in front; null where that is not known. */
  ahead() {
    const { document, turn } = this;
    return turn === null || !document ? null : peopleAhead(turn, document.served_up_to, document.holes);
  }

  /** The time left as it is to be shown; null where nobody can tell. */
  waitLeft() {
    return this.shown === null ? null : timeLeft(this.shown, Math.floor(this.#tools.now()));
  }

  /**
   * When the turn is expected at the earliest, in ms of the device's clock: by that, notifications are set.
   *
   * @param {any} record
   */
  earliestTurnAt({ as_of, heard_at }) {
    const { document } = this;
    if (!document) return null;
    if (document.state === "scheduled") {
      const opens = document.opens_at === null ? null : document.opens_at - as_of + heard_at;
      return opens === null ? null : Math.round(opens * 1000);
    }
    return this.#low === null ? null : Math.round((heard_at + this.#low) * 1000);
  }

  /** After how long to ask again where nothing is pushed. @param {number} chance @returns {number} seconds */
  pollAlone(chance) {
    return pollAfter(this.poll, this.ahead(), this.#wait(), chance);
  }

  #wait() {
    const { document, turn } = this;
    if (turn === null || !document?.wait || turn <= document.served_up_to) return null;
    return waitAt(document.wait.curve, peopleAhead(turn, document.served_up_to, document.holes));
  }
}
