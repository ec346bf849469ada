/**
 * What a screen reader is told: changes of what is happening at once, and the numbers once a minute.
 */

import { sessionsOf } from "./numbers.js";
import { write } from "./page.js";
import { now, shown } from "./shown.js";
import * as words from "./words.js";

// Seconds.
const SPEAK_STALE_AFTER = 2;
const SPEAK_EVERY = 60;

let spokenState = "";
let spokenAt = -Infinity;
let spokenStale = false;
let staleSince = Infinity;

/** @param {string} text */
export function say(text) {
  spokenAt = now();
  write("live", text);
}

/**
 * Tell changes of what is happening at once, and the numbers once a minute.
 *
 * @param {boolean} stale
 */
export function speakOf(stale) {
  staleSince = stale ? Math.min(staleSince, now()) : Infinity;
  if (stale && !spokenStale && now() - staleSince >= SPEAK_STALE_AFTER) {
    spokenStale = true;
    say("The numbers are not live any more.");
  } else if (!stale && spokenStale) {
    spokenStale = false;
    say("The numbers are live again.");
  }
  if (shown.view !== "event" || stale) return;
  const state = `${shown.event}: ${words.state(shown.picture)}`;
  if (state !== spokenState || now() - spokenAt > SPEAK_EVERY) {
    spokenState = state;
    say(`${state}. ${words.number(shown.picture.waiting)} waiting, ${sessionsOf(shown.picture)} sessions.`);
  }
}

/** What is shown next is told, whatever was told before. */
export function speakAnew() {
  spokenState = "";
}
