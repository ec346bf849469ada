/**
 * What else an operator does with an event: a button each, and one dialog that says what it means.
 */

import { isGood } from "./calls.js";
import { lookAnew, post } from "./looking.js";
import { byId, input, made, show, write } from "./page.js";
import { renderRelease } from "./release.js";
import { may, shown } from "./shown.js";
import { say } from "./speech.js";
import * as words from "./words.js";

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

export function makeActButtons() {
  for (const [name, act] of Object.entries(ACTS)) {
    const button = /** @type {HTMLButtonElement} */ (made("button", `${act.label}…`));
    button.id = `do-${name}`;
    button.type = "button";
    button.addEventListener("click", () => ask(name));
    byId("acts").append(button);
  }
}

/** @param {any} doc */
export function renderActs(doc) {
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

export async function carryOut() {
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
  lookAnew();
}

export function closeDialog() {
  if (dialog.open) dialog.close();
}
