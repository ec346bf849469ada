/**
 * What is shown, and how fresh it is: read by every part, and told anew by each answer.
 */

/** @typedef {{name: string, role: "view" | "release" | "admin"}} Session */

// Seconds: how often the list is asked for, and the age at which numbers are not live any more.
export const LOOK_AT_LIST_EVERY = 5;
const STALE_AFTER = 5;

const ROLES = ["view", "release", "admin"];

/** Seconds of a clock that nobody can set. */
export const now = () => performance.now() / 1000;

export const shown = {
  /** @type {"loading" | "login" | "events" | "event"} */
  view: "loading",
  /** @type {Session | null} */
  session: null,
  /** The event that is looked at; empty for the list. */
  event: "",
  /** @type {any} the latest picture of it */
  picture: null,
  /** @type {any[] | null} */
  list: null,
  /** When the ledger was last known to be read, by `now`. */
  freshAt: 0,
  /** Why the last look brought nothing; empty where it did. */
  trouble: "",
  /** Counts what was begun anew: an answer to an earlier question is not for what is shown now. */
  epoch: 0,
};

/** @param {string} role */
export const may = (role) => ROLES.indexOf(shown.session?.role ?? "") >= ROLES.indexOf(role);

export const hasNumbers = () => (shown.view === "event" ? shown.picture : shown.list) !== null;
export const age = () => now() - shown.freshAt;

function staleAfter() {
  return shown.view === "events" ? LOOK_AT_LIST_EVERY + STALE_AFTER : STALE_AFTER;
}

export const isStale = () => hasNumbers() && (shown.trouble !== "" || age() > staleAfter());
