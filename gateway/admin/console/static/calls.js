/**
 * Calls to the admin interface, which is beside the page. The key goes there once and is kept nowhere: the
 * answer sets a cookie that no script can read.
 */

const TIMEOUT_MS = 8000;

/** @typedef {{status: number, body: any}} Answer status 0: no answer came */

/** @type {Answer} */
const NO_ANSWER = { status: 0, body: {} };

/**
 * @param {"GET" | "POST" | "DELETE"} method
 * @param {string} path below the page's own address
 * @param {unknown} [body]
 * @returns {Promise<Answer>}
 */
export async function call(method, path, body) {
  /** @type {Record<string, string>} */
  const headers = { accept: "application/json" };
  if (method !== "GET") {
    // No other site's page can send this field, nor JSON, without asking first (Fetch, CORS-preflight).
    headers["operator-request"] = "1";
    headers["content-type"] = "application/json";
  }
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), TIMEOUT_MS);
  try {
    const answer = await fetch(path, {
      method,
      headers,
      body: method === "GET" ? undefined : JSON.stringify(body ?? {}),
      cache: "no-store",
      redirect: "error",
      signal: giveUp.signal,
    });
    const text = await answer.text();
    return { status: answer.status, body: text === "" ? {} : JSON.parse(text) };
  } catch {
    // Also a body that breaks off: what it would have said is not known.
    return NO_ANSWER;
  } finally {
    clearTimeout(timer);
  }
}

/** @param {Answer} answer */
export const isGood = (answer) => answer.status >= 200 && answer.status < 300;

/**
 * Say whether something asked for may have happened although no good answer came.
 *
 * @param {Answer} answer
 */
export const isUnknown = (answer) => answer.status === 0 || answer.status >= 500;

/** Make a name for one intention: asked for twice under it, it happens once. */
export function newName() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return "console-" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
