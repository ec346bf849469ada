/**
 * The list of events, and one event in numbers.
 */

import { byId, list, made, show, write } from "./page.js";
import { shown } from "./shown.js";
import { draw, spoken } from "./sparks.js";
import * as words from "./words.js";

const SPAN = "the last 10 min";

export function renderList() {
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
export function sessionsOf(doc) {
  const sessions = words.number(doc.active_sessions);
  return doc.max_sessions === null ? sessions : `${sessions} of ${words.number(doc.max_sessions)}`;
}

/** @param {any} doc */
export function renderEvent(doc) {
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
export function renderLog(entries) {
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
