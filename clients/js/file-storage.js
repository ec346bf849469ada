/** A storage for Node: one file, replaced whole, so that whoever is killed leaves the old or the new one. */

import { open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** @param {string} path */
export function inFile(path) {
  const half = `${path}.${process.pid}.new`;
  return {
    async get() {
      try {
        return await readFile(path, "utf8");
      } catch (failure) {
        if (failure.code === "ENOENT") return null;
        throw failure;
      }
    },
    /** @param {string} _name @param {string} text */
    async set(_name, text) {
      // A token is worth a place to whoever reads it.
      const file = await open(half, "w", 0o600);
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(half, path);
      const folder = await open(dirname(path), "r");
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
    },
    async remove() {
      await rm(path, { force: true });
    },
  };
}
