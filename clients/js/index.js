export { QueueClient } from "./src/client.js";
export { inLocalStorage, inMemory } from "./src/storage.js";
export { readPointer, readToken } from "./src/jws.js";
export { turnOf } from "./src/draw.js";
export { peopleAhead, waitAt } from "./src/place.js";
