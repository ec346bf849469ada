/**
 * The elements of the page, found by their ids, written into as text.
 */

/** @param {string} id @returns {HTMLElement} */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

/** @param {string} id */
export const input = (id) => /** @type {HTMLInputElement} */ (byId(id));

/** @param {string} id @param {string} text */
export function write(id, text) {
  const node = byId(id);
  // Written only when it changes: a screen reader takes every writing for news.
  if (node.textContent !== text) node.textContent = text;
}

/** @param {string} id @param {boolean} isShown */
export function show(id, isShown) {
  byId(id).hidden = !isShown;
}

/** @param {string} id @param {string[]} texts */
export function list(id, texts) {
  const node = byId(id);
  if (node.dataset.said === JSON.stringify(texts)) return;
  node.dataset.said = JSON.stringify(texts);
  node.replaceChildren(...texts.map((text) => made("li", text)));
}

/** @param {string} tag @param {string} text @param {string} [className] */
export function made(tag, text, className = "") {
  const node = document.createElement(tag);
  node.textContent = text;
  if (className) node.className = className;
  return node;
}

/** @param {string} id @param {string} kind @param {() => void} run */
export function on(id, kind, run) {
  byId(id).addEventListener(kind, (happened) => {
    happened.preventDefault();
    run();
  });
}
