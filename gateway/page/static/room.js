/**
 * The waiting page: asks where the visitor stands, listens to the public pointer document, shows what follows
 * from both, and lets the visitor in when the turn comes.
 *
 * Everything that can be decided without a browser is in `place.js`. What is left falls into these parts:
 * the page's memory, calls to the gateway, the feed of documents, the state and what changes it, the turn,
 * alerts, and the view. One second hand (`tick`) drives all that happens later, so that a machine which slept
 * wakes to one question instead of a heap of late timers.
 */

import {
  enterDelay,
  mayHoldFor,
  newerDocument,
  peopleAhead,
  phaseOf,
  pollAfter,
  progressOf,
  retryAfter,
  showNext,
  spreadOver,
  timeLeft,
  waitAt,
  whenFull,
  wording,
} from "./place.js";

/**
 * @typedef {import("./place.js").PointerDocument} PointerDocument
 * @typedef {import("./place.js").Shown} Shown
 *
 * @typedef {object} Place what `position` and `join` say, and what this page adds
 * @property {number} generation
 * @property {number} position
 * @property {number | null} turn null before the draw
 * @property {number | null} headStart turns granted by an invitation; null where the gateway did not say
 * @property {number} aheadAtFirst
 * @property {number} turnSeenAt when the turn was first seen, in ms of the device's clock; 0 for not yet
 * @property {number} refreshedAt when the token was last renewed, in ms of the device's clock
 *
 * @typedef {{status: number, body: any, retryAfter: number, date: string}} Answer status 0: no answer came
 */

const root = document.documentElement;
const base = document.body.dataset.base ?? "";
const leaveDialog = /** @type {HTMLDialogElement} */ (byId("leave-dialog"));
const event = root.dataset.event ?? "";
const words = wording(JSON.parse(byId("queue-texts").textContent ?? "{}"), root.lang);
// Only handed on: which addresses are of this site is for the server to say.
const returnTo = new URLSearchParams(location.search).get("return_to");

// Seconds.
const CALL_TIMEOUT = 10;
const ENTER_AFTER = 5;
// Left over of the window: much on a hidden tab, whose timers run late, little where somebody looks.
const HOLD_MARGIN = 120;
const SEEN_MARGIN = 30;
const PROVE_WITHIN = 5;
const FIRST_WORD_WITHIN = 4;
const SPEAK_EVERY = 30;
const RING_EVERY = 60;
const LOOK_EVERY = 2;
const REFRESH_EVERY = 86_400;
const DEFAULT_HEARTBEAT = 15;
// Browsers let the timers of a hidden tab run once a minute: a longer gap means that the machine slept.
const SLEPT_AFTER = 90;

/** Seconds of a clock that nobody can set. */
const now = () => performance.now() / 1000;

/** @param {string} id @returns {HTMLElement} */
function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

// --- Memory: forgetful where storage is not allowed ------------------------------------------------------

/** @param {() => Storage} storage asked for each time: where it is not allowed, asking throws */
function memoryIn(storage) {
  /** @type {Map<string, string>} */
  const withoutStorage = new Map();
  return {
    /** @param {string} name @returns {any} null where nothing is kept */
    get(name) {
      const key = `queue:${event}:${name}`;
      try {
        return JSON.parse(storage().getItem(key) ?? "null");
      } catch {
        return JSON.parse(withoutStorage.get(key) ?? "null");
      }
    },
    /** @param {string} name @param {unknown} value */
    set(name, value) {
      const key = `queue:${event}:${name}`;
      withoutStorage.set(key, JSON.stringify(value));
      try {
        storage().setItem(key, JSON.stringify(value));
      } catch {
        // Full, or not allowed: this page still remembers until it is closed.
      }
    },
  };
}

/** Shared by all tabs of this browser. */
const memory = memoryIn(() => localStorage);
const memoryOfTab = memoryIn(() => sessionStorage);

/** Say whether a cookie that is set is kept: without one, a place would be dealt and lost at once. */
function cookiesWork() {
  // Not the plain page's name: its cookie is not shown to scripts, and could not be written over.
  const name = `queue-script-check-${event}`;
  try {
    document.cookie = `${name}=1; Path=${base}; Max-Age=60; SameSite=Lax`;
    return navigator.cookieEnabled && document.cookie.includes(`${name}=1`);
  } catch {
    return false;
  }
}

/** Make the key by which a repeated join is known: the same for all tabs until one has succeeded. */
function joinKey() {
  const kept = memory.get("join-key");
  if (typeof kept === "string") return kept;
  const bytes = crypto.getRandomValues(new Uint8Array(18));
  const key = btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_");
  memory.set("join-key", key);
  // As it stands now: another tab may have written at the same moment.
  return memory.get("join-key") ?? key;
}

// --- Later: what is due runs at the next tick -----------------------------------------------------------

/** @type {Map<string, {at: number, run: () => void}>} */
const due = new Map();

/** @param {string} name of which there is one at a time @param {number} seconds @param {() => void} run */
function later(name, seconds, run) {
  due.set(name, { at: now() + seconds, run });
}

/** Drop what was planned for a place that is no more; the feed goes on. */
function dropPlans() {
  for (const name of ["ask", "join", "claim", "leave"]) due.delete(name);
}

function runWhatIsDue() {
  for (const [name, { at, run }] of [...due]) {
    if (at > now()) continue;
    due.delete(name);
    run();
  }
}

// --- Calls to the gateway -------------------------------------------------------------------------------

/** The server's clock: the device's own may be wrong by hours. */
let serverAhead = Date.now() - performance.now();
const serverNow = () => serverAhead + performance.now();

/** @type {Answer} */
const NO_ANSWER = { status: 0, body: {}, retryAfter: 0, date: "" };

/**
 * Fetch a JSON document, and give up on what is not answered in time.
 *
 * @param {string} url
 * @param {RequestInit} options
 * @returns {Promise<Answer>}
 */
async function request(url, options) {
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), CALL_TIMEOUT * 1000);
  try {
    const answer = await fetch(url, { ...options, signal: giveUp.signal });
    const body = await answer.json().catch(() => ({}));
    // The head of an answer may come, and its body never.
    if (giveUp.signal.aborted) return NO_ANSWER;
    const wait = Number(answer.headers.get("retry-after")) || 0;
    const date = answer.headers.get("date") ?? "";
    return { status: answer.status, body, retryAfter: wait, date };
  } catch {
    return NO_ANSWER;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @param {"GET" | "POST"} method
 * @param {string} verb below `/queue/{event}/`
 * @param {Record<string, string>} [headers]
 * @returns {Promise<Answer>}
 */
async function call(method, verb, headers = {}) {
  const answer = await request(base + verb, {
    method,
    headers: { accept: "application/json", ...headers },
    cache: "no-store",
  });
  const date = Date.parse(answer.date);
  if (date) serverAhead = date - performance.now();
  return answer;
}

/** @param {Answer} answer */
const isTrouble = (answer) => answer.status === 0 || answer.status >= 500;

let failures = 0;

/**
 * Say when to repeat a call that failed: no sooner than the server asks, never in step with others.
 *
 * @param {Answer} answer
 */
function repeatAfter(answer) {
  failures += 1;
  return pauseAfter(answer, failures);
}

/** @param {Answer} answer @param {number} inARow */
function pauseAfter(answer, inARow) {
  return Math.max(answer.retryAfter * (1 + Math.random() / 4), retryAfter(inARow, Math.random()));
}

/**
 * Run something in one tab at a time, or just run it where the browser gives no locks: most give them only
 * over TLS, some refuse them with cookies. The idempotency key and the cookie keep one place without.
 *
 * @param {string} name
 * @param {() => Promise<void>} run
 */
async function alone(name, run) {
  let hasBegun = false;
  const begin = () => {
    hasBegun = true;
    return run();
  };
  try {
    await navigator.locks.request(`queue:${event}:${name}`, begin);
  } catch (refusal) {
    if (hasBegun) throw refusal;
    await run();
  }
}

/** Open the channel between this browser's tabs; null where it has none, or refuses it. */
function channelToOthers() {
  try {
    return new BroadcastChannel(`queue:${event}`);
  } catch {
    return null;
  }
}

// --- The feed: one stream for all tabs, polling where there is none ------------------------------------

/**
 * One tab holds the stream and tells the others. A stream that fails, is refused, or is silent for two
 * heartbeats is given up; the tab polls, and tries a stream again later.
 *
 * @param {(found: PointerDocument) => void} hear
 * @param {() => number} pollSeconds
 */
function openFeed(hear, pollSeconds) {
  /** @type {EventSource | null} */
  let stream = null;
  let release = () => {};
  let isLeading = false;
  let running = false;
  let streamFailures = 0;
  let heartbeat = DEFAULT_HEARTBEAT;
  let heardAt = now();
  // While nothing else speaks.
  let isPolling = false;
  let pollUnderWay = false;
  let pollFailures = 0;
  const others = channelToOthers();
  others?.addEventListener("message", ({ data }) => {
    if (data.pointer !== undefined) heard(data.pointer, "another tab");
    if (data.place !== undefined) placeChangedElsewhere(data.place);
  });

  /** @param {PointerDocument} found @param {string} by */
  function heard(found, by) {
    if (found.event !== event) return;
    heardAt = now();
    heartbeat = found.poll.heartbeat;
    document.body.dataset.feed = by;
    if (by !== "poll") stopPolling();
    if (isLeading && by !== "another tab") others?.postMessage({ pointer: found });
    hear(found);
  }

  function connect() {
    closeStream();
    stream = new EventSource(`${base}events`);
    stream.addEventListener("pointer", (message) => {
      streamFailures = 0;
      heard(JSON.parse(message.data), "stream");
    });
    stream.addEventListener("refused", (message) => fail(JSON.parse(message.data).retry_after));
    stream.addEventListener("error", interrupted);
  }

  function closeStream() {
    stream?.close();
    stream = null;
  }

  /** The browser comes back once, when the server has told it to; what fails again is given longer pauses. */
  function interrupted() {
    streamFailures += 1;
    if (stream?.readyState === EventSource.CONNECTING && streamFailures === 1) pollSoon();
    else fail();
  }

  /** @param {number} [pause] seconds, where the server says for how long */
  function fail(pause = retryAfter(streamFailures + 1, Math.random())) {
    closeStream();
    later("stream", pause, connect);
    pollSoon();
  }

  function pollSoon() {
    pollWithin(pollSeconds() * Math.random());
  }

  /** @param {number} seconds */
  function pollWithin(seconds) {
    isPolling = true;
    if (!due.has("poll") && !pollUnderWay) later("poll", seconds, poll);
  }

  function stopPolling() {
    isPolling = false;
    pollFailures = 0;
    due.delete("poll");
  }

  async function poll() {
    pollUnderWay = true;
    // By the browser's cache, unlike a call: caches on the way may hold the document for everyone.
    const answer = await request(base.slice(0, -1), { headers: { accept: "application/json" } });
    pollUnderWay = false;
    if (!isPolling) return;
    if (answer.status === 200) heard(answer.body, "poll");
    else if (isTrouble(answer)) connectionLost();
    // What was heard may have ended it all.
    if (isPolling) later("poll", pollAgainAfter(answer), poll);
  }

  /** @param {Answer} answer */
  function pollAgainAfter(answer) {
    pollFailures = answer.status === 200 ? 0 : pollFailures + 1;
    if (pollFailures === 0) return pollSeconds();
    return Math.max(pollSeconds(), pauseAfter(answer, pollFailures));
  }

  function lead() {
    if (others === null) connect();
    else alone("stream", leadUntilReleased);
  }

  async function leadUntilReleased() {
    if (!running) return;
    isLeading = true;
    connect();
    await new Promise((resolve) => {
      release = () => resolve(undefined);
    });
  }

  /** A stream may be held back on its way, without an error: do not wait for it to be called silent. */
  function expectFirstWord() {
    heardAt = now();
    pollWithin(FIRST_WORD_WITHIN * (1 + Math.random() / 4));
  }

  return {
    start() {
      if (running) return;
      running = true;
      expectFirstWord();
      lead();
    },

    /** A page that is put away must hold neither lock nor stream: another tab takes over. */
    stop() {
      running = false;
      closeStream();
      stopPolling();
      due.delete("stream");
      isLeading = false;
      release();
    },

    /** Trust no connection: the machine slept, or the network was away. */
    restart() {
      if (!running) return;
      streamFailures = 0;
      // Or the silence of the sleep would count against the new stream.
      expectFirstWord();
      if (stream !== null || due.has("stream")) connect();
    },

    tick() {
      if (!running || now() - heardAt <= 2 * heartbeat) return;
      if (stream === null) return pollSoon();
      streamFailures += 1;
      fail();
    },

    /** @param {"joined" | "left"} change */
    tellOthers(change) {
      others?.postMessage({ place: change });
    },
  };
}

// --- The state, and what changes it --------------------------------------------------------------------

const state = {
  /** @type {import("./place.js").Stage} */
  stage: "loading",
  /** @type {"ok" | "lost" | "offline"} */
  connection: "ok",
  /** @type {Place | null} */
  place: memory.get("place"),
  /** @type {PointerDocument | null} As remembered, until a fresh one comes. */
  pointer: memory.get("pointer"),
  /** Where the pointer stood before it last moved. */
  servedBefore: 0,
  /** The most places that a document has told of: so many pages may be doing what this one does. */
  crowd: 0,
  /** Unix ms of the server's clock; 0 while nothing was heard. */
  heardAt: 0,
  /** @type {Shown | null} */
  shown: null,
  problem: "",
  /** Joined, and no later call has shown yet that the browser keeps the token. */
  isUnproven: false,
  refreshTried: false,
};

/** @param {import("./place.js").Stage} stage */
function enterStage(stage) {
  state.stage = stage;
  render();
}

/** @returns {number | null} */
function ahead() {
  const { place, pointer } = state;
  if (place === null || pointer === null || place.turn === null) return null;
  return peopleAhead(place.turn, pointer.served_up_to, pointer.holes);
}

/** @returns {import("./place.js").Range | null} */
function estimate() {
  const people = ahead();
  const curve = state.pointer?.wait?.curve;
  return people === null || curve === undefined ? null : waitAt(curve, people);
}

/** @param {PointerDocument} found */
function hear(found) {
  connectionBack();
  const wasFull = state.pointer?.full === true;
  movePointer(newerDocument(state.pointer, found));
  state.heardAt = serverNow();
  memory.set("pointer", state.pointer);
  // Here and nowhere else: a remembered bypass may be over, and the server would send the visitor back.
  if (found.state === "bypass") return goOnwardSpread();
  due.delete("onward");
  // Nothing follows on a deleted event: the server ends the stream, and would end every other one.
  if (found.state === "deleted") feed.stop();
  if (wasFull && !found.full) roomIsFree();
  else if (!wasFull && found.full) roomIsTaken();
  state.shown = showNext(state.shown, estimate(), Math.floor(now()));
  // What was refused for want of the ledger may be known again.
  if (state.stage === "moment" && found.state !== "suspended") askSpread();
  consider();
  render();
}

/** @param {PointerDocument} pointer */
function movePointer(pointer) {
  const known = state.pointer;
  const isFollowed = state.heardAt > 0 && known?.generation === pointer.generation;
  // What was released before this page listened is no release that others hear of with it.
  if (!isFollowed) state.servedBefore = pointer.served_up_to;
  else if (known.served_up_to !== pointer.served_up_to) state.servedBefore = known.served_up_to;
  state.crowd = Math.max(state.crowd, known?.issued ?? 0, pointer.issued);
  state.pointer = pointer;
  if (pointer.draw !== null && drawScript === null) {
    drawScript = import("./draw.js");
    drawScript.catch(() => (drawScript = null));
  }
}

/** Act on what the place and the document say together. */
function consider() {
  const { place, pointer } = state;
  if (place === null || pointer === null) return;
  if (state.stage !== "in" && state.stage !== "loading") return;
  if (pointer.generation > place.generation) askSpread();
  else if (place.turn === null && pointer.draw?.seed) void lookUpTurn(place, pointer);
  else if (state.stage === "in" && place.turn !== null && place.turn <= pointer.served_up_to) {
    turnHasCome(pointer);
  }
}

/** @type {Promise<typeof import("./draw.js")> | null} Loaded by who waits for a draw, and before it is held. */
let drawScript = null;
let isLookingUp = false;

/**
 * Compute the turn that a draw gave, as anybody can. Everyone learns in the same second that it was held: if all
 * of them asked, the last would know minutes later.
 *
 * @param {Place} place
 * @param {PointerDocument} pointer
 */
async function lookUpTurn(place, pointer) {
  if (isLookingUp) return;
  isLookingUp = true;
  /** @type {number | null} */
  let turn = null;
  try {
    // Without `https` there is no cryptography here.
    if (typeof place.headStart === "number" && place.generation === pointer.generation) {
      drawScript ??= import("./draw.js");
      const { turnOf } = await drawScript;
      turn = await turnOf(crypto.subtle, place.position, place.headStart, pointer.draw);
    }
  } catch {
    // Not loaded, or no seed that was promised: the gateway says what holds.
  }
  isLookingUp = false;
  if (state.place !== place) return consider();
  if (turn === null) return askSpread();
  place.turn = turn;
  place.aheadAtFirst = Math.max(place.aheadAtFirst, ahead() ?? 0);
  memory.set("place", place);
  consider();
  render();
}

/** Ask about the place, but not in the same second as everyone to whom the same thing happened. */
function askSpread() {
  if (!due.has("ask")) later("ask", spreadOver(state.crowd, Math.random()), ask);
}

/** A bypass opens the site to everyone in the same second. */
function goOnwardSpread() {
  if (!due.has("onward")) later("onward", spreadOver(state.crowd, Math.random()), goOnward);
  render();
}

/** Counts the places that this page has had: what was asked about an earlier one says nothing of this one. */
let epoch = 0;

/** @type {number | null} The epoch that is being asked about. */
let asking = null;

/** Ask the gateway where the visitor stands. */
async function ask() {
  const asked = epoch;
  if (asking === asked || state.stage === "inside") return;
  asking = asked;
  due.delete("ask");
  const answer = await call("GET", "position");
  if (asked !== epoch) return;
  asking = null;
  if (isTrouble(answer)) return trouble(answer, "ask", ask);
  connectionBack();
  if (answer.status === 200) {
    state.isUnproven = false;
    adopt(answer.body);
  } else if (answer.status === 401) await withoutToken();
  else if (answer.status === 410) placeIsOver(answer.body.type);
  else showProblem("problem.other", answer.body.detail);
}

/**
 * Take over what the gateway says of the place.
 *
 * @param {any} standing
 */
function adopt(standing) {
  const known = state.place;
  const isSame =
    known?.generation === standing.generation && known?.position === standing.position;
  if (!isSame) {
    state.shown = null;
    turnSeenHere = null;
    refusals = 0;
  }
  state.place = {
    aheadAtFirst: standing.ahead ?? 0,
    turnSeenAt: 0,
    refreshedAt: Date.now(),
    ...(isSame ? known : {}),
    generation: standing.generation,
    position: standing.position,
    turn: standing.turn,
    headStart: standing.head_start ?? null,
  };
  state.place.aheadAtFirst = Math.max(state.place.aheadAtFirst, standing.ahead ?? 0);
  memory.set("place", state.place);
  state.problem = "";
  if (state.pointer !== null && state.pointer.generation === standing.generation) {
    const servedUpTo = Math.max(state.pointer.served_up_to, standing.served_up_to);
    movePointer({ ...state.pointer, served_up_to: servedUpTo });
  }
  if (standing.status === "admitted") return goOnward();
  if (state.stage !== "turn" && state.stage !== "full") enterStage("in");
  consider();
  render();
}

/**
 * Nobody has a token here: it expired, it was never given, or the browser does not keep it.
 */
async function withoutToken() {
  if (state.isUnproven || !cookiesWork()) return enterStage("cookies");
  if (state.place !== null) return renewOrEnd();
  // Who was sent here wants to get in, and asked for it; who only looks is not made to join.
  if (returnTo !== null && !history.state?.left) return join();
  enterStage(history.state?.left ? "left" : "not_in");
}

/** A token that has expired can be renewed for some days; else the place is over. */
async function renewOrEnd() {
  if (state.refreshTried) return enterStage("ended");
  const asked = epoch;
  const answer = await call("POST", "refresh");
  if (asked !== epoch) return;
  if (isTrouble(answer)) return trouble(answer, "ask", ask);
  state.refreshTried = true;
  if (answer.status === 200) return ask();
  if (answer.status === 410) return placeIsOver(answer.body.type);
  enterStage("ended");
}

async function renewDaily() {
  const { place } = state;
  if (place === null || Date.now() - place.refreshedAt < REFRESH_EVERY * 1000) return;
  place.refreshedAt = Date.now();
  memory.set("place", place);
  await call("POST", "refresh");
}

async function join() {
  if (!cookiesWork()) return enterStage("cookies");
  history.replaceState(null, "");
  epoch += 1;
  state.problem = "";
  enterStage("joining");
  await alone("join", async () => joinAnswered(await joinOnce()));
}

const joinOnce = () => call("POST", "join", { "idempotency-key": joinKey() });

/** @param {Answer} answer */
function joinAnswered(answer) {
  if (isTrouble(answer)) return trouble(answer, "join", join);
  connectionBack();
  if (answer.status === 200 || answer.status === 201) {
    memory.set("join-key", null);
    state.isUnproven = true;
    state.stage = "loading";
    adopt(answer.body);
    later("ask", PROVE_WITHIN * Math.random(), ask);
    return feed.tellOthers("joined");
  }
  if (answer.status === 410) return placeIsOver(answer.body.type);
  enterStage("not_in");
  if (answer.status === 429) {
    later("join", repeatAfter(answer), join);
    showProblem("problem.many");
  } else if (answer.body.type === "challenge-required") showProblem("problem.challenge");
  else if (answer.status === 403) showProblem("problem.voucher");
  else showProblem("problem.other", answer.body.detail);
}

/** @param {string} type of the problem document */
function placeIsOver(type) {
  memory.set("join-key", null);
  dropPlans();
  if (type === "generation-over") enterStage("anew");
  else if (type === "event-closed") enterStage("closed");
  else enterStage("ended");
}

async function leave() {
  const answer = await call("POST", "leave");
  if (isTrouble(answer)) return trouble(answer, "leave", leave);
  if (answer.status !== 200 && answer.status !== 401) {
    return showProblem("problem.other", answer.body.detail);
  }
  forgetPlace();
  feed.tellOthers("left");
}

function forgetPlace() {
  epoch += 1;
  memory.set("place", null);
  state.place = null;
  state.shown = null;
  state.isUnproven = false;
  dropPlans();
  // A reload must not join again; a new visit of somebody who was sent here should.
  history.replaceState({ left: true }, "");
  enterStage("left");
}

/** @param {"joined" | "left"} change made by another tab of this browser */
function placeChangedElsewhere(change) {
  if (change === "left") forgetPlace();
  else if (state.stage !== "in") ask();
}

/**
 * A call failed: say so, keep the place on the screen, and repeat.
 *
 * @param {Answer} answer
 * @param {string} name
 * @param {() => void} again
 */
function trouble(answer, name, again) {
  later(name, repeatAfter(answer), again);
  if (answer.status === 0) return connectionLost();
  // Who has a place on the screen keeps it there; the document tells when the event is suspended.
  if (state.stage === "loading" || state.stage === "joining") enterStage("moment");
}

function connectionLost() {
  state.connection = navigator.onLine ? "lost" : "offline";
  render();
}

function connectionBack() {
  failures = 0;
  state.connection = "ok";
}

/** @param {string} key @param {string} [detail] */
function showProblem(key, detail = "") {
  state.problem = words.say(key, { detail });
  render();
}

// --- The turn ------------------------------------------------------------------------------------------

/** @type {number | null} When to claim, unless the visitor does so before. */
let enterAt = null;

/** How long after others of the same release, in seconds: not all of them knock in the same second. */
let ownDelay = 0;

/** The soonest time to claim without having been asked to. */
let enterFrom = 0;

/** @type {number | null} On the page's clock; see `place.turnSeenAt` for the device's. */
let turnSeenHere = null;

/** How often in a row a claim was refused, full sites first of all. */
let refusals = 0;

/** When the visitor was last called because a full site had room: it may come and go by the second. */
let roomRungAt = -Infinity;

/** @param {PointerDocument} pointer */
function turnHasCome(pointer) {
  const { place } = state;
  if (place === null || pointer.state === "suspended" || pointer.state === "deleted") return;
  if (pointer.state === "paused") return claimQuietly();
  noteTurn(place);
  const most = mayHoldFor(pointer.window, sinceTurn(), SEEN_MARGIN);
  announceTurn(enterDelay(place.turn ?? 0, state.servedBefore, pointer.served_up_to, most), true);
}

/** @param {Place} place */
function noteTurn(place) {
  place.turnSeenAt ||= Date.now();
  turnSeenHere ??= now();
  memory.set("place", place);
}

/**
 * @param {number} delay seconds to let others go first
 * @param {boolean} isNews worth ringing for
 */
function announceTurn(delay, isNews) {
  ownDelay = delay;
  enterFrom = now() + ENTER_AFTER + delay;
  enterAt = null;
  due.delete("claim");
  state.stage = "turn";
  if (isNews) alerts.ring();
  tickTurn();
  render();
}

/** Whoever found the site full is told as if the turn had come anew; how many others did is not known. */
function roomIsFree() {
  const { stage, pointer } = state;
  if (stage !== "full" || pointer?.state !== "open") return;
  const most = mayHoldFor(pointer.window, sinceTurn(), SEEN_MARGIN);
  const released = pointer.served_up_to;
  const isNews = now() - roomRungAt >= RING_EVERY;
  if (isNews) roomRungAt = now();
  announceTurn(enterDelay(Math.random() * released, 0, released, most), isNews);
}

/** Others were sooner: to claim now would only be refused. */
function roomIsTaken() {
  if (state.stage !== "turn" || refusals === 0 || due.has("claim")) return;
  later("claim", afterRefusal(0), claimAgain);
  enterStage("full");
}

/** Count from when the turn was first seen, by whichever clock says that more time has passed. */
function sinceTurn() {
  // Across a reload only the device's clock goes on; while this page lives, nobody can set its own.
  const onThisPage = turnSeenHere === null ? 0 : now() - turnSeenHere;
  return Math.max(onThisPage, (Date.now() - (state.place?.turnSeenAt ?? 0)) / 1000);
}

/** A pause may let those in whose turn had come before; the document does not tell. */
function claimQuietly() {
  if (isAttended() && !due.has("claim")) claim();
}

/** Whether the visitor looks at the page, and is not just being asked whether to leave. */
function isAttended() {
  return document.visibilityState === "visible" && !leaveDialog.open;
}

/** Say for how many seconds more a turn may wait for the visitor. */
function holdLeft() {
  const margin = document.visibilityState === "visible" ? SEEN_MARGIN : HOLD_MARGIN;
  return mayHoldFor(state.pointer?.window ?? 0, sinceTurn(), margin + ownDelay);
}

/** Go on with a turn: every claim that nobody pressed a button for comes from here. */
function tickTurn() {
  if (due.has("claim")) return;
  if (state.stage === "turn") tickCountdown();
  else if (state.stage === "full") tickFull();
}

function tickCountdown() {
  if (isAttended()) enterAt ??= Math.max(enterFrom, now() + ENTER_AFTER);
  else enterAt = holdLeft() > 0 ? null : now();
  if (enterAt !== null && now() >= enterAt) claim();
}

/** The pause after a refusal is over. Whoever does not look is called first, once there seems to be room. */
function tickFull() {
  if (isAttended() || holdLeft() === 0) claim();
  else if (state.pointer?.full === false) roomIsFree();
}

function claimAgain() {
  if (state.stage === "in") consider();
  else tickTurn();
}

let claiming = false;

/** Exchange the place for a pass. Repeating it after a lost answer gives the same session. */
async function claim() {
  if (claiming) return;
  claiming = true;
  due.delete("claim");
  const asked = epoch;
  const answer = await call("POST", "claim");
  claiming = false;
  if (asked === epoch) claimAnswered(answer);
}

/** @param {Answer} answer */
function claimAnswered(answer) {
  if (isTrouble(answer)) return trouble(answer, "claim", claimAgain);
  connectionBack();
  if (answer.status === 200) return goOnward();
  if (answer.status === 410) return placeIsOver(answer.body.type);
  const isFull = answer.body.type === "backend-full";
  if (answer.status === 429 && !isFull) {
    // Not yet: a pause came in between. While it lasts, ask again now and then.
    later("claim", repeatAfter(answer), claimAgain);
    return enterStage("in");
  }
  if (state.place !== null) noteTurn(state.place);
  refusals += 1;
  later("claim", afterRefusal(answer.retryAfter), claimAgain);
  if (isFull) enterStage("full");
  else if (answer.status === 401) ask();
  else showProblem("problem.other", answer.body.detail);
}

/**
 * Say when to claim again: later each time, but before the window closes.
 *
 * @param {number} least seconds, as the server says
 */
function afterRefusal(least) {
  const left = mayHoldFor(state.pointer?.window ?? 0, sinceTurn(), SEEN_MARGIN);
  return whenFull(refusals, least, left, Math.random());
}

const ONWARD_TRIES = 3;
const ONWARD_WITHIN_MS = 60_000;

/** Leave for where the visitor was going: the server alone decides where that is. */
function goOnward() {
  if (state.stage === "inside") return;
  const tried = memoryOfTab.get("onward") ?? { times: 0, since: 0 };
  if (Math.abs(Date.now() - tried.since) > ONWARD_WITHIN_MS) {
    tried.times = 0;
    tried.since = Date.now();
  }
  tried.times += 1;
  memoryOfTab.set("onward", tried);
  // A browser that does not keep the pass is sent back here, over and over.
  if (tried.times > ONWARD_TRIES) return enterStage("cookies");
  enterStage("inside");
  feed.stop();
  const query = returnTo === null ? "" : `?return_to=${encodeURIComponent(returnTo)}`;
  location.replace(`${base}onward${query}`);
}

// --- Alerts: a notification and a sound, after the visitor allowed them by a click ----------------------

/** @type {AudioContext | null} */
let sound = null;

const alerts = {
  get areOn() {
    return memory.get("alerts") === true;
  },

  async toggle() {
    memory.set("alerts", !this.areOn);
    if (this.areOn) {
      wakeSound();
      if ("Notification" in window && Notification.permission === "default") {
        await Notification.requestPermission();
      }
    }
    render();
  },

  ring() {
    if (!this.areOn) return;
    playTone();
    if (!("Notification" in window) || Notification.permission !== "granted") return;
    try {
      const note = new Notification(words.say("notify.title"), {
        body: words.say("notify.body"),
        lang: root.lang,
        tag: `queue:${event}`,
      });
      note.addEventListener("click", () => window.focus());
    } catch {
      // Phones offer it to service workers only: the tone and the title have to do.
    }
  },

  get stateText() {
    if (!this.areOn) return words.say("notify.off");
    const allowed = "Notification" in window && Notification.permission === "granted";
    return words.say(allowed ? "notify.on" : "notify.denied");
  },
};

/** Browsers let a page make sounds only from a click on. */
function wakeSound() {
  try {
    sound ??= new AudioContext();
    sound.resume();
  } catch {
    sound = null;
  }
}

function playTone() {
  if (sound === null) return;
  [660, 880].forEach((hertz, n) => {
    const start = sound.currentTime + n * 0.25;
    const tone = sound.createOscillator();
    const volume = sound.createGain();
    tone.frequency.value = hertz;
    volume.gain.setValueAtTime(0.2, start);
    volume.gain.exponentialRampToValueAtTime(0.001, start + 0.2);
    tone.connect(volume).connect(sound.destination);
    tone.start(start);
    tone.stop(start + 0.2);
  });
}

// --- The view ------------------------------------------------------------------------------------------

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

const WITH_PLACE = new Set(["loading", "waiting", "scheduled", "paused", "turn", "full", "moment"]);
const MAY_LEAVE = new Set(["waiting", "scheduled", "paused", "turn", "full", "moment"]);
const MAY_JOIN_AGAIN = new Set(["ended", "anew", "left"]);

/** Bring the page to what the state says. */
function render() {
  const phase = phaseOf(state.stage, state.pointer);
  document.body.dataset.phase = phase;
  document.body.dataset.connection = state.connection;
  const isBlocked = phase === "cookies";
  show("cookies", isBlocked);
  show("lead", !isBlocked);
  write("title", words.say(`title.${isBlocked ? "not_in" : phase}`));
  if (!isBlocked) write("lead", leadOf(phase));
  renderPlace(phase);
  renderCountdown(phase);
  renderUpdated();
  const message = state.pointer?.message ?? "";
  write("message", message);
  show("message", message !== "" && !isBlocked);
  write("problem-text", state.problem);
  show("problem", state.problem !== "");
  show("join", phase === "not_in");
  show("again", MAY_JOIN_AGAIN.has(phase));
  show("enter", phase === "turn" || phase === "full");
  show("leave", MAY_LEAVE.has(phase) && state.place !== null);
  renderAlerts(phase);
  document.title = `${barTitle(phase)} · ${root.dataset.name ?? event}`;
  speakOf(phase);
}

/** @param {string} phase */
function leadOf(phase) {
  if (state.connection === "offline") return words.say("lead.offline");
  if (phase !== "turn") return words.say(`lead.${phase}`);
  if (due.has("claim")) return words.say("lead.moment");
  if (document.visibilityState !== "visible") return words.say("lead.hidden_turn");
  if (enterAt === null) return words.say("lead.turn");
  const left = Math.max(Math.ceil(enterAt - now()), 0);
  return words.say("live.entering", { n: left }, left);
}

/** @param {string} phase */
function waitOf(phase) {
  if (phase === "paused") return words.say("wait.paused");
  return words.wait(state.shown && timeLeft(state.shown, Math.floor(now())));
}

/** @param {string} phase */
function renderPlace(phase) {
  const { place } = state;
  const people = ahead();
  const isWaiting = phase !== "turn" && phase !== "full";
  show("facts", place !== null && WITH_PLACE.has(phase));
  show("row-position", place !== null);
  show("row-ahead", people !== null && isWaiting);
  // Before the opening nobody can know, and the countdown says what there is to say.
  show("row-wait", people !== null && isWaiting && phase !== "scheduled");
  const hasProgress = place !== null && people !== null && WITH_PLACE.has(phase);
  show("progress", hasProgress);
  show("progress-label", hasProgress);
  if (place === null) return;
  write("position", words.number(place.position));
  if (people === null) return;
  write("ahead", words.ahead(people));
  write("wait", waitOf(phase));
  const done = progressOf(people, place.aheadAtFirst);
  /** @type {HTMLProgressElement} */ (byId("progress")).value = isWaiting ? done : 1;
}

/** @param {string} phase */
function renderCountdown(phase) {
  const opensAt = state.pointer?.opens_at ?? null;
  const isShown = opensAt !== null && state.pointer?.state === "scheduled";
  show("countdown", isShown && phase !== "left");
  if (!isShown) return;
  const time = byId("countdown").querySelector("time");
  const left = Math.max(Math.ceil(opensAt - serverNow() / 1000), 0);
  if (time === null) return;
  time.dateTime = new Date(opensAt * 1000).toISOString();
  const text = words.duration(left);
  if (time.textContent !== text) time.textContent = text;
}

function renderUpdated() {
  const isKnown = state.connection !== "ok" || state.heardAt > 0;
  show("updated", isKnown && WITH_PLACE.has(phaseOf(state.stage, state.pointer)));
  if (state.connection !== "ok") write("updated", words.say(`updated.${state.connection}`));
  else if (isKnown) write("updated", words.say("updated.at", { time: words.time(state.heardAt) }));
}

/** @param {string} phase */
function renderAlerts(phase) {
  const isOffered = MAY_LEAVE.has(phase) && phase !== "turn";
  show("notify", isOffered);
  show("notify-state", isOffered);
  write("notify", words.say(alerts.areOn ? "button.notify_off" : "button.notify_on"));
  write("notify-state", alerts.stateText);
}

/** @param {string} phase */
function barTitle(phase) {
  const people = ahead();
  if (phase === "cookies") return words.say("cookies.title");
  if (phase !== "waiting" || people === null) return words.say(`title.${phase}`);
  return words.say("title.ahead", { n: people }, people);
}

let spokenPhase = "";
let spokenAt = -SPEAK_EVERY;
let spokenAhead = -1;

/**
 * Tell a screen reader: changes of what is happening at once, the falling number every half minute.
 *
 * @param {string} phase
 */
function speakOf(phase) {
  const people = ahead();
  if (phase !== spokenPhase) {
    spokenPhase = phase;
    spokenAt = now();
    if (phase === "turn") write("live", `${words.say("live.turn")} ${words.say("lead.turn")}`);
    else if (phase !== "loading") write("live", barTitleSpoken(phase));
  } else if (phase === "waiting" && people !== null && people !== spokenAhead) {
    if (now() - spokenAt < SPEAK_EVERY) return;
    spokenAt = now();
    spokenAhead = people;
    write("live", words.say("live.waiting", { ahead: people, wait: waitOf(phase) }));
  }
}

/** @param {string} phase */
function barTitleSpoken(phase) {
  if (phase === "cookies") return `${words.say("cookies.title")}. ${words.say("cookies.text")}`;
  return `${words.say(`title.${phase}`)}. ${words.say(`lead.${phase}`)}`;
}

// --- The page's life -----------------------------------------------------------------------------------

const feed = openFeed(hear, () => {
  const poll = state.pointer?.poll ?? { nearest: 2, farthest: 60, unknown: 10, heartbeat: 15 };
  return pollAfter(poll, ahead(), estimate(), Math.random());
});

let tickedAt = Date.now();

function tick() {
  const slept = (Date.now() - tickedAt) / 1000 > SLEPT_AFTER;
  tickedAt = Date.now();
  if (slept) startAfresh();
  runWhatIsDue();
  feed.tick();
  tickTurn();
  renewDaily();
  render();
}

let lookedAt = -Infinity;

/** Somebody looks at the page again: what is on the screen may be old. */
function lookAgain() {
  if (now() - lookedAt < LOOK_EVERY) return;
  lookedAt = now();
  feed.start();
  ask();
}

function startAfresh() {
  lookedAt = -Infinity;
  lookAgain();
  feed.restart();
}

function listen() {
  byId("join").addEventListener("click", join);
  byId("again").addEventListener("click", join);
  byId("enter").addEventListener("click", claim);
  byId("notify").addEventListener("click", () => alerts.toggle());
  listenToLeaving();
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") lookAgain();
    tickTurn();
    render();
  });
  window.addEventListener("online", startAfresh);
  window.addEventListener("offline", connectionLost);
  window.addEventListener("pagehide", () => feed.stop());
  window.addEventListener("pageshow", (shown) => {
    if (shown.persisted) comeBack();
  });
  document.addEventListener("freeze", () => feed.stop());
  document.addEventListener("resume", startAfresh);
  // What was allowed on an earlier page needs a gesture on this one, whichever comes first.
  const onGesture = () => alerts.areOn && wakeSound();
  document.addEventListener("pointerdown", onGesture, { once: true });
  document.addEventListener("keydown", onGesture, { once: true });
}

/** The browser shows this page again as it was when it was left (back/forward cache). */
function comeBack() {
  if (state.stage === "inside") state.stage = "loading";
  startAfresh();
}

function listenToLeaving() {
  byId("leave").addEventListener("click", () => leaveDialog.showModal());
  byId("leave-no").addEventListener("click", () => leaveDialog.close());
  byId("leave-yes").addEventListener("click", () => {
    leaveDialog.close();
    leave();
  });
}

/** Changing the language must not forget where the visitor is going. */
function keepReturnInLinks() {
  if (returnTo === null) return;
  for (const link of byId("languages").querySelectorAll("a")) {
    const target = new URL(link.href);
    target.searchParams.set("return_to", returnTo);
    link.href = target.href;
  }
}

listen();
keepReturnInLinks();
setInterval(tick, 1000);
if (cookiesWork()) {
  render();
  feed.start();
  ask();
} else {
  enterStage("cookies");
}
