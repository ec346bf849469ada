/** Where the record is kept: any store of texts by name, at once or by a promise. */
export interface Storage {
  get(name: string): string | null | Promise<string | null>;
  /** Once it has returned (or resolved), the text outlives the process. */
  set(name: string, text: string): void | Promise<void>;
  remove(name: string): void | Promise<void>;
}

export interface Options {
  /** The gateway's address; its origin counts. */
  url: string;
  event: string;
  /** By default in memory: gone with the process. */
  storage?: Storage;
  /** A JWK set to trust instead of the one that the gateway publishes. */
  keys?: { keys: object[] };
  /** The `iss` to insist on; by default the first token's. */
  issuer?: string;
  /** Over what news come; by default what the platform can. Polling goes on wherever that fails. */
  push?: "auto" | "events" | "websocket" | "none";
  /** Whether a turn is claimed as soon as it has come (the default); else `claim` does. */
  autoClaim?: boolean;
  /** Of fetch; by default no cookie travels, and the token goes as a header. */
  credentials?: "omit" | "same-origin" | "include";
  /** WebCrypto, where the platform has none of its own. */
  crypto?: Pick<Crypto, "subtle" | "getRandomValues">;
  fetch?: typeof fetch;
  WebSocket?: typeof WebSocket;
  /** From 0 to 1; for tests. */
  chance?: () => number;
  /** Seconds of a clock that nobody can set; for tests. */
  now?: () => number;
}

export type Status = "idle" | "joining" | "waiting" | "turn" | "full" | "admitted" | "over";

/** Where the visitor stands, as far as this device knows. */
export interface View {
  status: Status;
  event: string;
  generation: number | null;
  position: number | null;
  /** Null before the draw. */
  turn: number | null;
  ahead: number | null;
  servedUpTo: number | null;
  /** The event's. */
  state: string | null;
  /** The operator's. */
  message: string;
  /** The time left, seconds, as it is to be shown: rounded outwards. Null where nobody can tell. */
  wait: { low: number; high: number } | null;
  waitMove: "begun" | "kept" | "narrowed" | "sooner" | "later" | null;
  /** When the turn is expected at the earliest, in ms as `Date.now()` has them: for a local notification. */
  earliestTurnAt: number | null;
  /** Seconds since the document was signed; null while no server has told the time. */
  age: number | null;
  connection: "push" | "poll" | "offline";
  token: string | null;
  /** To be sent as `Queue-Token` to the booking site. */
  pass: string | null;
  /** Unix seconds. */
  sessionEndsAt: number | null;
  /** Why it is over: `generation-over`, `event-closed`, `window-missed`, `no-token` or `session-ended`. */
  why: string | null;
  /** What stands in the way: a problem document's `type`, `not-genuine`, `unreadable` (an answer) or `storage`. */
  problem: { type: string; detail: string } | null;
}

export class QueueClient {
  constructor(options: Options);
  /** Read what was kept, and go on from there. */
  start(): Promise<View>;
  /** End all that is under way; what was kept stays. */
  stop(): void;
  /** Ask for a place. Does nothing for who has one; after an end, asks for a new one. Rejects where storage does. */
  join(fields?: { voucher?: string; challenge?: string }): Promise<View>;
  /** The app is looked at again: ask soon. In browsers this happens by itself when the network is back. */
  lookAgain(): void;
  /** Claim now: for apps with `autoClaim: false`. */
  claim(): void;
  /** Give the place or the session back. False where the server could not be told; then nothing is forgotten. */
  leave(): Promise<boolean>;
  /** Be told of every change; call what it returns to end that. */
  subscribe(listener: (view: View) => void): () => void;
  readonly view: View;
}

export function inMemory(): Storage;
export function inLocalStorage(): Storage;

export interface Expected {
  keys: object[];
  event: string;
  issuer?: string | null;
  subtle: SubtleCrypto;
}

/** The claims of a genuine queue token; its end is not judged. Rejects with a `fault` otherwise. */
export function readToken(token: string, expected: Expected): Promise<Record<string, unknown>>;

/** A genuine pointer document, and when it was signed (Unix seconds). Rejects with a `fault` otherwise. */
export function readPointer(
  statement: string,
  expected: Expected,
): Promise<{ issuer: string; issuedAt: number; document: Record<string, unknown> }>;

export function turnOf(
  subtle: SubtleCrypto,
  position: number,
  headStart: number,
  draw: { commitment: string; seed: string | null; count: number | null } | null,
): Promise<number | null>;

export function peopleAhead(turn: number, servedUpTo: number, holes: [number, number][]): number;
export function waitAt(curve: [number, number, number][], ahead: number): { low: number; high: number };
