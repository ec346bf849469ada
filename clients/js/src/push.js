/**
 * News that something has moved, over Server-Sent Events read by fetch, or over a WebSocket where bodies cannot
 * be read as they come (React Native). What is pushed is a hint and believed by nobody: the signed document is.
 */

const DEFAULT_HEARTBEAT = 15;

/** Says that there is no push for so many seconds, where the server says how many. */
export class NoPush extends Error {
  /** @param {string} why @param {number | null} [pause] seconds */
  constructor(why, pause = null) {
    super(why);
    this.pause = pause;
  }
}

/**
 * @param {string | undefined} wish
 * @param {{fetch: typeof fetch, WebSocket?: typeof WebSocket}} tools
 * @returns {"events" | "websocket" | "none"}
 */
export function channelFor(wish, tools) {
  if (wish !== undefined && wish !== "auto") return /** @type {any} */ (wish);
  const canRead = typeof ReadableStream !== "undefined" && typeof TextDecoder !== "undefined";
  // React Native has a fetch whose bodies come whole.
  const isNative = globalThis.navigator?.product === "ReactNative";
  if (canRead && !isNative) return "events";
  return tools.WebSocket === undefined ? "none" : "websocket";
}

/**
 * Listen until it fails. Two heartbeats of silence are a failure.
 *
 * @param {"events" | "websocket"} channel
 * @param {{base: string, fetch: typeof fetch, WebSocket?: typeof WebSocket, signal: AbortSignal,
 *   hear: (found: any) => void}} call
 * @returns {Promise<never>}
 * @throws {NoPush}
 */
export async function listen(channel, call) {
  const silence = new AbortController();
  const stop = () => silence.abort();
  call.signal.addEventListener("abort", stop);
  let heartbeat = DEFAULT_HEARTBEAT;
  /** @type {any} */
  let timer;
  const heardSomething = () => {
    clearTimeout(timer);
    timer = setTimeout(stop, 2 * heartbeat * 1000);
  };
  heardSomething();
  const hear = (/** @type {string} */ text) => {
    let found;
    try {
      found = JSON.parse(text);
    } catch {
      throw new NoPush("what was pushed is no JSON");
    }
    heartbeat = found?.poll?.heartbeat || DEFAULT_HEARTBEAT;
    heardSomething();
    call.hear(found);
  };
  try {
    const listening = channel === "events" ? overEvents : overSocket;
    await listening({ ...call, hear, signal: silence.signal });
  } catch (failure) {
    if (failure instanceof NoPush) throw failure;
    throw new NoPush(silence.signal.aborted ? "silent" : String(failure));
  } finally {
    clearTimeout(timer);
    call.signal.removeEventListener("abort", stop);
  }
  throw new NoPush("ended");
}

/** @param {any} call */
async function overEvents({ base, fetch, signal, hear }) {
  const headers = { accept: "text/event-stream" };
  const answer = await fetch(`${base}/events`, { headers, signal, cache: "no-store", credentials: "omit" });
  const pause = Number(answer.headers.get("retry-after")) || null;
  if (answer.status !== 200 || !answer.body) throw new NoPush(`status ${answer.status}`, pause);
  const reader = answer.body.getReader();
  const words = new TextDecoder();
  let rest = "";
  let retry = null;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new NoPush("ended", retry);
    const blocks = (rest + words.decode(value, { stream: true })).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block.split("\n").map((line) => [line.split(": ", 1)[0], line.slice(line.indexOf(": ") + 2)]),
      );
      if (fields.retry !== undefined) retry = Number(fields.retry) / 1000 || null;
      if (fields.event === "refused") throw new NoPush("refused", refusedFor(fields.data));
      if (fields.event === "pointer") hear(fields.data);
    }
  }
}

/** @param {string} data */
function refusedFor(data) {
  try {
    return Number(JSON.parse(data).retry_after) || null;
  } catch {
    return null;
  }
}

/** @param {any} call */
function overSocket({ base, WebSocket, signal, hear }) {
  return new Promise((_, reject) => {
    const socket = new WebSocket(`${base.replace(/^http/, "ws")}/ws`);
    signal.addEventListener("abort", () => {
      socket.close();
      reject(new NoPush("silent"));
    });
    socket.onmessage = (/** @type {any} */ message) => {
      try {
        hear(message.data);
      } catch (failure) {
        socket.close();
        reject(failure);
      }
    };
    socket.onerror = () => reject(new NoPush("failed"));
    socket.onclose = (/** @type {any} */ end) => reject(new NoPush(`closed ${end.code}`));
  });
}
