/** Holds one place: joins, follows the pointer, claims, refreshes; each step is written before it counts. */

import { isTrouble, NO_ANSWER, refuseTrouble, Trouble } from "./calls.js";
import { NotGenuine, readPointer, readToken } from "./jws.js";
import { enterDelay, mayHoldFor, newerDocument, whenFull } from "./place.js";
import { Standing } from "./standing.js";

// Seconds.
const DAY = 86_400;
const REFRESH_GRACE = 7 * DAY;
const CLAIM_MARGIN = 30;

const EMPTY = Object.freeze({
  version: 1,
  stage: "none",
  join_key: null,
  join_fields: null,
  token: null,
  pass: null,
  session_ends_at: null,
  why: null,
  statement: null,
  served_up_to: 0,
  as_of: null,
  heard_at: null,
  keys: null,
});

/** What may be due in a stage. @type {Record<string, string[]>} */
const ACTS = {
  none: [],
  joining: ["join"],
  waiting: ["claim", "refresh", "pointer"],
  admitted: ["end", "pointer"],
  over: [],
};

/** The record of one place, and the acts that move it on. One act at a time: the caller sees to that. */
export class Holder {
  #store;
  #tools;
  #calls;
  #trust;
  #timetable;
  #options;
  #told;

  /** @type {any} */
  record = EMPTY;
  standing;
  /** Whether the visitor has said that the turn is to be claimed. */
  claimWanted = false;
  /** What stands in the way. @type {any} */
  problem = null;
  /** When the document was last asked for and had, by the process's own clock. */
  askedAt = -Infinity;
  /** How far the pointer is by what is pushed; null while nothing is. @type {number | null} */
  hintedUpTo = null;

  /**
   * @param {{name: string, storage: any}} store
   * @param {any} tools
   * @param {import("./calls.js").Calls} calls
   * @param {import("./trust.js").Trust} trust
   * @param {import("./timetable.js").Timetable} timetable
   * @param {{autoClaim: boolean, chance: () => number}} options
   * @param {{moved: () => void, left: () => void}} told `moved`: the stage is another one; `left`: nothing is
   *   waited for any more
   */
  constructor(store, tools, calls, trust, timetable, options, told) {
    this.#store = store;
    this.#tools = tools;
    this.#calls = calls;
    this.#trust = trust;
    this.#timetable = timetable;
    this.#options = options;
    this.#told = told;
    this.standing = new Standing(tools);
  }

  // --- The record --------------------------------------------------------------------------------------

  /** Read what was kept, and conclude from it what can be without the network. */
  async load() {
    const { standing } = this;
    try {
      const kept = JSON.parse((await this.#store.storage.get(this.#store.name)) ?? "null");
      if (kept?.version === EMPTY.version) this.#keep({ ...EMPTY, ...kept });
    } catch (failure) {
      this.#note("storage", String(failure));
    }
    const { stage, token, statement, served_up_to } = this.record;
    if (token === null) return;
    try {
      standing.claims = await this.#genuine(readToken, token);
    } catch (failure) {
      // Keys that cannot be fetched just now say nothing against it.
      if (failure instanceof NotGenuine && stage === "waiting") await this.#end("no-token");
      return;
    }
    try {
      if (statement === null) return;
      const { issuedAt, document } = await this.#genuine(readPointer, statement);
      const served = Math.max(document.served_up_to, served_up_to);
      standing.pointer = { issuedAt, document: { ...document, served_up_to: served } };
    } catch {
      standing.pointer = null;
    }
    await this.#consider();
  }

  /** Ask for a new place from now on, unless there is one. @param {Record<string, string>} fields */
  async begin(fields) {
    if (this.record.stage !== "none" && this.record.stage !== "over") return;
    const join_key = this.record.join_key ?? this.#newKey();
    this.problem = null;
    await this.#commit({ ...EMPTY, stage: "joining", join_key, join_fields: fields });
    this.#forgetPlace();
    this.#timetable.clear();
  }

  /** Give the place or the session back, and forget it; false where nobody could be told. */
  async leave() {
    const held = this.record.pass ?? this.record.token;
    const answer = held === null ? NO_ANSWER : await this.#calls.post("leave", { "queue-token": held });
    // What does not say so is not the gateway's answer.
    const isOdd = answer.status === 200 && answer.body.left === undefined;
    if (held !== null && (isTrouble(answer) || isOdd)) return false;
    await this.#store.storage.remove(this.#store.name);
    this.#keep(EMPTY);
    this.#forgetPlace();
    this.#told.left();
    return true;
  }

  /** Seconds since the document was signed; null while no server has told the time since the start. */
  age() {
    const now = this.#calls.serverNow();
    if (now === null || this.record.as_of === null) return null;
    return Math.max(Math.round(now - this.record.as_of), 0);
  }

  /** Write a record, and only then hold it. @param {Record<string, unknown>} changes */
  async #commit(changes) {
    const next = { ...this.record, ...changes, keys: this.#trust.known };
    await this.#store.storage.set(this.#store.name, JSON.stringify(next));
    const isMoved = next.stage !== this.record.stage;
    this.#keep(next);
    if (isMoved) this.#told.moved();
  }

  /** @param {any} record */
  #keep(record) {
    this.record = record;
    this.#trust.kept = record.keys;
  }

  /** @param {string} why */
  async #end(why) {
    await this.#commit({ stage: "over", why, pass: null });
    this.#told.left();
  }

  #forgetPlace() {
    this.standing.forget();
    this.claimWanted = false;
  }

  /** @param {(text: string, expected: any) => Promise<any>} read @param {string} text */
  #genuine(read, text) {
    return this.#trust.genuine(read, text, this.standing.claims);
  }

  // --- What is due ---------------------------------------------------------------------------------------

  /** @returns {[string, number]} what is due first, and when */
  next() {
    const acts = ACTS[this.record.stage];
    return this.#timetable.first(acts.filter((name) => name !== "claim" || this.#mayClaim()));
  }

  /** Do what was due, unless there is nothing to do any more; what fails is put off. @param {string} name */
  async act(name) {
    // Somebody may have left, or joined anew, meanwhile.
    if (!ACTS[this.record.stage].includes(name)) return;
    /** @type {Record<string, () => Promise<void>>} */
    const acts = {
      join: () => this.#join(),
      claim: () => this.#claim(),
      refresh: () => this.#refresh(),
      pointer: () => this.#ask(),
      end: () => this.#end("session-ended"),
    };
    try {
      await acts[name]();
      this.#timetable.succeeded(name);
    } catch (failure) {
      this.#timetable.putOff(name, failure instanceof Trouble ? failure.answer.retryAfter : 0);
      if (failure instanceof NotGenuine) this.#note("not-genuine", failure.fault);
      else if (failure instanceof TypeError || failure instanceof RangeError) {
        this.#note("unreadable", String(failure));
      } else if (!(failure instanceof Trouble)) this.#note("storage", String(failure));
    }
  }

  #mayClaim() {
    return this.standing.hasTurn() && (this.#options.autoClaim || this.claimWanted);
  }

  /** @param {string} type @param {string} detail */
  #note(type, detail) {
    this.problem = { type, detail };
  }

  /** @param {import("./calls.js").Answer} answer */
  #noteAnswer({ body, status }) {
    this.#note(body.type ?? "about:blank", body.detail ?? `status ${status}`);
  }

  // --- The acts ------------------------------------------------------------------------------------------

  /** @returns {string} 24 characters, 144 random bits */
  #newKey() {
    const bytes = this.#tools.random(new Uint8Array(24));
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    return Array.from(bytes, (byte) => letters[byte & 63]).join("");
  }

  async #join() {
    // Before the place: one whose token could not be checked would be nobody's.
    await this.#trust.haveKeys();
    const headers = { "idempotency-key": this.record.join_key, "content-type": "application/json" };
    const fields = JSON.stringify(this.record.join_fields ?? {});
    const answer = refuseTrouble(await this.#calls.post("join", headers, fields));
    if (answer.status === 200 || answer.status === 201) {
      const claims = await this.#genuine(readToken, String(answer.body.token));
      await this.#commit({ ...EMPTY, stage: "waiting", token: answer.body.token });
      this.standing.claims = claims;
      this.problem = null;
      this.#timetable.clear();
      return;
    }
    this.#noteAnswer(answer);
    if (answer.status === 410) return this.#end(answer.body.type);
    if (answer.status === 429) throw new Trouble(answer);
    // The key stays: whoever answers the challenge, or brings a voucher, is still the same visitor.
    await this.#commit({ stage: "none" });
  }

  async #ask() {
    const { standing } = this;
    const answer = refuseTrouble(await this.#calls.get("pointer.jws"));
    if (answer.status !== 200) {
      this.#noteAnswer(answer);
      throw new Trouble(answer);
    }
    standing.claims ??= await this.#genuine(readToken, this.record.token);
    const fresh = await this.#genuine(readPointer, answer.text);
    this.#calls.heardTime(fresh.issuedAt);
    await this.#adopt(answer.text, fresh);
    this.askedAt = this.#tools.now();
    await this.#consider();
    // With a turn, what stands in the way is the claim's to say.
    if (!standing.hasTurn()) this.problem = null;
    this.#timetable.later("pointer", this.#pollSeconds());
  }

  /** Take a genuine document; within a generation the pointer never goes back. */
  async #adopt(/** @type {string} */ text, /** @type {any} */ { issuedAt, document }) {
    const { standing } = this;
    const known = standing.pointer;
    const found = newerDocument(known?.document ?? null, document);
    if (known !== null && found === known.document) return;
    standing.servedBefore = known?.document.served_up_to ?? null;
    const isSame = known !== null && found.generation === known.document.generation;
    if (known !== null && isSame && issuedAt < known.issuedAt) {
      // Signed earlier, and perhaps further by another gateway: only how far it is counts.
      await this.#commit({ served_up_to: found.served_up_to });
      standing.pointer = { ...known, document: { ...known.document, served_up_to: found.served_up_to } };
      return;
    }
    const age = Math.max((this.#calls.serverNow() ?? issuedAt) - issuedAt, 0);
    await this.#commit({
      statement: text,
      served_up_to: found.served_up_to,
      as_of: issuedAt,
      heard_at: Date.now() / 1000 - age,
    });
    standing.pointer = { issuedAt, document: found };
  }

  /** Draw the conclusions from the token and the newest document. */
  async #consider() {
    const { standing } = this;
    const { document } = standing;
    if (document === null || standing.claims === null) return;
    const { stage } = this.record;
    if (stage !== "waiting" && stage !== "admitted") return;
    if (document.generation > standing.claims.gen) return this.#end("generation-over");
    if (stage === "admitted") return this.#planEnd();
    await standing.findTurn();
    const isServed = standing.turn !== null && standing.turn <= document.served_up_to;
    const isOver = document.state === "deleted" || (document.state === "closed" && !isServed);
    if (isOver) return this.#end("event-closed");
    standing.estimate();
    if (isServed && standing.turnSeenAt === null) this.#turnCame(document);
    return this.#planRefresh();
  }

  /** Let those of the same release go first who are before. @param {any} document */
  #turnCame(document) {
    const { standing } = this;
    standing.turnSeenAt = this.#tools.now();
    const before = standing.servedBefore ?? document.served_up_to;
    const most = mayHoldFor(document.window, 0, CLAIM_MARGIN);
    this.#timetable.later("claim", enterDelay(Number(standing.turn), before, document.served_up_to, most));
  }

  async #claim() {
    const { standing } = this;
    const answer = refuseTrouble(await this.#calls.post("claim", { "queue-token": this.record.token }));
    if (answer.status === 200) {
      const { pass, session_ends_at } = answer.body;
      if (typeof pass !== "string" || !Number.isSafeInteger(session_ends_at)) {
        throw new TypeError("an answer to a claim without a pass");
      }
      await this.#commit({ stage: "admitted", pass, session_ends_at });
      this.problem = null;
      this.#told.left();
      return this.#planEnd();
    }
    this.#noteAnswer(answer);
    if (answer.status === 410 || answer.status === 401) return this.#end(answer.body.type);
    standing.refusals += answer.body.type === "backend-full" ? 1 : 0;
    const since = this.#tools.now() - (standing.turnSeenAt ?? this.#tools.now());
    const left = mayHoldFor(standing.document?.window ?? 0, since, CLAIM_MARGIN);
    const times = Math.max(standing.refusals, 1);
    this.#timetable.later("claim", whenFull(times, answer.retryAfter, left, this.#options.chance()));
  }

  async #refresh() {
    const { standing } = this;
    const answer = refuseTrouble(await this.#calls.post("refresh", { "queue-token": this.record.token }));
    if (answer.status !== 200) {
      this.#noteAnswer(answer);
      if (answer.status === 410 || answer.status === 401) return this.#end(answer.body.type);
      throw new Trouble(answer);
    }
    const claims = await this.#genuine(readToken, answer.body.token);
    const isSame = claims.pos === standing.claims.pos && claims.gen === standing.claims.gen;
    if (!isSame) throw new NotGenuine("bad-claims");
    await this.#commit({ token: answer.body.token });
    standing.claims = claims;
    this.#timetable.drop("refresh");
    await this.#planRefresh();
  }

  /** A quarter of the life before the end, a day at most; spread, since a crowd's tokens end together. */
  async #planRefresh() {
    const now = this.#calls.serverNow();
    if (now === null || this.#timetable.has("refresh")) return;
    const { iat, exp } = this.standing.claims;
    if (now >= exp + REFRESH_GRACE) return this.#end("no-token");
    const lead = Math.min((exp - iat) / 4, DAY) * (1 - this.#options.chance() / 4);
    this.#timetable.later("refresh", Math.max(exp - lead - now, 0));
  }

  #planEnd() {
    const now = this.#calls.serverNow();
    if (now !== null) this.#timetable.later("end", Math.max(this.record.session_ends_at - now, 0));
  }

  /** After how long to ask for the document again. */
  #pollSeconds() {
    if (this.record.stage === "admitted") return Infinity;
    const { standing, hintedUpTo } = this;
    const chance = this.#options.chance();
    if (hintedUpTo === null) return standing.pollAlone(chance);
    const lags = hintedUpTo > (standing.document?.served_up_to ?? 0);
    return (lags ? standing.poll.nearest : standing.poll.farthest) * (1 + chance / 4);
  }
}
