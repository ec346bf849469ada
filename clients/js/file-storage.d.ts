import type { Storage } from "./index.js";

/** Keep the record in one file, for Node. The folder must be there. */
export function inFile(path: string): Storage;
