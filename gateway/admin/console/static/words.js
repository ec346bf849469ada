/**
 * What the console says: numbers, lengths of time and documents of the admin interface in words. Pure.
 */

const numbers = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 });
const percents = new Intl.NumberFormat("en-GB", { style: "percent", maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const calendar = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** @param {number | null | undefined} value */
export const number = (value) => (value == null ? "–" : numbers.format(value));

const DIGITS = /^[0-9]+$/;
const GROUPED = /^[0-9]{1,3}(?:[ ,.'][0-9]{3})+$/;

/**
 * Read a whole number as people write it, in groups or not; null for what is none.
 *
 * @param {string} text
 */
export function count(text) {
  const written = text.trim();
  if (GROUPED.test(written)) return Number(written.replaceAll(/[^0-9]/g, ""));
  return DIGITS.test(written) ? Number(written) : null;
}

/** @param {number | null | undefined} value */
export const percent = (value) => (value == null ? "–" : percents.format(value));

/** @param {number} unixSeconds */
export const time = (unixSeconds) => clock.format(unixSeconds * 1000);

/** @param {number} unixSeconds */
export const moment = (unixSeconds) => calendar.format(unixSeconds * 1000);

/** @param {number} count */
export const people = (count) => (count === 1 ? "1 person" : `${number(count)} people`);

/**
 * Say a length of time in two neighbouring units at most, rounded down: `2 h 5 min`.
 *
 * @param {number} seconds
 */
export function duration(seconds) {
  let left = Math.max(Math.floor(seconds), 0);
  /** @type {string[]} */
  const words = [];
  for (const [unit, word] of /** @type {[number, string][]} */ ([
    [86_400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ])) {
    const count = Math.floor(left / unit);
    const wasSecond = words.length > 0;
    left -= count * unit;
    if (count > 0) words.push(`${count} ${word}`);
    if (wasSecond) break;
  }
  return words.join(" ") || "0 s";
}

const STATES = {
  scheduled: "Scheduled: not open yet",
  open: "Open",
  paused: "Paused",
  closed: "Closed",
  suspended: "Suspended: its state is in doubt",
  bypass: "Bypass: everyone passes",
  deleted: "Deleted",
};

/** @param {any} doc the picture of an event */
export function state(doc) {
  const word = STATES[doc.state] ?? doc.state;
  // The list of events does not say what a pause stops.
  if (doc.state !== "paused" || doc.claims_frozen === undefined) return word;
  return doc.claims_frozen ? `${word}: no releases, no claims` : `${word}: no releases, claims go on`;
}

/**
 * Count the people let in: turns up to the pointer, and dealt, that are in no hole.
 *
 * @param {any} doc
 */
export function letIn(doc) {
  const end = Math.min(doc.served_up_to, doc.issued);
  let empty = 0;
  for (const [first, last] of doc.holes) {
    empty += Math.max(Math.min(last, end) - first + 1, 0);
  }
  return end - empty;
}

/** @param {any} doc @returns {[string, string]} the number, and what belongs to it */
export function oldestWait(doc) {
  const wait = doc.oldest_wait;
  if (wait === null) return ["–", doc.waiting > 0 ? "cannot be told" : "nobody waits"];
  const least = duration(wait.at_least_s);
  if (wait.at_most_s === null) return [least, "or more: it began before the first sample"];
  const most = duration(wait.at_most_s);
  return least === most ? [most, ""] : [most, `or less, at least ${least}`];
}

/** @param {any} doc @returns {[string, string]} */
export function noShows(doc) {
  if (doc.no_show_rate === null) return ["–", "nobody's window is over yet"];
  return [percent(doc.no_show_rate), `${people(doc.no_shows)} did not come in time`];
}

const WHY = {
  rate: "It keeps to its rate.",
  full: "It lets in nobody just now: the places are taken, or those expected will take them.",
  overshoot: "It lets in nobody just now: as many turns are open at one time as may be.",
  "nobody-waits": "Nobody waits.",
  ill: "It lets in nobody: the backend is ill, and claim windows stand still.",
};

/** @param {any} doc @returns {string[]} */
export function schedule(doc) {
  const { schedule: held, policy } = doc;
  if (held === null) return ["None: people are let in by hand."];
  const rules = [];
  if (policy.schedule_people > 0) {
    rules.push(`${people(policy.schedule_people)} each ${duration(policy.schedule_every_s)}`);
  } else {
    rules.push("as many as there are places for");
  }
  const said = [`It lets in ${rules.join(", ")}.`];
  if (held.why === null) said.push("It has not run yet.");
  else said.push(WHY[held.why] ?? `It rests: the event is ${held.why}.`);
  if (held.pace < 1) said.push(`Pace ${percent(held.pace)}: it spares the backend, which was ill.`);
  if (held.show_rate !== null) {
    said.push(`${percent(held.show_rate)} of those let in come; ${number(held.expected)} of those at the door are expected.`);
  }
  return said;
}

/**
 * Say what a release would do, or did, to people, to the wait at the door and to the places.
 *
 * @param {any} answer of `release`
 * @returns {string[]}
 */
export function effects(answer) {
  const said = [];
  if (answer.people === 0) said.push("Nobody else waits: the pointer stays where it is.");
  else said.push(`Lets in ${people(answer.people)}: the pointer goes from ${number(answer.before)} to ${number(answer.after)}.`);
  if (answer.capped && answer.people > 0) said.push("That is everybody who waits; you asked for more.");
  const held = answer.effects;
  if (held === null || answer.people === 0) return said;
  if (held.not_joined > 0) said.push(`${people(held.not_joined)} of them have not joined yet.`);
  said.push(
    held.show_rate === null
      ? `They have ${duration(held.claim_window_s)} to come. Nobody's window is over yet, so all count as coming.`
      : `They have ${duration(held.claim_window_s)} to come. ${percent(held.show_rate)} came so far: about ${number(held.expected)} will.`,
  );
  said.push(places(held), ...door(held), ...usual(held));
  return said;
}

/** @param {any} held */
function places(held) {
  const now = `${number(held.sessions)} sessions run and ${people(held.at_the_door)} ${held.at_the_door === 1 ? "is" : "are"} at the door.`;
  const limit = held.max_sessions === null ? "there is no limit" : `of ${number(held.max_sessions)} places`;
  return `Capacity: ${now} Then about ${number(held.sessions_expected)}, at most ${number(held.sessions_at_most)}, ${limit}.`;
}

/** @param {any} held @returns {string[]} */
function door(held) {
  if (held.max_sessions === null) return [];
  if (held.wait_at_most === 0) return ["Wait: there is a place for everybody."];
  if (held.wait_expected === 0) {
    return [`Wait: none expected; if all come at once, ${people(held.wait_at_most)} wait at the door.`];
  }
  return [
    `Wait: about ${people(held.wait_expected)} will find no place free and wait at the door, the last for about ${duration(held.wait_s)} (${number(held.frees_per_min)} places become free a minute).`,
  ];
}

/** @param {any} held @returns {string[]} */
function usual(held) {
  if (!held.usual_min) return [];
  return [`Lately ${number(held.rate_per_min)} a minute are let in: as many take ${duration(held.usual_min * 60)}.`];
}

/** Names of the log that say too little by themselves. */
const LABELS = { served_up_to: "pointer" };

/** @type {Record<string, (held: any) => string>} */
const SAYINGS = {
  // A name made of digits.
  generation: String,
  asked: (held) => String(held).replace(/^by (.*)/, "for $1").replace(/^to (.*)/, "up to turn $1"),
};

/**
 * Say what an act changed.
 *
 * @param {any} entry of the operator log
 */
export function change(entry) {
  const names = [...new Set([...Object.keys(entry.before), ...Object.keys(entry.after)])].sort();
  const said = [];
  for (const name of names) {
    const [had, has] = [entry.before[name], entry.after[name]];
    const isSame = JSON.stringify(had) === JSON.stringify(has);
    if (isSame || (typeof has === "object" && has !== null)) continue;
    const label = LABELS[name] ?? name.replaceAll("_", " ");
    const say = SAYINGS[name] ?? value;
    said.push(had === undefined ? `${label} ${say(has)}` : `${label} ${say(had)} → ${say(has)}`);
  }
  return said.join(", ");
}

/** @param {unknown} held */
function value(held) {
  if (held === undefined || held === null || held === "") return "–";
  return typeof held === "number" ? number(held) : String(held);
}

/**
 * Say why a look brought nothing; looking goes on by itself.
 *
 * @param {{status: number, body: any}} answer
 */
export function blindness(answer) {
  if (answer.status === 0) return "The gateway does not answer.";
  if (answer.body.type === "ledger-away") return `The gateway answers, but its ledger is away (${answer.body.cause}).`;
  return trouble(answer);
}

/**
 * Say an error of the admin interface in words: what happened, and what to do.
 *
 * @param {{status: number, body: any}} answer
 */
export function trouble(answer) {
  if (answer.status === 0) return "The gateway did not answer. Try again.";
  const { title, detail } = answer.body;
  if (detail) return detail;
  return title ? `${title}.` : `The gateway answered ${answer.status}. Try again.`;
}
