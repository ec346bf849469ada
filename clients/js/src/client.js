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

import { Calls } from "./calls.js";
import { Holder } from "./holder.js";
import { Listener } from "./listener.js";
import { inMemory } from "./storage.js";
import { Timetable } from "./timetable.js";
import { Trust } from "./trust.js";

export class QueueClient {
  #event;
  #tools;
  #chance;
  #calls;
  #timetable;
  #holder;
  #listener;

  /** @type {Promise<unknown>} */
  #last = Promise.resolve();
  /** Changes with every start and stop, so that no loop of a former start goes on. @type {object | null} */
  #run = null;
  /** @type {Set<(view: any) => void>} */
  #listeners = new Set();
  #told = "";

  /** @param {any} options see `index.d.ts` */
  constructor(options) {
    const { url, event, storage = inMemory(), issuer, keys } = options;
    const defaults = { autoClaim: true, credentials: "omit", chance: Math.random };
    const { autoClaim, credentials, chance } = { ...defaults, ...options };
    const crypto = options.crypto ?? globalThis.crypto;
    if (crypto?.subtle === undefined || crypto.getRandomValues === undefined) {
      throw new TypeError(
        "this client checks signatures and needs WebCrypto: serve the page over TLS, or pass `crypto` " +
          "(React Native: that of react-native-quick-crypto; Node 18: webcrypto of node:crypto)",
      );
    }
    const { origin } = new URL(url);
    const tools = {
      subtle: crypto.subtle,
      random: (/** @type {Uint8Array} */ bytes) => crypto.getRandomValues(bytes),
      fetch: options.fetch ?? globalThis.fetch.bind(globalThis),
      WebSocket: options.WebSocket ?? globalThis.WebSocket,
      now: options.now ?? (() => performance.now() / 1000),
    };
    const { subtle, now } = tools;
    this.#event = event;
    this.#tools = tools;
    this.#chance = chance;
    this.#calls = new Calls(origin, event, tools, credentials);
    this.#timetable = new Timetable(now, chance);
    this.#holder = new Holder(
      { name: `admission:${origin}:${event}`, storage },
      tools,
      this.#calls,
      new Trust(this.#calls, { event, subtle, issuer, keys, now }),
      this.#timetable,
      { autoClaim, chance },
      { moved: () => this.#listener.rouse(), left: () => this.#listener.hangUp() },
    );
    const call = { base: this.#calls.base, event, chance };
    const tell = () => this.#tell();
    this.#listener = new Listener(options.push, tools, call, this.#holder, this.#timetable, tell);
  }

  /** Read what was kept, and go on from there. Returns the view as it is without any network. */
  async start() {
    if (this.#run !== null) return this.view;
    const run = {};
    this.#run = run;
    await this.#alone(() => this.#holder.load());
    this.#go(run);
    this.#listener.run(() => this.#run === run);
    // Where there is no such news (Node, React Native), the app calls `lookAgain` itself.
    if (typeof globalThis.addEventListener === "function") {
      globalThis.addEventListener("online", this.#cameBack);
      globalThis.addEventListener("offline", this.#wentAway);
    }
    return this.view;
  }

  #cameBack = () => this.lookAgain();

  #wentAway = () => {
    this.#calls.online = false;
    this.#tell();
  };

  /** The app is looked at again, or the network is back: ask soon, and trust no connection of before. */
  lookAgain() {
    if (this.#run === null) return;
    this.#timetable.forgetFailures();
    for (const name of ["join", "pointer"]) this.#timetable.sooner(name, this.#chance());
    this.#listener.hangUp();
    this.#listener.rouse();
  }

  /** End all that is under way; what was kept stays. */
  stop() {
    this.#run = null;
    this.#listener.hangUp();
    this.#timetable.wake();
    this.#listener.rouse();
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
    await this.#alone(() => this.#holder.begin(fields));
    this.#timetable.wake();
    return this.view;
  }

  /** Claim now: for apps that set `autoClaim: false` and ask their visitor first. */
  claim() {
    this.#holder.claimWanted = true;
    this.#timetable.later("claim", 0);
    this.#timetable.wake();
  }

  /** Give the place or the session back. Returns whether the server was told; the record is gone with it. */
  async leave() {
    return this.#alone(async () => {
      if (!(await this.#holder.leave())) return false;
      this.#tell();
      this.#timetable.wake();
      return true;
    });
  }

  /** @param {(view: any) => void} listener @returns {() => void} ends it */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get view() {
    const { record, standing, problem, hintedUpTo } = this.#holder;
    const { stage, token, pass, session_ends_at, why } = record;
    const { document, claims, turn, shown, refusals } = standing;
    const isWaiting = stage === "waiting";
    const hasTurn = isWaiting && standing.hasTurn();
    return {
      status: stage === "none" ? "idle" : hasTurn ? (refusals > 0 ? "full" : "turn") : stage,
      event: this.#event,
      generation: claims?.gen ?? null,
      position: claims?.pos ?? null,
      turn,
      ahead: isWaiting ? standing.ahead() : null,
      servedUpTo: document?.served_up_to ?? null,
      state: document?.state ?? null,
      message: document?.message ?? "",
      wait: standing.waitLeft(),
      waitMove: shown?.move ?? null,
      earliestTurnAt: isWaiting && !hasTurn ? standing.earliestTurnAt(record) : null,
      age: this.#holder.age(),
      connection: this.#calls.online ? (hintedUpTo === null ? "poll" : "push") : "offline",
      token,
      pass,
      sessionEndsAt: session_ends_at,
      why,
      problem,
    };
  }

  /** One thing at a time. @template T @param {() => Promise<T>} act @returns {Promise<T>} */
  #alone(act) {
    const run = this.#last.then(act).finally(() => this.#tell());
    this.#last = run.catch(() => {});
    return run;
  }

  /** Do one thing after the other, each when it is due. @param {object} run */
  async #go(run) {
    while (this.#run === run) {
      const [name, at] = this.#holder.next();
      const pause = at - this.#tools.now();
      if (pause > 0) await this.#timetable.sleep(pause);
      else await this.#alone(() => this.#holder.act(name));
    }
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
}
