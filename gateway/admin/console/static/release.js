/**
 * Letting people in: what a release would do, one question, and the release; under one name it happens once.
 */

import { isGood, isUnknown, newName } from "./calls.js";
import { lookAnew, post } from "./looking.js";
import { byId, input, list, show, write } from "./page.js";
import { shown } from "./shown.js";
import * as words from "./words.js";

/**
 * @typedef {import("./calls.js").Answer} Answer
 * @typedef {{by: number, id: string, confirm: boolean, isUnderWay: boolean, mayHaveHappened: boolean}} Intent
 */

const LARGEST = 999_999_999;

/** @type {Intent | null} one release that the operator means; its name is made once */
let intent = null;
let isTrying = false;

/** Ask what a release would do; nothing happens yet. */
export async function tryRelease() {
  if (isTrying || intent !== null) return;
  const by = words.count(input("release-by").value);
  show("released", false);
  if (by === null || by < 1 || by > LARGEST) {
    write("release-problem", "Write how many people to let in: a whole number from 1.");
    input("release-by").focus();
    return;
  }
  write("release-problem", "");
  const asked = shown.epoch;
  isTrying = true;
  const answer = await post("release", { by, dry_run: true });
  isTrying = false;
  if (asked !== shown.epoch) return;
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
export async function doRelease() {
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
  if (done.people === 0) return "Nobody else waits: nobody was let in. Release again when people have joined.";
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
  lookAnew();
}

export function cancelRelease() {
  if (intent?.isUnderWay) return;
  endIntent(intent?.mayHaveHappened ? "It may have happened or not: see the last acts before you let in more." : "");
}

/** Forget what was meant: another event, or nobody, is looked at now. */
export function forgetIntent() {
  intent = null;
}

/** Whether a release is under way, or may have happened: its name must not be lost. */
export const isInDoubt = () => intent !== null && (intent.isUnderWay || intent.mayHaveHappened);

export function renderRelease() {
  show("release", intent === null && byId("release-not").hidden);
  show("intent", intent !== null);
  for (const id of ["release-do", "release-cancel"]) {
    // Not `disabled`: that would take the focus away from whoever pressed it.
    byId(id).setAttribute("aria-disabled", String(intent?.isUnderWay ?? false));
  }
}
