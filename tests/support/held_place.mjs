/** The same as `held_place.py`, around the JavaScript client. */

import { webcrypto } from "node:crypto";

import { inFile } from "../../clients/js/file-storage.js";
import { QueueClient } from "../../clients/js/index.js";

const [url, event, path, push] = process.argv.slice(2);
const client = new QueueClient({ url, event, storage: inFile(path), push, crypto: webcrypto });

function tell(view) {
  const said = Object.fromEntries(
    Object.entries(view).map(([name, value]) => [name.replace(/[A-Z]/g, (l) => `_${l.toLowerCase()}`), value]),
  );
  process.stdout.write(`${JSON.stringify(said)}\n`);
}

await new Promise((resolve) => {
  client.subscribe((view) => {
    tell(view);
    if (view.status === "admitted" || view.status === "over") resolve();
  });
  client.start().then(async (view) => {
    tell(view);
    if (view.status === "admitted" || view.status === "over") resolve();
    if (view.status === "idle") await client.join();
  });
});
client.stop();
