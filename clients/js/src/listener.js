/**
 * What is pushed: hints to ask for the signed document, soon where that decides something. What is pushed is signed
 * by nobody, and believed by nobody.
 */

import { retryAfter } from "./place.js";
import { channelFor, listen, NoPush } from "./push.js";
import { LONGEST_SLEEP, Pause } from "./timetable.js";

/** Stays connected while a place waits, and tells the timetable what it hears. */
export class Listener {
  #channel;
  #tools;
  #chance;
  #holder;
  #timetable;
  #call;
  #tell;
  #pause = new Pause();
  /** @type {AbortController | null} */
  #push = null;

  /**
   * @param {string | undefined} wish
   * @param {any} tools
   * @param {{base: string, event: string, chance: () => number}} call
   * @param {import("./holder.js").Holder} holder
   * @param {import("./timetable.js").Timetable} timetable
   * @param {() => void} tell called when the connection, or what is heard over it, has changed
   */
  constructor(wish, tools, call, holder, timetable, tell) {
    this.#channel = channelFor(wish, tools);
    this.#tools = tools;
    this.#call = call;
    this.#chance = call.chance;
    this.#holder = holder;
    this.#timetable = timetable;
    this.#tell = tell;
  }

  /** Trust no connection of before. */
  hangUp() {
    this.#push?.abort();
  }

  /** Look at once whether there is something to listen for. */
  rouse() {
    this.#pause.end();
  }

  /** @param {() => boolean} goesOn */
  async run(goesOn) {
    const channel = this.#channel;
    if (channel === "none") return;
    let failures = 0;
    while (goesOn()) {
      if (this.#holder.record.stage !== "waiting") {
        await this.#pause.rest(LONGEST_SLEEP);
        continue;
      }
      this.#push = new AbortController();
      let pause = null;
      try {
        await listen(channel, {
          base: this.#call.base,
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
      if (!goesOn()) return;
      failures += 1;
      const wasPushing = this.#holder.hintedUpTo !== null;
      this.#holder.hintedUpTo = null;
      const { standing } = this.#holder;
      if (wasPushing) this.#timetable.sooner("pointer", standing.pollAlone(0) * this.#chance());
      this.#tell();
      if (this.#holder.record.stage !== "waiting") continue;
      await this.#pause.rest(pause ?? retryAfter(failures, this.#chance()));
    }
  }

  /** Something moved, it is said. @param {any} found */
  #hinted(found) {
    if (found?.event !== this.#call.event) return;
    const { standing } = this.#holder;
    this.#holder.hintedUpTo = found.served_up_to;
    this.#tell();
    const known = standing.document;
    if (!known) return;
    const isNews = found.generation !== known.generation || found.state !== known.state;
    const mayHaveCome = standing.turn !== null && found.served_up_to >= standing.turn;
    if (isNews || (mayHaveCome && !standing.hasTurn())) {
      // A second later, the statement that caches hold has it too.
      this.#timetable.sooner("pointer", 1 + this.#chance());
    } else if (found.served_up_to > known.served_up_to) {
      const next = this.#holder.askedAt + standing.pollAlone(this.#chance());
      this.#timetable.sooner("pointer", next - this.#tools.now());
    }
  }
}
