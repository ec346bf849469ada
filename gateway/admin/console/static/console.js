/**
 * The operator console: asks the admin interface how an event stands, shows it, and carries out what the
 * operator presses. It knows nothing by itself: who may do what, and what happens, the gateway decides.
 *
 * Here is the page as a whole: which view, how old, whose session. The parts: `looking.js` asks, `numbers.js`
 * and `speech.js` tell, `release.js` and `acts.js` act, each by what is in `shown.js`.
 */

import { carryOut, closeDialog, makeActButtons, renderActs } from "./acts.js";
import { call, isGood } from "./calls.js";
import { look, lookSoon, showOn, stopLooking } from "./looking.js";
import { renderEvent, renderList } from "./numbers.js";
import { byId, input, on, show, write } from "./page.js";
import { cancelRelease, doRelease, forgetIntent, isInDoubt, tryRelease } from "./release.js";
import { age, hasNumbers, isStale, LOOK_AT_LIST_EVERY, now, shown } from "./shown.js";
import { say, speakAnew, speakOf } from "./speech.js";
import * as words from "./words.js";

// --- The view --------------------------------------------------------------------------------------------

function render() {
  for (const view of ["loading", "login", "events", "event"]) show(`view-${view}`, shown.view === view);
  show("account", shown.session !== null);
  if (shown.session !== null) write("who", `${shown.session.name} (${shown.session.role})`);
  if (shown.view === "events") renderList();
  if (shown.view === "event") {
    renderEvent(shown.picture);
    renderActs(shown.picture);
  }
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

// --- The session -----------------------------------------------------------------------------------------

/** @param {string} why said above the form; empty for nothing */
function toLogin(why) {
  begin();
  shown.session = null;
  shown.view = "login";
  show("login-why", why !== "");
  write("login-why", why);
  write("login-problem", "");
  closeDialog();
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
  shown.epoch += 1;
  stopLooking();
  Object.assign(shown, { picture: null, list: null, trouble: "", freshAt: now() });
  forgetIntent();
  speakAnew();
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
  const asked = shown.epoch;
  await look();
  if (asked !== shown.epoch || shown.session === null) return;
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

makeActButtons();
showOn({ render, toLogin });
on("login", "submit", logIn);
on("logout", "click", logOut);
on("release", "submit", tryRelease);
on("intent", "submit", doRelease);
on("release-cancel", "click", cancelRelease);
on("act-form", "submit", carryOut);
on("act-cancel", "click", closeDialog);
window.addEventListener("hashchange", goWhereTheAddressSays);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && shown.session !== null) lookSoon();
});
window.addEventListener("beforeunload", (leaving) => {
  // The name of a release that may have happened would be gone: pressed again, it would be another one.
  if (isInDoubt()) leaving.preventDefault();
});
setInterval(() => {
  if (shown.session !== null) renderAge();
}, 1000);
start();
