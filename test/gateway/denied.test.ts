/**
 * Threats: every known way out over the network, tried with real clients and real packets against the enforcing gateway.
 * What counts is the far end: not one byte of the marker arrives, and the record says what was tried, and why it was
 * refused.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import type { LabProcess, Outcome } from "../lab/process.ts";
import { requireTools } from "../lab/tools.ts";
import { attempts, attemptsPolicy, dribble, prepare } from "./attempts.ts";
import { RunningGateway } from "./start.ts";

requireTools(["ip", "curl", "dig", "ncat", "socat", "openssl", "ping"]);
const lab = await Lab.create();
const families = [
  { v: 4, address: "203.0.113.10" },
  { v: 6, address: "2001:db8:200::10" },
] as const;
/** Attempts that only time ends; they begin first and are looked at last. */
const slow = families.map(({ address }) => ({ address, marker: lab.marker(), silent: lab.marker() }));
let gateway: RunningGateway;
let silent: LabProcess[];
let dribbled: Promise<Outcome>[];

before(async () => {
  await prepare(lab);
  gateway = await RunningGateway.start(lab, { policy: attemptsPolicy("enforce") });
  for (const type of ["A", "AAAA"]) await lab.runner(1).exec("dig", ["+short", "allowed.example", type]);
  dribbled = slow.map(({ address, marker }) => dribble(lab, address, "allowed.example", marker, 10_000));
  silent = slow.map(({ address }) => lab.runner(1).spawn("ncat", [address, "2525"]));
});
after(() => lab.close());

for (const { v } of families) {
  describe(`over IPv${v}`, () => {
    for (const { title, run, event } of attempts(lab, v)) {
      test(title, async () => {
        const marker = lab.marker();
        const { mark } = gateway;
        await run(marker);
        const expected = typeof event === "function" ? event(marker) : event;
        await gateway.expect({ verdict: "deny", enforced: true, ...expected }, mark);
        assert.deepEqual(await lab.sink.find(marker), []);
      });
    }
  });
}

test("N6: even an allowed hello one byte per segment is not let through unread; it ends when its time is over", async () => {
  for (const [i, { address, marker }] of slow.entries()) {
    await gateway.expect({ verdict: "deny", reason: "timeout", destination: { ip: address, port: 443 } }, "", 20_000);
    assert.equal((await dribbled[i]!).stdout, "");
    assert.deepEqual(await lab.sink.find(marker), []);
  }
});

test("N7: a client that says nothing on a port with a tls rule is cut off, and what it says then goes nowhere", async () => {
  for (const [i, { address, silent: marker }] of slow.entries()) {
    const event = { verdict: "deny", reason: "timeout", destination: { ip: address, port: 2525 } };
    await gateway.expect(event, "", 45_000);
    silent[i]!.write(marker);
    const { code } = await silent[i]!.exited;
    assert.notEqual(code, 0);
    assert.deepEqual(await lab.sink.find(marker), []);
  }
});

test("the gateway is well afterwards, and the chain holds", async () => {
  const status = await gateway.status();
  assert.equal(status.state, "enforcing", status.problems.join("; "));
  assert.equal(status.data_path.failures, 0);
  assert.equal((await gateway.ask("logs verify")).code, 0);
});
