/** When what is due: each act has its own time, and waits longer the oftener it has failed in a row. */

import { retryAfter } from "./place.js";

// Seconds.
export const LONGEST_SLEEP = 600;

// What is due only once a time was set.
const SET_BEFORE = new Set(["refresh", "end"]);

/** A pause that somebody else may end. */
export class Pause {
  #end = () => {};

  /** @param {number} seconds */
  rest(seconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.#end = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
  }

  end() {
    this.#end();
  }
}

export class Timetable {
  #now;
  #chance;
  #pause = new Pause();
  /** @type {Map<string, number>} */
  #due = new Map();
  /** @type {Map<string, number>} */
  #failures = new Map();

  /** @param {() => number} now @param {() => number} chance */
  constructor(now, chance) {
    this.#now = now;
    this.#chance = chance;
  }

  /** @param {string[]} names @returns {[string, number]} what of this is due first, and when */
  first(names) {
    /** @type {[string, number]} */
    let first = ["", Infinity];
    for (const name of names) {
      const at = this.#due.get(name) ?? (SET_BEFORE.has(name) ? Infinity : 0);
      if (at < first[1]) first = [name, at];
    }
    return first;
  }

  /** Sleep until then, or until something may be due earlier. @param {number} seconds */
  sleep(seconds) {
    return this.#pause.rest(Math.min(seconds, LONGEST_SLEEP));
  }

  wake() {
    this.#pause.end();
  }

  /** @param {string} name */
  has(name) {
    return this.#due.has(name);
  }

  /** @param {string} name @param {number} seconds */
  later(name, seconds) {
    this.#due.set(name, this.#now() + seconds);
  }

  /** Bring an act forward, unless it is due before that. @param {string} name @param {number} seconds */
  sooner(name, seconds) {
    const at = this.#now() + Math.max(seconds, 0);
    if (at >= (this.#due.get(name) ?? 0)) return;
    this.#due.set(name, at);
    this.wake();
  }

  /** @param {string} name */
  drop(name) {
    this.#due.delete(name);
  }

  /** Forget all times; failures in a row still count. */
  clear() {
    this.#due.clear();
  }

  /** Try again later, after one more failure. @param {string} name @param {number} least seconds */
  putOff(name, least) {
    const inARow = (this.#failures.get(name) ?? 0) + 1;
    this.#failures.set(name, inARow);
    const spread = least * (1 + this.#chance() / 4);
    this.later(name, Math.max(spread, retryAfter(inARow, this.#chance())));
  }

  /** @param {string} name */
  succeeded(name) {
    this.#failures.set(name, 0);
  }

  forgetFailures() {
    this.#failures.clear();
  }
}
