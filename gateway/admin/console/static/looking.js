/**
 * Asks, again and again, how things stand, and asks for what the operator presses. What an answer means for
 * what is shown is settled here: one to an earlier question is dropped, and without a session nothing goes on.
 */

import { call, isGood } from "./calls.js";
import { renderLog } from "./numbers.js";
import { byId, write } from "./page.js";
import { LOOK_AT_LIST_EVERY, now, shown } from "./shown.js";
import * as words from "./words.js";

/** @typedef {import("./calls.js").Answer} Answer */

// Seconds.
const LOOK_EVERY = 1;
const LOOK_WHILE_HIDDEN_EVERY = 15;
const LOG_EVERY = 5;

const LOG_ENTRIES = 8;

let looking = 0;
let logAt = -Infinity;

/** Told of what was seen, and of a session that is over: by those who show the whole page. */
const whole = {
  render: () => {},
  /** @param {string} _why */
  toLogin: (_why) => {},
};

/** @param {typeof whole} given */
export function showOn(given) {
  Object.assign(whole, given);
}

export function lookSoon(seconds = 0) {
  clearTimeout(looking);
  looking = setTimeout(look, seconds * 1000);
}

/** Look at once, at the last acts too: something was done. */
export function lookAnew() {
  logAt = -Infinity;
  lookSoon();
}

/** Look at nothing any more; who looks next sees everything anew. */
export function stopLooking() {
  clearTimeout(looking);
  logAt = -Infinity;
}

export async function look() {
  if (shown.session === null) return;
  const asked = shown.epoch;
  if (shown.event === "") await lookAtList(asked);
  else await lookAtEvent(shown.event, asked);
  if (asked !== shown.epoch) return;
  whole.render();
  const visible = shown.event === "" ? LOOK_AT_LIST_EVERY : LOOK_EVERY;
  lookSoon(document.visibilityState === "visible" ? visible : LOOK_WHILE_HIDDEN_EVERY);
}

/** @param {number} asked */
async function lookAtList(asked) {
  const answer = await call("GET", "events");
  if (asked !== shown.epoch || !isHeard(answer)) return;
  shown.list = answer.body.events;
  shown.freshAt = now();
  shown.view = "events";
}

/** @param {string} event @param {number} asked */
async function lookAtEvent(event, asked) {
  const answer = await call("GET", `events/${event}?series=1`);
  if (asked !== shown.epoch || !isHeard(answer)) return;
  // The same moment again is no news, whoever kept it.
  if (answer.body.at !== shown.picture?.at) shown.freshAt = now();
  shown.picture = answer.body;
  shown.view = "event";
  if (now() - logAt > LOG_EVERY) await lookAtLog(event, asked);
}

/** @param {string} event @param {number} asked */
async function lookAtLog(event, asked) {
  logAt = now();
  const answer = await call("GET", `events/${event}/log?limit=${LOG_ENTRIES}`);
  if (asked !== shown.epoch) return;
  byId("log-note").hidden = isGood(answer);
  if (isGood(answer)) renderLog(answer.body.entries);
  else write("log-note", `What is below may be old. ${words.trouble(answer)}`);
}

/**
 * Take in whether an answer to a look is one.
 *
 * @param {Answer} answer
 */
function isHeard(answer) {
  if (answer.status === 401) {
    whole.toLogin("Your session is over, or your key was removed. Log in again.");
    return false;
  }
  shown.trouble = isGood(answer) ? "" : words.blindness(answer);
  return isGood(answer);
}

/**
 * Ask for a change of the event that is looked at.
 *
 * @param {string} verb
 * @param {Record<string, unknown>} body
 * @returns {Promise<Answer>}
 */
export async function post(verb, body) {
  const answer = await call("POST", `events/${shown.event}/${verb}`, body);
  if (answer.status === 401) isHeard(answer);
  return answer;
}
