/**
 * Warns before a visitor's session ends, and offers more time. A booking site includes it with one tag:
 *
 *     <script src="/queue/EVENT/session.js" defer></script>
 *
 * `data-warn-s` says how many seconds before the end (120). On pages that are listed under `finish`, where a
 * purchase may be completed after the end, `data-finish` keeps it from saying that all is over. `data-lang` is a
 * language other than the page's. It needs `script-src 'self'; connect-src 'self'` of a Content Security Policy
 * and no more: its look is a constructed style sheet in a shadow root, its texts are set as text.
 *
 * The cookies are not for scripts to read. `position` tells from memory how many seconds are left; shortly
 * before the warning, `claim` looks the session up in the ledger, so that whoever was given more time by an
 * operator or the site is not warned. Time runs on a clock that nobody can set; what it may have missed, a
 * machine asleep, is asked for when the page is looked at again.
 *
 * The warning is a modal alert dialog with the focus on itself, not on its button (WCAG 2.2, 2.2.1 and 4.1.3):
 * it is read out at once, Tab and Enter give more time, Escape goes on without, and a key that was meant for a
 * form presses nothing. Thirty seconds before the end it is said once more.
 */
(() => {
  "use strict";
  try {
    start(document.currentScript);
  } catch {
    // A browser that lacks something, or a page that has taken it away: it is not warned.
  }

  /** @param {HTMLOrSVGScriptElement | null} tag */
  function start(tag) {
    const LANGUAGES = __LANGUAGES__;
    const LAST_CALL = 30;
    const CALL_TIMEOUT = 10;
    const ASK_AGAIN_AFTER = 20;
    // Seconds by which the two clocks may part before somebody has slept, or set one of them.
    const SLEPT = 5;

    const CSS = `
:host { all: initial; }
dialog {
  --a: var(--queue-accent, #1d5bb8); --o: var(--queue-on-accent, #fff);
  background: #fff; border: 1px solid #7f8894; border-radius: .75rem; box-sizing: border-box; color: #1a1f26;
  font: 1.0625rem/1.5 system-ui, sans-serif; inset: 0; margin: auto; max-width: min(30rem, calc(100vw - 2rem));
  overflow-wrap: break-word; padding: 1.5rem;
}
dialog::backdrop { background: rgb(0 0 0 / .5); }
dialog:focus { outline: 3px solid var(--a); outline-offset: 2px; }
h2 { font-size: 1.25rem; margin: 0 0 .5rem; }
p { margin: 0 0 1rem; }
p:empty { margin: 0; }
.time { font-variant-numeric: tabular-nums; }
.acts { display: flex; flex-wrap: wrap; gap: .75rem; }
button, a {
  background: var(--a); border: 2px solid var(--a); border-radius: .5rem; color: var(--o); cursor: pointer;
  font: inherit; font-weight: 600; min-height: 2.75rem; padding: .5rem 1rem; box-sizing: border-box;
  text-decoration: none;
}
.close { background: none; border-color: #7f8894; color: inherit; }
button:focus-visible, a:focus-visible { outline: 3px solid #1a1f26; outline-offset: 2px; }
[hidden] { display: none; }
.said { clip-path: inset(50%); height: 1px; overflow: hidden; position: absolute; white-space: nowrap; width: 1px; }
@media (prefers-color-scheme: dark) {
  dialog { --a: var(--queue-accent, #8fb8ff); --o: var(--queue-on-accent, #0b1526); background: #1b2129; color: #e9ecf0; }
  button:focus-visible, a:focus-visible { outline-color: #e9ecf0; }
}`;

    if (!tag || !tag.src) return;
    const found = /^(.*\/queue\/([a-z0-9-]+)\/)session\.js/.exec(tag.src.split(/[?#]/)[0]);
    if (!found) return;
    const [, base, event] = found;
    const mark = Symbol.for(`queue-session:${event}`);
    if (window[mark]) return;
    window[mark] = true;

    const warnFor = Number(tag.dataset.warnS) > 0 ? Number(tag.dataset.warnS) : 120;
    const isFinish = "finish" in tag.dataset;
    // Sessions that began together end together: not all of them ask in the same second.
    const askBefore = warnFor + (Math.random() * Math.min(warnFor, 40)) / 4;

    /** Seconds of a clock that nobody can set. */
    const now = () => performance.now() / 1000;

    /** @type {number | null} when the session ends, on `now`; null where there is none that we know of */
    let endsAt = null;
    /** @type {number | null} how often it can be extended; null where nobody has said */
    let extensions = null;
    let phase = "quiet"; // quiet, warned, over
    let isLookedUp = false; // in the ledger, for this end
    let isDismissed = false;
    let isLastCalled = false;
    let isAsking = false;
    let isOff = false;
    let askAgainAt = Infinity;
    let parted = Date.now() / 1000 - now();
    /** @type {any} */
    let view = null;

    // --- Words -------------------------------------------------------------------------------------------------

    function language() {
      const asked = [tag.dataset.lang, document.documentElement.lang, ...navigator.languages];
      for (const name of asked) {
        const short = (name || "").toLowerCase().split("-")[0];
        if (Object.hasOwn(LANGUAGES, short)) return short;
      }
      return "en";
    }

    const lang = language();
    const words = LANGUAGES[lang];

    /** @param {number} seconds @param {boolean} roughly whole minutes alone, never more than there are */
    function said(seconds, roughly) {
      const whole = Math.max(Math.floor(seconds), 0);
      const minutes = Math.floor(whole / 60);
      const of = (count, unit) =>
        new Intl.NumberFormat(lang, { style: "unit", unit, unitDisplay: "long" }).format(count);
      const parts = [];
      if (minutes) parts.push(of(minutes, "minute"));
      if (!minutes || (!roughly && whole % 60)) parts.push(of(whole % 60, "second"));
      return parts.join(" ");
    }

    const fill = (text, seconds, roughly) => text.replace("{time}", said(seconds, roughly));

    // --- View --------------------------------------------------------------------------------------------------

    function make(name, properties = {}, attributes = {}) {
      const made = Object.assign(document.createElement(name), properties);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      return made;
    }

    function build() {
      const host = make("queue-session", { lang, dir: words.dir });
      const root = host.attachShadow({ mode: "open" });
      try {
        const sheet = new CSSStyleSheet();
        sheet.replaceSync(CSS);
        root.adoptedStyleSheets = [sheet];
      } catch {
        // An old browser: the dialog works without our look.
      }
      const dialog = make("dialog", { tabIndex: -1 }, {
        role: "alertdialog", "aria-labelledby": "title", "aria-describedby": "text note",
      });
      const title = make("h2", { id: "title" });
      const text = make("p", { id: "text", className: "time" });
      const note = make("p", { id: "note" });
      const alert = make("p", { className: "said" }, { role: "alert" });
      const failed = make("p", { id: "failed" }, { role: "alert" });
      const extend = make("button", { id: "extend", type: "button", textContent: words.extend });
      const back = make("a", { id: "back", textContent: words.back });
      const close = make("button", { id: "close", type: "button", className: "close", textContent: words.close });
      const acts = make("div", { className: "acts" });
      acts.append(extend, back, close);
      dialog.append(title, text, note, failed, acts, alert);
      const status = make("p", { className: "said" }, { role: "status" });
      const outside = make("p", { className: "said" }, { role: "alert" });
      root.append(dialog, status, outside);
      extend.addEventListener("click", safely(moreTime));
      close.addEventListener("click", safely(() => {
        isDismissed = true;
        dialog.close();
      }));
      // The Escape key, and what a phone has in its place.
      dialog.addEventListener("cancel", () => { isDismissed = true; });
      document.body.append(host);
      return { host, dialog, title, text, note, alert, failed, extend, back, close, status, outside };
    }

    function open() {
      if (view.dialog.open) return;
      // A site that has taken everything out of its body has taken us with it.
      if (!view.host.isConnected) document.body.append(view.host);
      view.dialog.showModal();
      view.dialog.focus();
    }

    function hide() {
      if (view && view.dialog.open) view.dialog.close();
      isDismissed = false;
    }

    /** Show the warning as it stands now. @param {number} left */
    function warn(left) {
      view ??= build();
      const { title, text, note, extend, back } = view;
      const can = extensions === null || extensions > 0;
      title.textContent = words.title;
      text.textContent = fill(words.left, left, false);
      note.textContent = can ? words.more : words.none;
      extend.hidden = !can;
      back.hidden = true;
      if (phase !== "warned") {
        phase = "warned";
        view.failed.textContent = "";
        if (!isDismissed) open();
      }
      if (left <= LAST_CALL && left < warnFor && !isLastCalled) {
        isLastCalled = true;
        (view.dialog.open ? view.alert : view.outside).textContent = fill(words.left, left, false);
      }
    }

    function over() {
      if (phase === "over") return;
      phase = "over";
      endsAt = null;
      hide();
      if (isFinish) return;
      view ??= build();
      view.title.textContent = words.over;
      view.text.textContent = words.over_text;
      for (const part of [view.note, view.failed, view.alert]) part.textContent = "";
      view.extend.hidden = true;
      view.back.hidden = false;
      const here = location.pathname + location.search;
      view.back.href = `${base}room?return_to=${encodeURIComponent(here)}`;
      open();
    }

    // --- What is known -----------------------------------------------------------------------------------------

    /**
     * Take in how long the session lasts.
     *
     * @param {number} left seconds
     * @param {boolean} isFromLedger and not only from the pass that this browser holds
     * @param {unknown} [more] extensions left
     */
    function learn(left, isFromLedger, more) {
      if (!Number.isFinite(left)) return;
      // The answers come in whole seconds.
      const isLater = endsAt === null || now() + left > endsAt + 2;
      endsAt = now() + left;
      if (typeof more === "number") extensions = more;
      askAgainAt = Infinity;
      if (isLater) isLastCalled = false;
      if (isLater || isFromLedger) isLookedUp = isFromLedger && left <= askBefore;
      if (phase === "over" || (phase === "warned" && left > warnFor)) {
        phase = "quiet";
        hide();
      }
    }

    const channel = "BroadcastChannel" in window ? new BroadcastChannel(`queue-session:${event}`) : null;

    function tellOthers() {
      if (channel && endsAt !== null) channel.postMessage({ left: endsAt - now(), extensions });
    }

    // --- Calls -------------------------------------------------------------------------------------------------

    /** @returns {Promise<{status: number, body: any}>} status 0: no answer came */
    async function call(method, verb) {
      const giveUp = new AbortController();
      const timer = setTimeout(() => giveUp.abort(), CALL_TIMEOUT * 1000);
      try {
        const answer = await fetch(base + verb, {
          method, headers: { accept: "application/json" }, cache: "no-store", credentials: "same-origin",
          signal: giveUp.signal,
        });
        const body = await answer.json().catch(() => ({}));
        return { status: answer.status, body: body || {} };
      } catch {
        return { status: 0, body: {} };
      } finally {
        clearTimeout(timer);
      }
    }

    const isRefusal = (status) => status >= 400 && status < 500;

    /** Ask from the gateway's memory. What does not answer changes nothing, and is asked again. */
    async function ask() {
      const { status, body } = await call("GET", "position");
      if (status === 200 && body.status === "admitted") {
        learn(Number(body.session_seconds_left), false);
      } else if (status === 404) {
        isOff = true;
      } else if (endsAt !== null && (status === 200 || isRefusal(status))) {
        // The pass is over. The session need not be: somebody may have given it more time.
        await lookUp();
      } else if (!isRefusal(status) && status !== 200) {
        askAgainAt = now() + ASK_AGAIN_AFTER * (1 + Math.random());
      }
    }

    /** Look the session up in the ledger; its cookie comes along. Never asked by who has had none: it would open one. */
    async function lookUp() {
      const { status, body } = await call("POST", "claim");
      isLookedUp = true;
      if (status === 200) {
        learn(Number(body.session_seconds_left), true, body.extensions_left);
      } else if (isRefusal(status)) {
        over();
      }
      return status;
    }

    async function moreTime() {
      if (isAsking) return;
      isAsking = true;
      view.failed.textContent = "";
      view.extend.setAttribute("aria-disabled", "true");
      try {
        const { status, body } = await call("POST", "extend");
        if (status === 200) {
          learn(Number(body.session_seconds_left), true, body.extensions_left);
          tellOthers();
          const left = endsAt - now();
          (view.dialog.open ? view.alert : view.status).textContent = fill(words.extended, left, true);
        } else if (status === 403) {
          extensions = 0;
        } else if (isRefusal(status)) {
          over();
        } else if ((await lookUp()) !== 200) {
          // An answer that was lost may have been a yes: the ledger would have told.
          view.failed.textContent = words.failed;
        }
      } finally {
        isAsking = false;
        view.extend.removeAttribute("aria-disabled");
      }
      await tick();
    }

    /** One question at a time. @param {() => Promise<unknown>} question */
    async function once(question) {
      if (isAsking || isOff) return;
      isAsking = true;
      try {
        await question();
      } finally {
        isAsking = false;
      }
    }

    // --- Time --------------------------------------------------------------------------------------------------

    async function tick() {
      const apart = Date.now() / 1000 - now();
      const slept = Math.abs(apart - parted) > SLEPT;
      parted = apart;
      if (slept || now() >= askAgainAt) {
        askAgainAt = Infinity;
        await once(ask);
      }
      if (endsAt === null || isOff) return;
      if (endsAt - now() <= askBefore && !isLookedUp) await once(lookUp);
      if (endsAt === null) return;
      const left = endsAt - now();
      if (left <= 0) {
        // At the very end once more: what was given meanwhile counts.
        await once(lookUp);
        if (endsAt !== null && endsAt <= now()) over();
      } else if (left <= warnFor && isLookedUp) {
        warn(left);
      }
    }

    /** Nothing of ours may become an error of the site's page. */
    function safely(act) {
      return (...given) => {
        try {
          Promise.resolve(act(...given)).catch(() => {});
        } catch {
          // As above.
        }
      };
    }

    const askNow = safely(async () => {
      await once(ask);
      await tick();
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") askNow();
    });
    addEventListener("online", askNow);
    addEventListener("pageshow", (shown) => {
      if (shown.persisted) askNow();
    });
    channel?.addEventListener("message", safely(({ data }) => {
      learn(data.left, true, data.extensions);
      return tick();
    }));
    setInterval(safely(tick), 1000);
    askNow();
  }
})();
