/** The calls of a client over HTTP, and the server's clock as they tell it. */

// Seconds.
const CALL_TIMEOUT = 10;

/** @typedef {{status: number, body: any, text: string, retryAfter: number}} Answer status 0: no answer came */

/** @type {Answer} */
export const NO_ANSWER = { status: 0, body: {}, text: "", retryAfter: 0 };

/** No answer, or one that says nothing of the visitor: to be asked again later. */
export class Trouble extends Error {
  /** @param {Answer} answer */
  constructor(answer) {
    super(answer.status === 0 ? "no answer" : `status ${answer.status}`);
    this.answer = answer;
  }
}

/** @param {Answer} answer */
export const isTrouble = (answer) => answer.status === 0 || answer.status >= 500;

/** @param {Answer} answer */
export function refuseTrouble(answer) {
  if (isTrouble(answer)) throw new Trouble(answer);
  return answer;
}

/** Calls one event of one gateway. */
export class Calls {
  #base;
  #origin;
  #tools;
  #credentials;

  /** The server's clock: Unix seconds when this process's own stood at `at`. */
  /** @type {{unix: number, at: number} | null} */
  #clock = null;

  online = true;

  /**
   * @param {string} origin
   * @param {string} event
   * @param {{fetch: typeof fetch, now: () => number}} tools
   * @param {RequestCredentials} credentials
   */
  constructor(origin, event, tools, credentials) {
    this.#origin = origin;
    this.#base = `${origin}/queue/${event}`;
    this.#tools = tools;
    this.#credentials = credentials;
  }

  get base() {
    return this.#base;
  }

  jwks() {
    return this.#call("GET", `${this.#origin}/.well-known/jwks.json`);
  }

  /** @param {string} verb */
  get(verb) {
    return this.#call("GET", `${this.#base}/${verb}`);
  }

  /** @param {string} verb @param {Record<string, string>} headers @param {string} [body] */
  post(verb, headers, body = undefined) {
    return this.#call("POST", `${this.#base}/${verb}`, headers, body);
  }

  /** The server's time never goes back here. @param {number} unix */
  heardTime(unix) {
    const known = this.serverNow();
    if (known === null || unix > known) this.#clock = { unix, at: this.#tools.now() };
  }

  /** Unix seconds; null while no server has told them since the start. */
  serverNow() {
    return this.#clock === null ? null : this.#clock.unix + this.#tools.now() - this.#clock.at;
  }

  /**
   * @param {string} method
   * @param {string} url
   * @param {Record<string, string>} [headers]
   * @param {string} [body]
   * @returns {Promise<Answer>}
   */
  async #call(method, url, headers = {}, body = undefined) {
    const giveUp = new AbortController();
    const timer = setTimeout(() => giveUp.abort(), CALL_TIMEOUT * 1000);
    try {
      const answer = await this.#tools.fetch(url, {
        method,
        headers: { accept: "application/json, application/jose", ...headers },
        body,
        cache: "no-store",
        credentials: this.#credentials,
        signal: giveUp.signal,
      });
      const text = await answer.text();
      if (giveUp.signal.aborted) throw new Trouble(NO_ANSWER);
      this.online = true;
      const date = Date.parse(answer.headers.get("date") ?? "");
      if (date) this.heardTime(date / 1000);
      const isJson = (answer.headers.get("content-type") ?? "").includes("json");
      return {
        status: answer.status,
        text,
        body: isJson ? JSON.parse(text) : {},
        retryAfter: Number(answer.headers.get("retry-after")) || 0,
      };
    } catch {
      this.online = false;
      return NO_ANSWER;
    } finally {
      clearTimeout(timer);
    }
  }
}
