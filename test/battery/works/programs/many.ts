/** `many.ts URL COUNT FAMILY`: that many connections at once, each held open until all of them have their answer. */
import { lookup } from "node:dns/promises";
import { Agent, get } from "node:https";
import { createSecureContext } from "node:tls";

const [url = "", count = "500", family = "4"] = process.argv.slice(2);
// One for all, or most of the time would go into making them.
const secureContext = createSecureContext();
const { host, pathname } = new URL(url);
// Asked for once: 500 questions at the same time are another matter.
const { address } = await lookup(host, { family: Number(family) });
const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxCachedSessions: 0, secureContext });
const outcomes = new Map<string, number>();
const tell = (outcome: string): void => void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
await Promise.all(
  Array.from(
    { length: Number(count) },
    (_, i) =>
      new Promise<void>((resolve) => {
        const request = get(
          { host: address, path: `${pathname}${i}`, servername: host, headers: { host }, agent },
          (response) => {
            response.resume().on("end", () => {
              tell(String(response.statusCode));
              resolve();
            });
          },
        );
        request.on("error", (error: NodeJS.ErrnoException) => {
          tell(error.code ?? error.message);
          resolve();
        });
      }),
  ),
);
agent.destroy();
console.log(JSON.stringify(Object.fromEntries(outcomes)));
