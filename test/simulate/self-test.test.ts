/**
 * The self-test says "held" only on the word of the enforcer's own record, and says it fast. Behind a gateway that enforces,
 * one that only watches, and one that is gone.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { SelfTestResult } from "../../src/simulate/self-test.ts";
import { RunningGateway } from "../gateway/start.ts";
import { launcher } from "../support/launcher.ts";
import { Lab } from "../lab/lab.ts";

const policy = (mode: string) => `version: 1
rules:
  - { name: site, to: [allowed.example] }
default:
  mode: ${mode}
`;

describe("the self-test", () => {
  let lab: Lab;
  before(async () => (lab = await Lab.create({ sink: false })));
  after(async () => {
    await RunningGateway.killAll();
    await lab.close();
  });

  async function selfTest(state: string): Promise<{ code: number | null; result: SelfTestResult }> {
    const done = await lab.runner(1).exec(launcher, ["simulate", "--self-test", "--json", "--state", state]);
    assert.ok(done.stdout.startsWith("{"), done.stderr);
    return { code: done.code, result: JSON.parse(done.stdout) as SelfTestResult };
  }

  /** A busy moment of the machine is not the self-test's doing; three in a row are. */
  async function fastest(state: string, first: number, enough: number): Promise<number> {
    let ms = first;
    for (let i = 0; i < 2 && ms >= enough; i++) ms = (await selfTest(state)).result.ms;
    return ms;
  }

  test("holds behind a gateway that enforces, with an event for each check, in under two seconds", async (t) => {
    const gateway = await RunningGateway.start(lab, { policy: policy("enforce") });
    const { code, result } = await selfTest(gateway.state);
    assert.deepEqual(
      result.checks.filter(({ held }) => !held),
      [],
    );
    assert.deepEqual([code, result.held], [0, true]);
    const ids = [
      "tcp-raw-address",
      "tls-raw-address",
      "udp-raw-address",
      "dns-label",
      "direct-resolver",
      "tcp-raw-ipv6",
    ];
    assert.deepEqual(
      result.checks.map(({ id }) => id),
      ids,
    );
    for (const { event } of result.checks) {
      assert.equal(gateway.recorded({ id: event, verdict: "deny", enforced: true }).length, 1);
    }
    t.diagnostic(`${result.checks.length} checks in ${result.ms} ms`);
    assert.ok((await fastest(gateway.state, result.ms, 2_000)) < 2_000);
    await gateway.crash();

    // The rules it left refuse by themselves, but nobody records: that proves nothing, and so it fails.
    const gone = await selfTest(gateway.state);
    assert.deepEqual([gone.code, gone.result.held], [3, false]);
    assert.ok(gone.result.checks.every(({ why }) => why === "the record has no event of it"));
    assert.ok((await fastest(gateway.state, gone.result.ms, 2_500)) < 2_500);
  });

  test("does not hold behind one that only watches, and says what the record says", async () => {
    const gateway = await RunningGateway.start(lab, { policy: policy("monitor") });
    const { code, result } = await selfTest(gateway.state);
    assert.deepEqual([code, result.held], [3, false]);
    assert.ok(
      result.checks.some(({ why }) => /would_deny, not enforced/.test(why)),
      JSON.stringify(result.checks),
    );
    await gateway.crash();
  });

  test("is refused without a record, and without being told which", async () => {
    const missing = await lab.runner(1).exec(launcher, ["simulate", "--self-test", "--state", "/nowhere/at/all"]);
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /RECORD_UNREADABLE/);
    const unsaid = await lab.runner(1).exec(launcher, ["simulate", "--self-test"]);
    assert.equal(unsaid.code, 2);
    assert.match(unsaid.stderr, /needs --state/);
  });
});
