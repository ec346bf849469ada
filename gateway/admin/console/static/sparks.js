/**
 * Small lines that show how a number moved, drawn as SVG, with a text that says the same.
 */

import { number } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 20;

/**
 * Return the stretches of a series in which it is known, as points: x counts the ticks, y from the top.
 *
 * @param {(number | null)[]} values
 * @returns {[number, number][][]}
 */
export function stretches(values) {
  const top = Math.max(...values.map((held) => held ?? 0), 1);
  /** @type {[number, number][][]} */
  const found = [];
  let isOpen = false;
  values.forEach((held, tick) => {
    if (held === null) {
      isOpen = false;
      return;
    }
    if (!isOpen) found.push([]);
    isOpen = true;
    found[found.length - 1].push([tick, Math.round((1 - held / top) * HEIGHT * 10) / 10]);
  });
  return found;
}

/**
 * Say what a line shows.
 *
 * @param {string} name
 * @param {(number | null)[]} values
 * @param {string} span such as `the last 10 min`
 */
export function spoken(name, values, span) {
  const known = values.filter((held) => held !== null);
  if (known.length === 0) return `${name}: nothing is known of ${span}`;
  const lowest = number(Math.min(...known));
  const highest = number(Math.max(...known));
  return `${name} over ${span}: lowest ${lowest}, highest ${highest}, now ${number(known[known.length - 1])}`;
}

/** @param {string} name @param {Record<string, string>} attributes */
function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, held] of Object.entries(attributes)) made.setAttribute(key, held);
  return made;
}

/**
 * Draw a series into an element; the same series again changes nothing.
 *
 * @param {HTMLElement} place
 * @param {string} label
 * @param {(number | null)[]} values
 */
export function draw(place, label, values) {
  const key = JSON.stringify([label, values]);
  if (place.dataset.drawn === key) return;
  place.dataset.drawn = key;
  const picture = element("svg", {
    role: "img",
    "aria-label": label,
    viewBox: `0 0 ${Math.max(values.length - 1, 1)} ${HEIGHT}`,
    preserveAspectRatio: "none",
  });
  for (const points of stretches(values)) {
    const line = points.map(([x, y]) => `${x} ${y}`).join(" L");
    const [first, last] = [points[0][0], points[points.length - 1][0]];
    picture.append(
      element("path", { class: "under", d: `M${first} ${HEIGHT} L${line} L${last} ${HEIGHT} Z` }),
      element("path", { d: points.length === 1 ? `M${line} h.5` : `M${line}` }),
    );
  }
  place.replaceChildren(picture);
}
