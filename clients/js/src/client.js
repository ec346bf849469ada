/**
 * A visitor's place, held by their own device.
 *
 * What is known for good is one record in the app's storage. Every step is written there before it counts, so a
 * process that is ended anywhere goes on from the last one: the key of a join is kept before it is sent, and
 * repeating a join, a claim or a refresh gives what the lost answer gave. Everything else (who is ahead, how long
 * it takes) is worked out from the token and the newest signed pointer document, with or without a network.
 *
 * `gateway/client/` does the same in Python; `tests/vectors` holds both, and the gateway, to one behaviour.
 */

import { turnOf } from "./draw.js";
import { NotGenuine, readPointer, readToken } from "./jws.js";
import {
  enterDelay,
  mayHoldFor,
  newerDocument,
  peopleAhead,
  pollAfter,
  retryAfter,
  showNext,
  timeLeft,
  waitAt,
  whenFull,
} from "./place.js";
import { channelFor, listen, NoPush } from "./push.js";
import { inMemory } from "./storage.js";

// Seconds.
const CALL_TIMEOUT = 10;
const DAY = 86_400;
const REFRESH_GRACE = 7 * DAY;
const KEYS_EVERY = 60;
const CLAIM_MARGIN = 30;
const LONGEST_SLEEP = 600;
const DEFAULT_POLL = { nearest: 2, farthest: 60, unknown: 10, heartbeat: 15 };

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

/** What may be due in a stage. */
const ACTS = {
  none: [],
  joining: ["join"],
  waiting: ["claim", "refresh", "pointer"],
  admitted: ["end", "pointer"],
  over: [],
};

const NO_CLAIMS_IN = new Set(["scheduled", "suspended", "deleted"]);
const NO_ANSWER = { status: 0, body: {}, text: "", retryAfter: 0 };

/** No answer, or one that says nothing of the visitor: to be asked again later. */
class Trouble extends Error {
  /** @param {typeof NO_ANSWER} answer */
  constructor(answer) {
    super(answer.status === 0 ? "no answer" : `status ${answer.status}`);
    this.answer = answer;
  }
}

export class QueueClient {
  #base;
  #origin;
  #event;
  #name;
  #storage;
  #tools;
  #options;

  /** @type {any} */
  #record = EMPTY;
  /** @type {any} */
  #claims = null;
  /** @type {{issuedAt: number, document: any} | null} */
  #pointer = null;
  /** @type {number | null} */
  #turn = null;
  /** @type {any} */
  #shown = null;
  /** @type {number | null} */
  #low = null;
  /** @type {number | null} */
  #turnSeenAt = null;
  /** Where the pointer stood in the document before the newest. @type {number | null} */
  #servedBefore = null;
  #refusals = 0;
  #claimWanted = false;
  /** @type {any} */
  #problem = null;
  #online = true;

  /** The server's clock: Unix seconds when this process's own stood at `at`. */
  /** @type {{unix: number, at: number} | null} */
  #clock = null;
  #keysAt = -Infinity;
  /** @type {any[] | null} */
  #fetchedKeys = null;

  /** @type {Map<string, number>} */
  #due = new Map();
  /** @type {Map<string, number>} */
  #failures = new Map();
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();
  #wake = () => {};
  /** Ends the rest of the loop that listens. */
  #rouse = () => {};
  /** Changes with every start and stop, so that no loop of a former start goes on. @type {object | null} */
  #run = null;
  #pointerAt = -Infinity;

  #isPushing = false;
  #pushed = 0;
  /** @type {AbortController | null} */
  #push = null;

  /** @type {Set<(view: any) => void>} */
  #listeners = new Set();
  #told = "";

  /** @param {any} options see `index.d.ts` */
  constructor(options) {
    const { url, event, storage = inMemory() } = options;
    const crypto = options.crypto ?? globalThis.crypto;
    if (crypto?.subtle === undefined || crypto.getRandomValues === undefined) {
      throw new TypeError(
        "this client checks signatures and needs WebCrypto: serve the page over TLS, or pass `crypto` " +
          "(React Native: that of react-native-quick-crypto; Node 18: webcrypto of node:crypto)",
      );
    }
    this.#origin = new URL(url).origin;
    this.#event = event;
    this.#base = `${this.#origin}/queue/${event}`;
    this.#name = `admission:${this.#origin}:${event}`;
    this.#storage = storage;
    this.#options = { autoClaim: true, credentials: "omit", chance: Math.random, ...options };
    this.#tools = {
      subtle: crypto.subtle,
      random: (/** @type {Uint8Array} */ bytes) => crypto.getRandomValues(bytes),
      fetch: options.fetch ?? globalThis.fetch.bind(globalThis),
      WebSocket: options.WebSocket ?? globalThis.WebSocket,
      now: options.now ?? (() => performance.now() / 1000),
    };
  }

  // --- What an app does --------------------------------------------------------------------------------

  /** Read what was kept, and go on from there. Returns the view as it is without any network. */
  async start() {
    if (this.#run !== null) return this.view;
    const run = {};
    this.#run = run;
    await this.#alone(() => this.#load());
    this.#go(run);
    this.#listenOn(run);
    // Where there is no such news (Node, React Native), the app calls `lookAgain` itself.
    if (typeof globalThis.addEventListener === "function") {
      globalThis.addEventListener("online", this.#cameBack);
      globalThis.addEventListener("offline", this.#wentAway);
    }
    return this.view;
  }

  #cameBack = () => this.lookAgain();

  #wentAway = () => {
    this.#online = false;
    this.#tell();
  };

  /** The app is looked at again, or the network is back: ask soon, and trust no connection of before. */
  lookAgain() {
    if (this.#run === null) return;
    this.#failures.clear();
    for (const name of ["join", "pointer"]) this.#sooner(name, this.#options.chance());
    this.#push?.abort();
    this.#rouse();
  }

  /** End all that is under way; what was kept stays. */
  stop() {
    this.#run = null;
    this.#push?.abort();
    this.#wake();
    this.#rouse();
    if (typeof globalThis.removeEventListener === "function") {
      globalThis.removeEventListener("online", this.#cameBack);
      globalThis.removeEventListener("offline", this.#wentAway);
    }
  }

  /**
   * Ask for a place. Does nothing for who has one; after an end, asks for a new one.
   *
   * @param {Record<string, string>} [fields] `voucher`, `challenge`
   */
  async join(fields = {}) {
    await this.#alone(async () => {
      if (this.#record.stage !== "none" && this.#record.stage !== "over") return;
      const join_key = this.#record.join_key ?? this.#newKey();
      this.#problem = null;
      await this.#commit({ ...EMPTY, stage: "joining", join_key, join_fields: fields });
      this.#forgetPlace();
      this.#due.clear();
    });
    this.#wake();
    return this.view;
  }

  /** Claim now: for apps that set `autoClaim: false` and ask their visitor first. */
  claim() {
    this.#claimWanted = true;
    this.#due.set("claim", this.#tools.now());
    this.#wake();
  }

  /** Give the place or the session back. Returns whether the server was told; the record is gone with it. */
  async leave() {
    return this.#alone(async () => {
      const held = this.#record.pass ?? this.#record.token;
      const answer = held === null ? NO_ANSWER : await this.#call("POST", "leave", { "queue-token": held });
      const isTrouble = answer.status === 0 || answer.status >= 500;
      // What does not say so is not the gateway's answer.
      const isOdd = answer.status === 200 && answer.body.left === undefined;
      if (held !== null && (isTrouble || isOdd)) return false;
      await this.#storage.remove(this.#name);
      this.#record = EMPTY;
      this.#forgetPlace();
      this.#push?.abort();
      this.#tell();
      this.#wake();
      return true;
    });
  }

  /** @param {(view: any) => void} listener @returns {() => void} ends it */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get view() {
    const { stage, token, pass, session_ends_at, why } = this.#record;
    const document = this.#pointer?.document ?? null;
    const isWaiting = stage === "waiting";
    const hasTurn = isWaiting && this.#hasTurn();
    const served = document?.served_up_to ?? null;
    const knowsAhead = isWaiting && this.#turn !== null && document !== null;
    return {
      status: stage === "none" ? "idle" : hasTurn ? (this.#refusals > 0 ? "full" : "turn") : stage,
      event: this.#event,
      generation: this.#claims?.gen ?? null,
      position: this.#claims?.pos ?? null,
      turn: this.#turn,
      ahead: knowsAhead ? peopleAhead(Number(this.#turn), served, document.holes) : null,
      servedUpTo: served,
      state: document?.state ?? null,
      message: document?.message ?? "",
      wait: this.#shown === null ? null : timeLeft(this.#shown, Math.floor(this.#tools.now())),
      waitMove: this.#shown?.move ?? null,
      earliestTurnAt: isWaiting && !hasTurn ? this.#earliest() : null,
      age: this.#age(),
      connection: this.#online ? (this.#isPushing ? "push" : "poll") : "offline",
      token,
      pass,
      sessionEndsAt: session_ends_at,
      why,
      problem: this.#problem,
    };
  }

  // --- The record --------------------------------------------------------------------------------------

  /** @param {Record<string, unknown>} changes */
  async #commit(changes) {
    const keys = this.#fetchedKeys ?? this.#record.keys;
    const next = { ...this.#record, ...changes, keys };
    await this.#storage.set(this.#name, JSON.stringify(next));
    const isMoved = next.stage !== this.#record.stage;
    this.#record = next;
    if (isMoved) this.#rouse();
  }

  async #load() {
    try {
      const kept = JSON.parse((await this.#storage.get(this.#name)) ?? "null");
      if (kept?.version === EMPTY.version) this.#record = { ...EMPTY, ...kept };
    } catch (failure) {
      this.#note("storage", String(failure));
    }
    const { stage, token, statement, served_up_to } = this.#record;
    if (token === null) return;
    try {
      this.#claims = await this.#genuine(readToken, token);
    } catch (failure) {
      // Keys that cannot be fetched just now say nothing against it.
      if (failure instanceof NotGenuine && stage === "waiting") await this.#end("no-token");
      return;
    }
    try {
      if (statement === null) return;
      const { issuedAt, document } = await this.#genuine(readPointer, statement);
      const served = Math.max(document.served_up_to, served_up_to);
      this.#pointer = { issuedAt, document: { ...document, served_up_to: served } };
    } catch {
      this.#pointer = null;
    }
    await this.#consider();
  }

  /** @param {string} why */
  async #end(why) {
    await this.#commit({ stage: "over", why, pass: null });
    this.#push?.abort();
  }

  #forgetPlace() {
    this.#claims = this.#pointer = this.#turn = this.#shown = this.#low = null;
    this.#turnSeenAt = this.#servedBefore = null;
    this.#refusals = 0;
    this.#claimWanted = false;
  }

  // --- One thing at a time -------------------------------------------------------------------------------

  /** @template T @param {() => Promise<T>} act @returns {Promise<T>} */
  #alone(act) {
    const run = this.#last.then(act).finally(() => this.#tell());
    this.#last = run.catch(() => {});
    return run;
  }

  /** @param {object} run */
  async #go(run) {
    while (this.#run === run) {
      const [name, at] = this.#next();
      const pause = at - this.#tools.now();
      if (pause > 0) await this.#sleep(pause);
      else await this.#alone(() => this.#act(name));
    }
  }

  /** @returns {[string, number]} what is due first, and when */
  #next() {
    /** @type {[string, number]} */
    let first = ["", Infinity];
    for (const name of ACTS[/** @type {keyof typeof ACTS} */ (this.#record.stage)]) {
      if (name === "claim" && !this.#mayClaim()) continue;
      const at = this.#due.get(name) ?? (name === "refresh" || name === "end" ? Infinity : 0);
      if (at < first[1]) first = [name, at];
    }
    return first;
  }

  /** @param {number} seconds */
  #sleep(seconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(seconds, LONGEST_SLEEP) * 1000);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
  }

  /** @param {string} name @param {number} seconds */
  #later(name, seconds) {
    this.#due.set(name, this.#tools.now() + seconds);
  }

  /** @param {string} name */
  async #act(name) {
    // Somebody may have left, or joined anew, meanwhile.
    if (!ACTS[/** @type {keyof typeof ACTS} */ (this.#record.stage)].includes(/** @type {never} */ (name))) return;
    const acts = {
      join: () => this.#join(),
      claim: () => this.#claim(),
      refresh: () => this.#refresh(),
      pointer: () => this.#ask(),
      end: () => this.#end("session-ended"),
    };
    try {
      await acts[/** @type {keyof typeof acts} */ (name)]();
      this.#failures.set(name, 0);
    } catch (failure) {
      const inARow = (this.#failures.get(name) ?? 0) + 1;
      this.#failures.set(name, inARow);
      const least = failure instanceof Trouble ? failure.answer.retryAfter : 0;
      const spread = least * (1 + this.#options.chance() / 4);
      this.#later(name, Math.max(spread, retryAfter(inARow, this.#options.chance())));
      if (failure instanceof NotGenuine) this.#note("not-genuine", failure.fault);
      else if (failure instanceof TypeError || failure instanceof RangeError) {
        this.#note("unreadable", String(failure));
      } else if (!(failure instanceof Trouble)) this.#note("storage", String(failure));
    }
  }

  /** @param {string} type @param {string} detail */
  #note(type, detail) {
    this.#problem = { type, detail };
  }

  /** @param {typeof NO_ANSWER} answer */
  #noteAnswer({ body, status }) {
    this.#note(body.type ?? "about:blank", body.detail ?? `status ${status}`);
  }

  #tell() {
    const { view } = this;
    const said = JSON.stringify({ ...view, age: null });
    if (said === this.#told) return;
    this.#told = said;
    for (const listener of this.#listeners) {
      try {
        listener(view);
      } catch (failure) {
        // The app's mistake is the app's to hear of, and stops nothing here.
        queueMicrotask(() => {
          throw failure;
        });
      }
    }
  }

  // --- Calls ---------------------------------------------------------------------------------------------

  /**
   * @param {string} method
   * @param {string} verb below the event; a whole address stays as it is
   * @param {Record<string, string>} [headers]
   * @param {string} [body]
   */
  async #call(method, verb, headers = {}, body = undefined) {
    const giveUp = new AbortController();
    const timer = setTimeout(() => giveUp.abort(), CALL_TIMEOUT * 1000);
    try {
      const answer = await this.#tools.fetch(verb.startsWith("http") ? verb : `${this.#base}/${verb}`, {
        method,
        headers: { accept: "application/json, application/jose", ...headers },
        body,
        cache: "no-store",
        credentials: this.#options.credentials,
        signal: giveUp.signal,
      });
      const text = await answer.text();
      if (giveUp.signal.aborted) throw new Trouble(NO_ANSWER);
      this.#online = true;
      const date = Date.parse(answer.headers.get("date") ?? "");
      if (date) this.#heardTime(date / 1000);
      const isJson = (answer.headers.get("content-type") ?? "").includes("json");
      return {
        status: answer.status,
        text,
        body: isJson ? JSON.parse(text) : {},
        retryAfter: Number(answer.headers.get("retry-after")) || 0,
      };
    } catch {
      this.#online = false;
      return NO_ANSWER;
    } finally {
      clearTimeout(timer);
    }
  }

  /** @param {typeof NO_ANSWER} answer */
  #refuseTrouble(answer) {
    if (answer.status === 0 || answer.status >= 500) throw new Trouble(answer);
    return answer;
  }

  /** The server's time never goes back here. @param {number} unix */
  #heardTime(unix) {
    const known = this.#serverNow();
    if (known === null || unix > known) this.#clock = { unix, at: this.#tools.now() };
  }

  #serverNow() {
    return this.#clock === null ? null : this.#clock.unix + this.#tools.now() - this.#clock.at;
  }

  /** Seconds since the document was signed; null while no server has told the time since the start. */
  #age() {
    const now = this.#serverNow();
    if (now === null || this.#record.as_of === null) return null;
    return Math.max(Math.round(now - this.#record.as_of), 0);
  }

  async #fetchKeys() {
    this.#keysAt = this.#tools.now();
    const answer = this.#refuseTrouble(await this.#call("GET", `${this.#origin}/.well-known/jwks.json`));
    if (!Array.isArray(answer.body.keys)) throw new Trouble(NO_ANSWER);
    this.#fetchedKeys = answer.body.keys;
  }

  /**
   * Read what was signed; with keys fetched anew where its own is not among those at hand.
   *
   * @param {(text: string, expected: any) => Promise<any>} read
   * @param {string} text
   */
  async #genuine(read, text) {
    const pinned = this.#options.keys?.keys ?? null;
    const expected = () => ({
      keys: pinned ?? this.#fetchedKeys ?? this.#record.keys ?? [],
      event: this.#event,
      issuer: this.#options.issuer ?? this.#claims?.iss ?? null,
      subtle: this.#tools.subtle,
    });
    try {
      return await read(text, expected());
    } catch (failure) {
      const isUnknown = failure instanceof NotGenuine && failure.fault === "unknown-key";
      if (!isUnknown || pinned !== null || this.#tools.now() - this.#keysAt < KEYS_EVERY) throw failure;
      await this.#fetchKeys();
      return read(text, expected());
    }
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
    if (!this.#options.keys && !this.#fetchedKeys && !this.#record.keys) await this.#fetchKeys();
    const headers = { "idempotency-key": this.#record.join_key, "content-type": "application/json" };
    const fields = JSON.stringify(this.#record.join_fields ?? {});
    const answer = this.#refuseTrouble(await this.#call("POST", "join", headers, fields));
    if (answer.status === 200 || answer.status === 201) {
      const claims = await this.#genuine(readToken, String(answer.body.token));
      await this.#commit({ ...EMPTY, stage: "waiting", token: answer.body.token });
      this.#claims = claims;
      this.#problem = null;
      this.#due.clear();
      return;
    }
    this.#noteAnswer(answer);
    if (answer.status === 410) return this.#end(answer.body.type);
    if (answer.status === 429) throw new Trouble(answer);
    // The key stays: whoever answers the challenge, or brings a voucher, is still the same visitor.
    await this.#commit({ stage: "none" });
  }

  async #ask() {
    const answer = this.#refuseTrouble(await this.#call("GET", "pointer.jws"));
    if (answer.status !== 200) {
      this.#noteAnswer(answer);
      throw new Trouble(answer);
    }
    this.#claims ??= await this.#genuine(readToken, this.#record.token);
    const fresh = await this.#genuine(readPointer, answer.text);
    this.#heardTime(fresh.issuedAt);
    await this.#adopt(answer.text, fresh);
    this.#pointerAt = this.#tools.now();
    await this.#consider();
    // With a turn, what stands in the way is the claim's to say.
    if (!this.#hasTurn()) this.#problem = null;
    this.#later("pointer", this.#pollSeconds());
  }

  /** Take a genuine document; within a generation the pointer never goes back. */
  async #adopt(/** @type {string} */ text, /** @type {any} */ { issuedAt, document }) {
    const known = this.#pointer;
    const found = newerDocument(known?.document ?? null, document);
    if (known !== null && found === known.document) return;
    this.#servedBefore = known?.document.served_up_to ?? null;
    const isSame = known !== null && found.generation === known.document.generation;
    if (known !== null && isSame && issuedAt < known.issuedAt) {
      // Signed earlier, and perhaps further by another gateway: only how far it is counts.
      await this.#commit({ served_up_to: found.served_up_to });
      this.#pointer = { ...known, document: { ...known.document, served_up_to: found.served_up_to } };
      return;
    }
    const age = Math.max((this.#serverNow() ?? issuedAt) - issuedAt, 0);
    await this.#commit({
      statement: text,
      served_up_to: found.served_up_to,
      as_of: issuedAt,
      heard_at: Date.now() / 1000 - age,
    });
    this.#pointer = { issuedAt, document: found };
  }

  /** Draw the conclusions from the token and the newest document. */
  async #consider() {
    const document = this.#pointer?.document;
    if (document === undefined || this.#claims === null) return;
    const { stage } = this.#record;
    if (stage !== "waiting" && stage !== "admitted") return;
    if (document.generation > this.#claims.gen) return this.#end("generation-over");
    if (stage === "admitted") return this.#planEnd();
    const { pos, adv = 0 } = this.#claims;
    this.#turn = await turnOf(this.#tools.subtle, pos, adv, document.draw);
    const isServed = this.#turn !== null && this.#turn <= document.served_up_to;
    const isOver = document.state === "deleted" || (document.state === "closed" && !isServed);
    if (isOver) return this.#end("event-closed");
    const wait = this.#wait();
    this.#low = wait?.low ?? null;
    this.#shown = showNext(this.#shown, wait, Math.floor(this.#tools.now()));
    if (isServed && this.#turnSeenAt === null) this.#turnCame(document);
    return this.#planRefresh();
  }

  #wait() {
    const document = this.#pointer?.document;
    if (this.#turn === null || !document?.wait || this.#turn <= document.served_up_to) return null;
    return waitAt(document.wait.curve, peopleAhead(this.#turn, document.served_up_to, document.holes));
  }

  /** Let those of the same release go first who are before. @param {any} document */
  #turnCame(document) {
    this.#turnSeenAt = this.#tools.now();
    const before = this.#servedBefore ?? document.served_up_to;
    const most = mayHoldFor(document.window, 0, CLAIM_MARGIN);
    this.#later("claim", enterDelay(Number(this.#turn), before, document.served_up_to, most));
  }

  #hasTurn() {
    const document = this.#pointer?.document;
    if (this.#turn === null || !document) return false;
    return this.#turn <= document.served_up_to && !NO_CLAIMS_IN.has(document.state);
  }

  #mayClaim() {
    return this.#hasTurn() && (this.#options.autoClaim || this.#claimWanted);
  }

  async #claim() {
    const headers = { "queue-token": this.#record.token };
    const answer = this.#refuseTrouble(await this.#call("POST", "claim", headers));
    if (answer.status === 200) {
      const { pass, session_ends_at } = answer.body;
      if (typeof pass !== "string" || !Number.isSafeInteger(session_ends_at)) {
        throw new TypeError("an answer to a claim without a pass");
      }
      await this.#commit({ stage: "admitted", pass, session_ends_at });
      this.#problem = null;
      this.#push?.abort();
      return this.#planEnd();
    }
    this.#noteAnswer(answer);
    if (answer.status === 410 || answer.status === 401) return this.#end(answer.body.type);
    this.#refusals += answer.body.type === "backend-full" ? 1 : 0;
    const since = this.#tools.now() - (this.#turnSeenAt ?? this.#tools.now());
    const left = mayHoldFor(this.#pointer?.document.window ?? 0, since, CLAIM_MARGIN);
    this.#later("claim", whenFull(Math.max(this.#refusals, 1), answer.retryAfter, left, this.#options.chance()));
  }

  async #refresh() {
    const headers = { "queue-token": this.#record.token };
    const answer = this.#refuseTrouble(await this.#call("POST", "refresh", headers));
    if (answer.status !== 200) {
      this.#noteAnswer(answer);
      if (answer.status === 410 || answer.status === 401) return this.#end(answer.body.type);
      throw new Trouble(answer);
    }
    const claims = await this.#genuine(readToken, answer.body.token);
    if (claims.pos !== this.#claims.pos || claims.gen !== this.#claims.gen) throw new NotGenuine("bad-claims");
    await this.#commit({ token: answer.body.token });
    this.#claims = claims;
    this.#due.delete("refresh");
    await this.#planRefresh();
  }

  /** A quarter of the life before the end, a day at most; spread, since a crowd's tokens end together. */
  async #planRefresh() {
    const now = this.#serverNow();
    if (now === null || this.#due.has("refresh")) return;
    const { iat, exp } = this.#claims;
    if (now >= exp + REFRESH_GRACE) return this.#end("no-token");
    const lead = Math.min((exp - iat) / 4, DAY) * (1 - this.#options.chance() / 4);
    this.#later("refresh", Math.max(exp - lead - now, 0));
  }

  #planEnd() {
    const now = this.#serverNow();
    if (now !== null) this.#later("end", Math.max(this.#record.session_ends_at - now, 0));
  }

  /** When the turn is expected at the earliest, in ms of the device's clock: by that, notifications are set. */
  #earliest() {
    const document = this.#pointer?.document;
    if (!document) return null;
    const { as_of, heard_at } = this.#record;
    if (document.state === "scheduled") {
      const opens = document.opens_at === null ? null : document.opens_at - as_of + heard_at;
      return opens === null ? null : Math.round(opens * 1000);
    }
    return this.#low === null ? null : Math.round((heard_at + this.#low) * 1000);
  }

  // --- Polling and push ------------------------------------------------------------------------------------

  #pollSeconds() {
    if (this.#record.stage === "admitted") return Infinity;
    const document = this.#pointer?.document;
    const poll = document?.poll ?? DEFAULT_POLL;
    const chance = this.#options.chance();
    if (this.#isPushing) {
      const lags = this.#pushed > (document?.served_up_to ?? 0);
      return (lags ? poll.nearest : poll.farthest) * (1 + chance / 4);
    }
    return this.#pollAlone(poll, chance);
  }

  /** @param {any} poll @param {number} chance */
  #pollAlone(poll, chance) {
    const document = this.#pointer?.document;
    if (this.#turn === null || !document) return pollAfter(poll, null, null, chance);
    const ahead = peopleAhead(this.#turn, document.served_up_to, document.holes);
    return pollAfter(poll, ahead, this.#wait(), chance);
  }

  /** @param {object} run */
  async #listenOn(run) {
    const channel = channelFor(this.#options.push, this.#tools);
    if (channel === "none") return;
    let failures = 0;
    while (this.#run === run) {
      if (this.#record.stage !== "waiting") {
        await this.#rest(LONGEST_SLEEP);
        continue;
      }
      this.#push = new AbortController();
      let pause = null;
      try {
        await listen(channel, {
          base: this.#base,
          fetch: this.#tools.fetch,
          WebSocket: this.#tools.WebSocket,
          signal: this.#push.signal,
          hear: (found) => {
            failures = 0;
            this.#hinted(found);
          },
        });
      } catch (failure) {
        pause = failure instanceof NoPush ? failure.pause : null;
      }
      if (this.#run !== run) return;
      failures += 1;
      const wasPushing = this.#isPushing;
      this.#isPushing = false;
      this.#pushed = 0;
      const poll = this.#pointer?.document.poll ?? DEFAULT_POLL;
      if (wasPushing) this.#sooner("pointer", this.#pollAlone(poll, 0) * this.#options.chance());
      this.#tell();
      if (this.#record.stage !== "waiting") continue;
      const seconds = pause ?? retryAfter(failures, this.#options.chance());
      await this.#rest(seconds);
    }
  }

  /** Wait, or until the stage changes. @param {number} seconds */
  #rest(seconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.#rouse = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
  }

  /** @param {string} name @param {number} seconds */
  #sooner(name, seconds) {
    const at = this.#tools.now() + Math.max(seconds, 0);
    if (at >= (this.#due.get(name) ?? 0)) return;
    this.#due.set(name, at);
    this.#wake();
  }

  /** Something moved, it is said: ask for the signed document, soon where it decides something. @param {any} found */
  #hinted(found) {
    if (found?.event !== this.#event) return;
    this.#isPushing = true;
    const known = this.#pointer?.document;
    this.#pushed = found.served_up_to;
    this.#tell();
    if (!known) return;
    const isNews = found.generation !== known.generation || found.state !== known.state;
    if (isNews || (this.#turn !== null && found.served_up_to >= this.#turn && !this.#hasTurn())) {
      // A second later, the statement that caches hold has it too.
      this.#sooner("pointer", 1 + this.#options.chance());
    } else if (found.served_up_to > known.served_up_to) {
      const poll = known.poll ?? DEFAULT_POLL;
      const next = this.#pointerAt + this.#pollAlone(poll, this.#options.chance());
      this.#sooner("pointer", next - this.#tools.now());
    }
  }
}
