/**
 * The operator console: asks the admin interface how an event stands, shows it, and carries out what the
 * operator presses. It knows nothing by itself: who may do what, and what happens, the gateway decides.
 *
 * The parts: what is shown, looking again and again, the view, letting people in, the other acts, the session.
 */

import { call, isGood, isUnknown, newName } from "./calls.js";
import { draw, spoken } from "./sparks.js";
import * as words from "./words.js";

/**
 * @typedef {import("./calls.js").Answer} Answer
 * @typedef {{name: string, role: "view" | "release" | "admin"}} Session
 * @typedef {{by: number, id: string, confirm: boolean, isUnderWay: boolean, mayHaveHappened: boolean}} Intent
 */

// Seconds.
const LOOK_EVERY = 1;
const LOOK_AT_LIST_EVERY = 5;
const LOOK_WHILE_HIDDEN_EVERY = 15;
const LOG_EVERY = 5;
const STALE_AFTER = 5;
const SPEAK_STALE_AFTER = 2;
const SPEAK_EVERY = 60;

const LOG_ENTRIES = 8;
const LARGEST = 999_999_999;
const SPAN = "the last 10 min";
const ROLES = ["view", "release", "admin"];

/** Seconds of a clock that nobody can set. */
const now = () => performance.now() / 1000;

/** @param {string} id @returns {HTMLElement} */
function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

/** @param {string} id */
const input = (id) => /** @type {HTMLInputElement} */ (byId(id));

// --- What is shown ---------------------------------------------------------------------------------------

const shown = {
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
};

/** @param {string} role */
const may = (role) => ROLES.indexOf(shown.session?.role ?? "") >= ROLES.indexOf(role);

const hasNumbers = () => (shown.view === "event" ? shown.picture : shown.list) !== null;
const age = () => now() - shown.freshAt;

function staleAfter() {
  return shown.view === "events" ? LOOK_AT_LIST_EVERY + STALE_AFTER : STALE_AFTER;
}

const isStale = () => hasNumbers() && (shown.trouble !== "" || age() > staleAfter());

// --- Looking again and again -----------------------------------------------------------------------------

/** Counts what was begun anew: an answer to an earlier question is not for what is shown now. */
let epoch = 0;
let looking = 0;
let logAt = -Infinity;

function lookSoon(seconds = 0) {
  clearTimeout(looking);
  looking = setTimeout(look, seconds * 1000);
}

async function look() {
  if (shown.session === null) return;
  const asked = epoch;
  if (shown.event === "") await lookAtList(asked);
  else await lookAtEvent(shown.event, asked);
  if (asked !== epoch) return;
  render();
  const visible = shown.event === "" ? LOOK_AT_LIST_EVERY : LOOK_EVERY;
  lookSoon(document.visibilityState === "visible" ? visible : LOOK_WHILE_HIDDEN_EVERY);
}

/** @param {number} asked */
async function lookAtList(asked) {
  const answer = await call("GET", "events");
  if (asked !== epoch || !isHeard(answer)) return;
  shown.list = answer.body.events;
  shown.freshAt = now();
  shown.view = "events";
}

/** @param {string} event @param {number} asked */
async function lookAtEvent(event, asked) {
  const answer = await call("GET", `events/${event}?series=1`);
  if (asked !== epoch || !isHeard(answer)) return;
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
  if (asked !== epoch) return;
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
    toLogin("Your session is over, or your key was removed. Log in again.");
    return false;
  }
  shown.trouble = isGood(answer) ? "" : words.blindness(answer);
  return isGood(answer);
}

// --- The view --------------------------------------------------------------------------------------------

/** @param {string} id @param {string} text */
function write(id, text) {
  const node = byId(id);
  // Written only when it changes: a screen reader takes every writing for news.
  if (node.textContent !== text) node.textContent = text;
}

/** @param {string} id @param {boolean} isShown */
function show(id, isShown) {
  byId(id).hidden = !isShown;
}

/** @param {string} id @param {string[]} texts */
function list(id, texts) {
  const node = byId(id);
  if (node.dataset.said === JSON.stringify(texts)) return;
  node.dataset.said = JSON.stringify(texts);
  node.replaceChildren(...texts.map((text) => made("li", text)));
}

/** @param {string} tag @param {string} text @param {string} [className] */
function made(tag, text, className = "") {
  const node = document.createElement(tag);
  node.textContent = text;
  if (className) node.className = className;
  return node;
}

function render() {
  for (const view of ["loading", "login", "events", "event"]) show(`view-${view}`, shown.view === view);
  show("account", shown.session !== null);
  if (shown.session !== null) write("who", `${shown.session.name} (${shown.session.role})`);
  if (shown.view === "events") renderList();
  if (shown.view === "event") renderEvent(shown.picture);
  renderAge();
}

/** Say how old the numbers are: old ones must never look like live ones. */
function renderAge() {
  const stale = isStale();
  document.body.toggleAttribute("data-stale", stale);
  show("away", stale || (shown.session !== null && shown.trouble !== ""));
  const old = hasNumbers() ? `Not live: these numbers are ${words.duration(age())} old. ` : "";
  write("away", `${old}${shown.trouble || "The gateway has not answered since."} It is asked again and again.`);
  if (shown.view === "event") {
    write("as-of", `As of ${words.time(shown.picture.at)}, ${words.duration(age())} ago`);
  }
  const title = shown.view === "event" ? `${shown.event}: ${words.number(shown.picture.waiting)} waiting` : "Events";
  document.title = `${stale ? "Not live: " : ""}${shown.session ? title : "Log in"} · Operator console`;
  speakOf(stale);
}

function renderList() {
  const events = shown.list ?? [];
  show("events-note", events.length === 0);
  write("events-note", "There is no event yet. Make one with gateway event create, or gateway event apply.");
  const node = byId("events");
  const key = JSON.stringify(events);
  if (node.dataset.said === key) return;
  const focused = document.activeElement?.getAttribute("href");
  node.dataset.said = key;
  node.replaceChildren(...events.map(entryOf));
  // Who stood on a link stands there still.
  if (focused) node.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
}

/** @param {any} doc */
function entryOf(doc) {
  const entry = document.createElement("li");
  const link = /** @type {HTMLAnchorElement} */ (made("a", doc.event));
  link.href = `#/${doc.event}`;
  // What is lost has no numbers, but a name.
  const state = doc.error === undefined ? doc.state : "suspended";
  const badge = made("p", words.state({ ...doc, state }), "badge");
  badge.dataset.state = state;
  entry.append(link, badge);
  if (typeof doc.waiting === "number") {
    entry.append(made("p", `${words.people(doc.waiting)} waiting, ${sessionsOf(doc)} sessions`, "small"));
  }
  return entry;
}

/** @param {any} doc */
function sessionsOf(doc) {
  const sessions = words.number(doc.active_sessions);
  return doc.max_sessions === null ? sessions : `${sessions} of ${words.number(doc.max_sessions)}`;
}

/** @param {any} doc */
function renderEvent(doc) {
  write("event-name", doc.event);
  write("state", words.state(doc));
  byId("state").dataset.state = doc.state;
  show("message", doc.message !== "");
  write("message", `Visitors read: ${doc.message}`);
  show("observed", doc.mode === "observe");
  show("healed", doc.healed !== null);
  if (doc.healed !== null) write("healed", `It was brought back at ${words.moment(doc.healed.at)} (${doc.healed.why}).`);
  renderFigures(doc);
  list("schedule", words.schedule(doc));
  renderGateways(doc.gateways);
  renderActs(doc);
}

/** @param {any} doc */
function renderFigures(doc) {
  write("waiting", words.number(doc.waiting));
  write("waiting-more", `of ${words.number(doc.issued)} places given`);
  write("sessions", sessionsOf(doc));
  show("sessions-bar", doc.max_sessions !== null);
  const bar = /** @type {HTMLProgressElement} */ (byId("sessions-bar"));
  if (doc.max_sessions !== null) bar.value = Math.min(doc.active_sessions / doc.max_sessions, 1);
  write("arrivals", words.number(doc.arrivals_per_min));
  write("let-in", words.number(doc.let_in_per_min));
  write("people", words.number(words.letIn(doc)));
  write("people-more", `served up to ${words.number(doc.served_up_to)}`);
  write("door", words.number(doc.at_the_door));
  const [rate, missed] = words.noShows(doc);
  write("no-shows", rate);
  write("no-shows-more", missed);
  const [wait, more] = words.oldestWait(doc);
  write("oldest", wait);
  write("oldest-more", more);
  for (const [name, label] of LINES) {
    draw(byId(`spark-${name}`), spoken(label, doc.series[name], SPAN), doc.series[name]);
  }
}

/** @type {[string, string][]} */
const LINES = [
  ["waiting", "Waiting"],
  ["active_sessions", "Sessions"],
  ["arrivals", "Arrivals a minute"],
  ["let_in", "Let in a minute"],
];

/** @param {{id: string, read_ago_s: number, health: string}[]} gateways */
function renderGateways(gateways) {
  const entries = gateways.map(({ id, read_ago_s, health }) => {
    const entry = document.createElement("li");
    const word = made("span", health, "health");
    word.dataset.health = health;
    entry.append(word, made("code", id), made("span", `read ${words.duration(read_ago_s)} ago`, "small"));
    return entry;
  });
  if (entries.length === 0) entries.push(made("li", "No gateway has read this event."));
  byId("gateways").replaceChildren(...entries);
}

/** @param {any[]} entries oldest first */
function renderLog(entries) {
  const newest = [...entries].reverse();
  const node = byId("log");
  const key = newest.map((entry) => entry.hash).join();
  if (node.dataset.said === key) return;
  node.dataset.said = key;
  node.replaceChildren(...newest.map(logged));
  show("log-note", newest.length === 0);
  write("log-note", "Nothing was done yet.");
}

/** @param {any} entry */
function logged(entry) {
  if ("unreadable" in entry) return made("li", "An entry that cannot be read: see gateway log.");
  const item = document.createElement("li");
  item.append(made("strong", entry.act), ` by ${entry.by}`);
  item.append(made("span", words.moment(entry.at / 1000), "small"));
  const change = words.change(entry);
  if (change) item.append(made("span", change, "small"));
  if (entry.reason) item.append(made("span", `Reason: ${entry.reason}`, "small"));
  return item;
}

// --- What a screen reader is told ------------------------------------------------------------------------

let spokenState = "";
let spokenAt = -Infinity;
let spokenStale = false;
let staleSince = Infinity;

/** @param {string} text */
function say(text) {
  spokenAt = now();
  write("live", text);
}

/**
 * Tell changes of what is happening at once, and the numbers once a minute.
 *
 * @param {boolean} stale
 */
function speakOf(stale) {
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

// --- Letting people in -----------------------------------------------------------------------------------

/** @type {Intent | null} one release that the operator means; its name is made once */
let intent = null;
let isTrying = false;

/** Ask what a release would do; nothing happens yet. */
async function tryRelease() {
  if (isTrying || intent !== null) return;
  const by = words.count(input("release-by").value);
  show("released", false);
  if (by === null || by < 1 || by > LARGEST) {
    write("release-problem", "Write how many people to let in: a whole number from 1.");
    input("release-by").focus();
    return;
  }
  write("release-problem", "");
  const asked = epoch;
  isTrying = true;
  const answer = await post("release", { by, dry_run: true });
  isTrying = false;
  if (asked !== epoch) return;
  if (!isGood(answer)) return write("release-problem", words.trouble(answer));
  const isUnusual = answer.body.unusual.length > 0;
  intent = { by, id: newName(), confirm: isUnusual, isUnderWay: false, mayHaveHappened: false };
  showIntent(answer.body);
}

/** @param {any} dry what a dry run said */
function showIntent(dry) {
  write("intent-title", `Let in ${words.people(dry.people)}?`);
  list("intent-says", words.effects(dry));
  showUnusual(textsOf(dry.unusual));
  write("intent-problem", "");
  write("release-do", `Let in ${words.people(dry.people)}`);
  input("release-reason").value = "";
  renderRelease();
  byId("intent-title").focus();
}

/** @param {{text: string}[]} reasons */
const textsOf = (reasons) => reasons.map(({ text }) => `${text[0].toUpperCase()}${text.slice(1)}.`);

/** @param {string[]} reasons */
function showUnusual(reasons) {
  show("unusual", reasons.length > 0);
  list("unusual-says", reasons);
  input("unusual-yes").checked = false;
}

/** Let in whom the operator means. However often it is pressed, under one name it happens once. */
async function doRelease() {
  const meant = intent;
  if (meant === null || meant.isUnderWay) return;
  if (meant.confirm && !input("unusual-yes").checked) {
    write("intent-problem", "Tick the box first: this release is out of the ordinary.");
    input("unusual-yes").focus();
    return;
  }
  meant.isUnderWay = true;
  renderRelease();
  const { by, id, confirm } = meant;
  const answer = await post("release", { by, id, confirm, reason: input("release-reason").value });
  meant.isUnderWay = false;
  if (meant === intent) released(meant, answer);
}

/** @param {Intent} meant @param {Answer} answer */
function released(meant, answer) {
  if (isGood(answer)) return endIntent(didText(answer.body));
  if (isUnknown(answer)) {
    meant.mayHaveHappened = true;
    write("release-do", "Try again");
    write(
      "intent-problem",
      `${words.trouble(answer)} It may have happened or not. Pressed again it is the same release, and happens once.`,
    );
  } else if (answer.body.type === "confirmation-required") {
    // Out of the ordinary only since it was tried.
    meant.confirm = true;
    write("intent-problem", "Meanwhile the numbers have changed: read anew what it would do.");
    list("intent-says", words.effects(answer.body.would));
    showUnusual(textsOf(answer.body.would.unusual));
  } else {
    write("intent-problem", words.trouble(answer));
  }
  renderRelease();
}

/** @param {any} done */
function didText(done) {
  if (done.repeated) return `It had happened before: the pointer went to ${words.number(done.after)}. Nothing moved now.`;
  if (done.people === 0) return "Nobody else waits: nobody was let in.";
  const capped = done.capped ? " That was everybody who waits." : "";
  return `Let in ${words.people(done.people)}: the pointer went from ${words.number(done.before)} to ${words.number(done.after)}.${capped}`;
}

/** @param {string} text what came of it; empty for nothing to say */
function endIntent(text) {
  intent = null;
  show("released", text !== "");
  write("released", text);
  renderRelease();
  if (text === "") return input("release-by").focus();
  input("release-by").value = "";
  byId("released").focus();
  logAt = -Infinity;
  lookSoon();
}

function cancelRelease() {
  if (intent?.isUnderWay) return;
  endIntent(intent?.mayHaveHappened ? "It may have happened or not: see the last acts before you let in more." : "");
}

function renderRelease() {
  show("release", intent === null && byId("release-not").hidden);
  show("intent", intent !== null);
  for (const id of ["release-do", "release-cancel"]) {
    // Not `disabled`: that would take the focus away from whoever pressed it.
    byId(id).setAttribute("aria-disabled", String(intent?.isUnderWay ?? false));
  }
}

// --- The other acts --------------------------------------------------------------------------------------

/**
 * @typedef {object} Act
 * @property {string} label
 * @property {"release" | "admin"} role
 * @property {string[]} states in which it is offered
 * @property {(doc: any) => string} text
 * @property {string[]} fields
 * @property {string} done
 */

/** @type {Record<string, Act>} */
const ACTS = {
  pause: {
    label: "Pause",
    role: "release",
    states: ["open"],
    text: () => "Nobody new is let in, claim windows stand still, and who is inside goes on.",
    fields: ["message", "releases_only", "reason"],
    done: "Paused.",
  },
  resume: {
    label: "Resume",
    role: "release",
    states: ["paused"],
    text: (doc) => `Releases and claims go on. ${words.people(doc.waiting)} waiting.`,
    fields: ["reason"],
    done: "Resumed.",
  },
  message: {
    label: "Message",
    role: "release",
    states: ["scheduled", "open", "paused", "closed", "bypass"],
    text: () => "Everybody reads it on the waiting page within a second or two. An empty one takes it away.",
    fields: ["message", "reason"],
    done: "The message is changed.",
  },
  open: {
    label: "Open",
    role: "admin",
    states: ["scheduled", "closed", "bypass"],
    text: (doc) =>
      doc.state === "bypass"
        ? "Ends the bypass: from now on a place and a turn are needed again."
        : `Releases and claims begin${doc.draw === null ? "" : ", and the draw is held"}. ${words.people(doc.waiting)} waiting.`,
    fields: ["reason"],
    done: "Opened.",
  },
  close: {
    label: "Close",
    role: "admin",
    states: ["scheduled", "open", "paused", "bypass"],
    text: (doc) =>
      `No joins and no releases any more. ${words.people(doc.waiting)} waiting will not be let in; who was let in finishes.`,
    fields: ["reason"],
    done: "Closed.",
  },
  bypass: {
    label: "Bypass",
    role: "admin",
    states: ["scheduled", "open", "paused", "closed"],
    text: () => "EVERYONE passes without a place for so long, whatever the site can bear. The state before comes back by itself.",
    fields: ["for", "reason"],
    done: "Everyone passes now.",
  },
};

const FIELDS = ["message", "releases_only", "for", "reason"];

const dialog = /** @type {HTMLDialogElement} */ (byId("act"));
let meantAct = "";
let isActing = false;

function makeActButtons() {
  for (const [name, act] of Object.entries(ACTS)) {
    const button = /** @type {HTMLButtonElement} */ (made("button", `${act.label}…`));
    button.id = `do-${name}`;
    button.type = "button";
    button.addEventListener("click", () => ask(name));
    byId("acts").append(button);
  }
}

/** @param {any} doc */
function renderActs(doc) {
  const isOffered = may("release");
  show("release-card", isOffered);
  show("acts-card", isOffered);
  show("release-not", doc.state !== "open");
  write("release-not", `Nobody can be let in by hand now. The event's state: ${words.state(doc)}.`);
  renderRelease();
  const focused = document.activeElement;
  for (const [name, act] of Object.entries(ACTS)) {
    show(`do-${name}`, may(act.role) && act.states.includes(doc.state));
  }
  // The button that was pressed may be gone with what it did.
  if (focused instanceof HTMLElement && focused.id.startsWith("do-") && focused.hidden) focusActs();
}

function focusActs() {
  const first = /** @type {HTMLElement | null} */ (byId("acts").querySelector("button:not([hidden])"));
  first?.focus();
}

/** @param {string} name */
function ask(name) {
  const act = ACTS[name];
  meantAct = name;
  write("act-title", `${act.label} ${shown.event}?`);
  write("act-text", act.text(shown.picture));
  write("act-problem", "");
  write("act-do", name === "message" ? "Show this message" : `${act.label} now`);
  for (const field of FIELDS) show(`field-${field}`, act.fields.includes(field));
  input("act-message").value = shown.picture.message;
  input("act-releases_only").checked = false;
  input("act-for").value = "10m";
  input("act-reason").value = "";
  dialog.showModal();
}

/** Collect what the dialog asks for, under the names of the interface. */
function collected() {
  /** @type {Record<string, string | boolean>} */
  const held = {};
  for (const field of ACTS[meantAct].fields) {
    const from = input(`act-${field}`);
    held[field] = from.type === "checkbox" ? from.checked : from.value.trim();
  }
  return held;
}

async function carryOut() {
  if (isActing) return;
  isActing = true;
  const name = meantAct;
  byId("act-do").setAttribute("aria-disabled", "true");
  write("act-problem", "");
  const answer =
    name === "message"
      ? await post("message", collected())
      : // The dialog was the question.
        await post("state", { change: name, confirm: true, ...collected() });
  isActing = false;
  byId("act-do").setAttribute("aria-disabled", "false");
  if (!isGood(answer)) return write("act-problem", words.trouble(answer));
  dialog.close();
  say(ACTS[name].done);
  logAt = -Infinity;
  lookSoon();
}

/**
 * Ask for a change of the event that is looked at.
 *
 * @param {string} verb
 * @param {Record<string, unknown>} body
 * @returns {Promise<Answer>}
 */
async function post(verb, body) {
  const answer = await call("POST", `events/${shown.event}/${verb}`, body);
  if (answer.status === 401) isHeard(answer);
  return answer;
}

// --- The session -----------------------------------------------------------------------------------------

/** @param {string} why said above the form; empty for nothing */
function toLogin(why) {
  begin();
  shown.session = null;
  shown.view = "login";
  show("login-why", why !== "");
  write("login-why", why);
  write("login-problem", "");
  if (dialog.open) dialog.close();
  render();
  input("key").focus();
  if (why) say(why);
}

async function logIn() {
  const button = /** @type {HTMLButtonElement} */ (byId("login-button"));
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  write("login-problem", "");
  const answer = await call("POST", "session", { key: input("key").value.trim() });
  button.setAttribute("aria-disabled", "false");
  if (isGood(answer)) {
    input("key").value = "";
    shown.session = answer.body;
    return goWhereTheAddressSays();
  }
  // A key that was refused is typed anew; one that never arrived is not.
  if (answer.status === 401) input("key").value = "";
  write("login-problem", words.trouble(answer));
  input("key").focus();
}

async function logOut() {
  const answer = await call("DELETE", "session");
  if (isGood(answer) || answer.status === 401) return toLogin("You are logged out.");
  write("account-problem", `You are still logged in. ${words.trouble(answer)}`);
}

/** Forget all that belonged to what was shown before. */
function begin() {
  epoch += 1;
  clearTimeout(looking);
  Object.assign(shown, { picture: null, list: null, trouble: "", freshAt: now() });
  intent = null;
  logAt = -Infinity;
  spokenState = "";
  for (const id of ["log", "gateways"]) {
    byId(id).replaceChildren();
    delete byId(id).dataset.said;
  }
  for (const id of ["release-problem", "intent-problem", "account-problem"]) write(id, "");
  show("released", false);
  show("log-note", false);
}

async function goWhereTheAddressSays() {
  if (shown.session === null) return;
  begin();
  shown.event = /^#\/([a-z0-9][a-z0-9-]{0,62})$/.exec(location.hash)?.[1] ?? "";
  shown.view = "loading";
  render();
  const asked = epoch;
  await look();
  if (asked !== epoch || shown.session === null) return;
  const title = byId(shown.event === "" ? "events-title" : "event-name");
  title.tabIndex = -1;
  title.focus();
}

async function start() {
  const answer = await call("GET", "session");
  if (answer.status === 401) return toLogin("");
  if (isGood(answer)) {
    shown.session = answer.body;
    return goWhereTheAddressSays();
  }
  show("away", true);
  write("away", words.trouble(answer));
  setTimeout(start, LOOK_AT_LIST_EVERY * 1000);
}

/** @param {string} id @param {string} kind @param {() => void} run */
function on(id, kind, run) {
  byId(id).addEventListener(kind, (happened) => {
    happened.preventDefault();
    run();
  });
}

makeActButtons();
on("login", "submit", logIn);
on("logout", "click", logOut);
on("release", "submit", tryRelease);
on("intent", "submit", doRelease);
on("release-cancel", "click", cancelRelease);
on("act-form", "submit", carryOut);
on("act-cancel", "click", () => dialog.close());
window.addEventListener("hashchange", goWhereTheAddressSays);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && shown.session !== null) lookSoon();
});
window.addEventListener("beforeunload", (leaving) => {
  // The name of a release that may have happened would be gone: pressed again, it would be another one.
  if (intent?.isUnderWay || intent?.mayHaveHappened) leaving.preventDefault();
});
setInterval(() => {
  if (shown.session !== null) renderAge();
}, 1000);
start();
