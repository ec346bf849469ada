/**
 * What can be said of a visitor's place from the public pointer document, and how it is put into words.
 *
 * Pure: no DOM, no network, no clock. Times are whole seconds of one monotonic clock unless a name says
 * otherwise; chance comes in as an argument. The rules are the gateway's own (`gateway/domain/holes.py`,
 * `waiting.py`, `shown_wait.py`), and shared vectors hold both languages to one behaviour.
 */

/**
 * @typedef {object} PointerDocument
 * @property {string} event
 * @property {string} state scheduled, open, paused, closed, suspended, bypass or deleted
 * @property {number} generation
 * @property {number} served_up_to
 * @property {number} issued
 * @property {{commitment: string, seed: string | null, count: number | null} | null} draw
 * @property {[number, number][]} holes inclusive ranges that belong to nobody
 * @property {number} window seconds in which a turn may be claimed
 * @property {string} message the operator's
 * @property {number | null} opens_at Unix seconds
 * @property {boolean} full
 * @property {{nearest: number, farthest: number, unknown: number, heartbeat: number}} poll seconds
 * @property {{coverage: number, curve: [number, number, number][]} | null} [wait]
 *
 * @typedef {{low: number, high: number}} Range seconds
 *
 * @typedef {object} Shown the span of the clock in which the turn is expected
 * @property {number} from
 * @property {number} until
 * @property {number} mayRiseFrom
 * @property {"begun" | "kept" | "narrowed" | "sooner" | "later"} move
 */

// --- The place -------------------------------------------------------------------------------------

/**
 * Count the people before a turn: everyone after the pointer, but for the numbers that nobody holds.
 *
 * @param {number} turn
 * @param {number} servedUpTo
 * @param {[number, number][]} holes
 * @returns {number}
 */
export function peopleAhead(turn, servedUpTo, holes) {
  let ahead = turn - servedUpTo - 1;
  for (const [first, last] of holes) {
    ahead -= Math.max(Math.min(last, turn - 1) - Math.max(first, servedUpTo + 1) + 1, 0);
  }
  return Math.max(ahead, 0);
}

/**
 * Merge a document into what was shown before: within one generation the pointer never goes back, and
 * an answer of an older generation is a stale copy.
 *
 * @param {PointerDocument | null} known
 * @param {PointerDocument} fresh
 * @returns {PointerDocument}
 */
export function newerDocument(known, fresh) {
  if (known === null || fresh.generation > known.generation) return fresh;
  if (fresh.generation < known.generation) return known;
  return { ...fresh, served_up_to: Math.max(fresh.served_up_to, known.served_up_to) };
}

/**
 * @typedef {"loading" | "not_in" | "joining" | "in" | "turn" | "full" | "closed" | "ended" | "anew" | "moment"
 *   | "inside" | "left" | "cookies"} Stage how far the visitor has come, as far as the page knows
 */

/** What a visitor with a place is told while the event is in a state; else they just wait. */
const TOLD_WHILE = new Map([
  ["scheduled", "scheduled"],
  ["paused", "paused"],
  ["suspended", "moment"],
  ["closed", "closed"],
  ["deleted", "closed"],
]);

/**
 * Say what the page shows: how far the visitor has come, seen with the state of the event.
 *
 * @param {Stage} stage
 * @param {PointerDocument | null} pointer
 * @returns {string} the last part of the keys `title.…` and `lead.…`
 */
export function phaseOf(stage, pointer) {
  if (stage === "in") return TOLD_WHILE.get(pointer?.state ?? "") ?? "waiting";
  const isOver = pointer?.state === "closed" || pointer?.state === "deleted";
  return stage === "not_in" && isOver ? "closed" : stage;
}

/**
 * @param {number} ahead
 * @param {number} aheadAtFirst how many there were when the visitor joined
 * @returns {number} how much of the way to the front is done, from 0 to 1
 */
export function progressOf(ahead, aheadAtFirst) {
  return aheadAtFirst > 0 ? Math.min(Math.max(1 - ahead / aheadAtFirst, 0), 1) : 1;
}

// --- The waiting time ------------------------------------------------------------------------------

/**
 * Read the curve at a number of people ahead. Between two points, and beyond the last two, the range lies
 * on the line through them.
 *
 * @param {[number, number, number][]} curve ascending in its first column; at least two points
 * @param {number} ahead
 * @returns {Range}
 */
export function waitAt(curve, ahead) {
  let after = 1;
  while (after < curve.length - 1 && curve[after][0] < ahead) after += 1;
  const [first, low, high] = curve[after - 1];
  const [second, lowThen, highThen] = curve[after];
  // In this order in every language: the same floating-point numbers come out.
  const part = (ahead - first) / (second - first);
  return {
    low: Math.floor(low + (lowThen - low) * part),
    high: Math.ceil(high + (highThen - high) * part),
  };
}

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86400;
const LEAST_REST = 60;
const REST_PART = 10;

/** Below so many seconds, times are shown in steps of so many. */
const ROUNDING = [
  [HOUR, MINUTE],
  [3 * HOUR, 5 * MINUTE],
  [12 * HOUR, 15 * MINUTE],
];

/** @param {number} seconds */
function stepOf(seconds) {
  const rule = ROUNDING.find(([below]) => seconds < below);
  return rule === undefined ? HOUR : rule[1];
}

/** @param {number} seconds */
function roundedDown(seconds) {
  return Math.floor(seconds / stepOf(seconds)) * stepOf(seconds);
}

/** @param {number} seconds */
function roundedUp(seconds) {
  return Math.ceil(seconds / stepOf(seconds)) * stepOf(seconds);
}

/**
 * @param {Shown} shown
 * @param {number} now
 * @returns {Range} the time left as it is shown: rounded outwards
 */
export function timeLeft(shown, now) {
  return {
    low: roundedDown(Math.max(shown.from - now, 0)),
    high: roundedUp(Math.max(shown.until - now, MINUTE)),
  };
}

/**
 * Decide what to show from `now` on. The shown end rises by a step called `later` and by nothing else;
 * `gateway/domain/shown_wait.py` says the whole rule.
 *
 * @param {Shown | null} shown
 * @param {Range | null} fresh
 * @param {number} now
 * @returns {Shown | null}
 */
export function showNext(shown, fresh, now) {
  if (fresh === null) return null;
  if (shown === null) return begun(fresh, now, "begun");
  const first = now + fresh.low;
  const last = now + fresh.high;
  if (first + last < 2 * shown.from) {
    return { ...shown, from: first, until: Math.min(last, shown.until), move: "sooner" };
  }
  if (first + last > 2 * shown.until) {
    const wouldRise = roundedUp(Math.max(fresh.high, MINUTE)) > timeLeft(shown, now).high;
    if (wouldRise && now >= shown.mayRiseFrom) return begun(fresh, now, "later");
    return { ...shown, move: "kept" };
  }
  if (2 * (last - first) <= shown.until - shown.from) {
    const from = Math.max(first, shown.from);
    return { ...shown, from, until: Math.min(last, shown.until), move: "narrowed" };
  }
  return { ...shown, move: "kept" };
}

/**
 * @param {Range} fresh
 * @param {number} now
 * @param {"begun" | "later"} move
 * @returns {Shown}
 */
function begun(fresh, now, move) {
  const rest = Math.max(Math.floor(fresh.high / REST_PART), LEAST_REST);
  return { from: now + fresh.low, until: now + fresh.high, mayRiseFrom: now + rest, move };
}

// --- When to ask again -----------------------------------------------------------------------------

const POLLS_A_WAIT = 10;
const PEOPLE_A_SECOND = 100;
const SPREAD_PART = 4;

/**
 * Say when to poll next: the later, the farther from the front, and never in step with others.
 *
 * @param {PointerDocument["poll"]} poll bounds, as the server gives them
 * @param {number | null} ahead null while it is not known
 * @param {Range | null} wait
 * @param {number} chance from 0 to 1
 * @returns {number} seconds
 */
export function pollAfter(poll, ahead, wait, chance) {
  let base = poll.unknown;
  if (ahead !== null) {
    const told = wait === null ? ahead / PEOPLE_A_SECOND : wait.low / POLLS_A_WAIT;
    base = Math.min(Math.max(told, poll.nearest), poll.farthest);
  }
  return base * (1 + chance / SPREAD_PART);
}

const FIRST_RETRY = 2;
const LONGEST_RETRY = 60;

/**
 * Say when to try again after so many failures in a row: longer each time, and spread out, since what failed
 * for one has failed for everyone in the same second.
 *
 * @param {number} failures one or more
 * @param {number} chance from 0 to 1
 * @returns {number} seconds
 */
export function retryAfter(failures, chance) {
  const longest = Math.min(FIRST_RETRY * 2 ** (failures - 1), LONGEST_RETRY);
  return (longest * (1 + chance)) / 2;
}

/**
 * Say for how long a claim may be put off on a tab that nobody looks at.
 *
 * @param {number} windowLength seconds in which the turn may be claimed
 * @param {number} sinceTurn seconds since the turn came, as far as this page can know
 * @param {number} margin seconds to leave over
 */
export function mayHoldFor(windowLength, sinceTurn, margin) {
  return Math.max(windowLength - sinceTurn - margin, 0);
}

// --- Not all at once -------------------------------------------------------------------------------

const QUESTIONS_A_SECOND = 1000;
const LEAST_SPREAD = 5;
const LONGEST_SPREAD = 120;

/**
 * Say when to do what a whole crowd is moved to do by one document: the larger the crowd, the wider spread.
 *
 * @param {number} crowd
 * @param {number} chance from 0 to 1
 * @returns {number} seconds
 */
export function spreadOver(crowd, chance) {
  const span = Math.max(crowd / QUESTIONS_A_SECOND, LEAST_SPREAD);
  return Math.min(span, LONGEST_SPREAD) * chance;
}

const CLAIMS_A_SECOND = 500;
const LONGEST_DELAY = 60;

/**
 * Say for how long a turn lets others of the same release go first, so that they claim in the order of their
 * turns and not in the same second.
 *
 * @param {number} turn
 * @param {number} servedBefore where the pointer stood before the release
 * @param {number} servedUpTo where it stands after it
 * @param {number} most seconds that the turn's window leaves
 * @returns {number} seconds
 */
export function enterDelay(turn, servedBefore, servedUpTo, most) {
  const released = servedUpTo - servedBefore;
  if (released <= 0) return 0;
  const before = Math.min(Math.max(turn - servedBefore - 1, 0), released);
  return Math.min(released / CLAIMS_A_SECOND, LONGEST_DELAY, most) * (before / released);
}

const FULL_GROWTH = 1.25;
const LONGEST_FULL = 60;

/**
 * Say when to claim again from a site that was full: later each time, and no sooner than the server asks.
 *
 * @param {number} times how often it was full, one or more
 * @param {number} least seconds, as the server says
 * @param {number} left seconds that the turn's window leaves
 * @param {number} chance from 0 to 1
 * @returns {number} seconds
 */
export function whenFull(times, least, left, chance) {
  const shortest = Math.max(least, FIRST_RETRY);
  const grown = Math.min(shortest * FULL_GROWTH ** times, LONGEST_FULL, left);
  return Math.max(grown, shortest) * (1 + chance / SPREAD_PART);
}

// --- In words --------------------------------------------------------------------------------------

/**
 * The page's texts in one language. A text is a string, or one string for each plural category of CLDR.
 *
 * @param {Record<string, string | Record<string, string>>} texts
 * @param {string} language BCP 47
 */
export function wording(texts, language) {
  const plurals = new Intl.PluralRules(language);
  const numbers = new Intl.NumberFormat(language);
  const clock = new Intl.DateTimeFormat(language, { timeStyle: "medium" });
  const list = new Intl.ListFormat(language, { type: "unit", style: "narrow" });
  /** @param {number} n @param {string} unit */
  const inUnits = (n, unit) =>
    new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(n);

  /**
   * @param {string} key
   * @param {Record<string, string | number>} [values] for the placeholders; numbers are formatted
   * @param {number} [count] chooses the plural
   */
  function say(key, values = {}, count = 0) {
    const found = texts[key];
    if (found === undefined) return key;
    const text = typeof found === "string" ? found : (found[plurals.select(count)] ?? found.other);
    return text.replace(/\{(\w+)\}/g, (whole, name) => {
      const value = values[name];
      if (value === undefined) return whole;
      return typeof value === "number" ? numbers.format(value) : value;
    });
  }

  /**
   * Tell a length of time by its two largest units.
   *
   * @param {number} seconds
   */
  function duration(seconds) {
    const parts = [
      ["day", Math.floor(seconds / DAY)],
      ["hour", Math.floor((seconds % DAY) / HOUR)],
      ["minute", Math.floor((seconds % HOUR) / MINUTE)],
      ["second", Math.floor(seconds % MINUTE)],
    ];
    const largest = parts.findIndex(([, n]) => n > 0);
    if (largest < 0) return inUnits(0, "second");
    const told = parts.slice(largest, largest + 2).filter(([, n]) => n > 0);
    return list.format(told.map(([unit, n]) => inUnits(n, unit)));
  }

  /**
   * Tell a rounded waiting time of an hour or more, in the words that the plain page has for it too.
   *
   * @param {number} seconds
   */
  function hours(seconds) {
    const whole = Math.floor(seconds / HOUR);
    const rest = Math.floor((seconds % HOUR) / MINUTE);
    const minutes = say("time.minutes", { n: rest }, rest);
    if (whole === 0) return minutes;
    const inHours = say("time.hours", { n: whole }, whole);
    return rest === 0 ? inHours : say("time.both", { hours: inHours, minutes });
  }

  /** @param {Range | null} left rounded outwards */
  function wait(left) {
    if (left === null) return say("wait.unknown");
    if (left.high <= MINUTE) return say("wait.soon");
    if (left.high < HOUR) {
      const low = Math.max(left.low / MINUTE, 1);
      const high = left.high / MINUTE;
      if (low >= high) return say("wait.minutes_same", { n: high }, high);
      return say("wait.minutes", { low, high }, high);
    }
    const low = Math.max(left.low, MINUTE);
    if (low >= left.high) return say("wait.hours_same", { time: hours(left.high) });
    return say("wait.hours", { low: hours(low), high: hours(left.high) });
  }

  return {
    say,
    duration,
    wait,
    number: (/** @type {number} */ n) => numbers.format(n),
    time: (/** @type {number} */ unixMs) => clock.format(unixMs),
    ahead: (/** @type {number} */ n) => (n === 0 ? say("ahead.none") : say("ahead", { n }, n)),
  };
}
