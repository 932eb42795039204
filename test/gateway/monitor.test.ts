/**
 * Promise: monitor mode refuses nothing (invariant 3). Every attempt that the enforcing gateway refuses arrives as if nobody
 * were in the way, and the record foretells the denial. `inert.test.ts` holds the other half: nothing is changed.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import { requireTools } from "../lab/tools.ts";
import { attempts, attemptsPolicy, prepare } from "../battery/attempts.ts";
import { brief, RunningGateway } from "./start.ts";
import type { Expected } from "./start.ts";

requireTools(["ip", "curl", "dig", "ncat", "socat", "openssl", "ping"]);
const lab = await Lab.create();
let gateway: RunningGateway;

before(async () => {
  await prepare(lab);
  gateway = await RunningGateway.start(lab, { policy: attemptsPolicy("monitor") });
});
after(() => lab.close());

/** Denials that the record must foretell. A connection whose client stays silent is only judged after some seconds. */
const foretold: { title: string; expected: Expected; after: string }[] = [];

for (const v of [4, 6] as const) {
  describe(`over IPv${v}`, () => {
    for (const attempt of attempts(lab, v)) {
      test(attempt.title, async () => {
        const marker = lab.marker();
        const after = gateway.mark;
        await attempt.run(marker);
        if (attempt.reaches !== false) assert.equal(await lab.sink.saw(marker), true, "the far end saw nothing");
        if (attempt.foretold === false) return;
        const event = typeof attempt.event === "function" ? attempt.event(marker) : attempt.event;
        foretold.push({ title: `IPv${v}, ${attempt.title}`, expected: prediction(event), after });
      });
    }
  });
}

test("the record foretells every denial", async () => {
  for (const { title, expected, after } of foretold) {
    await gateway.expect(expected, after, 10_000).catch((error: Error) => assert.fail(`${title}: ${error.message}`));
  }
});

/** Monitor mode lets the first bytes go on and reads them, so it knows more than enforcement, which stops at the SYN. */
function prediction(event: Expected): Expected {
  const { kind, rule, destination, dns } = event as Record<string, object>;
  const { ip, port, name } = destination as Record<string, unknown>;
  const members = { kind, verdict: "would_deny", enforced: false, rule, destination: told({ ip, port, name }), dns };
  return told(members);
}

/** Without the members that are not there. */
function told(members: Expected): Expected {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

test("nothing was refused, and the chain holds", async () => {
  const refused = gateway.events.filter((event) => event.verdict === "deny" || event.enforced === true);
  assert.deepEqual(refused.filter((event) => event.verdict !== "allow").map(brief), []);
  assert.equal((await gateway.ask("logs verify")).code, 0);
});
