/** Where a record is kept: `get`, `set` and `remove` of one text by its name, at once or by a promise. */

export function inMemory() {
  /** @type {Map<string, string>} */
  const held = new Map();
  return {
    /** @param {string} name */
    get: (name) => held.get(name) ?? null,
    /** @param {string} name @param {string} text */
    set: (name, text) => void held.set(name, text),
    /** @param {string} name */
    remove: (name) => void held.delete(name),
  };
}

/** The browser's own; throws where it is full or not allowed, and the client then says so. */
export function inLocalStorage() {
  return {
    /** @param {string} name */
    get: (name) => localStorage.getItem(name),
    /** @param {string} name @param {string} text */
    set: (name, text) => localStorage.setItem(name, text),
    /** @param {string} name */
    remove: (name) => localStorage.removeItem(name),
  };
}
