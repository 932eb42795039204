/**
 * The simulator tells a firewall that holds from one that does not: every technique arrives without a firewall, none that
 * should be blocked arrives behind an enforcing policy, and the same ones arrive behind a policy that only watches. Real
 * namespaces, the real `sallyport run`; the sink judges.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { listNamespaces } from "../../src/kernel/namespace.ts";
import { techniques } from "../../src/simulate/catalogue.ts";
import { demonstration } from "../../src/simulate/sites.ts";
import { leftOf, simulate, simulation, start, verdicts } from "./program.ts";

/** What our enclosure alone holds: its command's processes end with it, and cannot enter another namespace. */
const byEnclosure = ["detached-process", "leave-namespace"];
/** On a slow machine the hello is refused before its name is whole, and the event then has no name to know it by. */
const mayLackName = ["hello-in-pieces"];
/** A packet without a connection has no address translation, so that a run's private source leads nowhere. */
const withoutTranslation = ["tcp-mid-stream"];

describe("a simulation in its own range", () => {
  let folder: string;
  const file = (name: string) => join(folder, name);
  before(() => (folder = mkdtempSync(join(tmpdir(), "sallyport-simulate-"))));
  after(() => rmSync(folder, { recursive: true, force: true }));

  test("behind an enforcing policy, all that should be blocked is, on the sink's word and with an event", async (t) => {
    const done = await simulation(["--report", file("report.md")]);
    const { techniques: rows, summary, policy } = done.simulation;
    // A starved machine sends an allowed hello too late, and the firewall is right to refuse it: such a one has another try.
    const late = rows.filter((row) => row.expected === "reached" && row.verdict === "blocked").map(({ id }) => id);
    assert.deepEqual(
      rows
        .filter((row) => row.as_expected !== true && !late.includes(row.id))
        .map(({ id, verdict, why }) => `${id} ${verdict}: ${why}`),
      [],
    );
    if (late.length > 0) {
      const again = await simulation(late.flatMap((id) => ["--only", id]));
      assert.deepEqual(
        Object.values(verdicts(again.simulation)),
        late.map(() => "reached"),
        late.join(),
      );
    }
    assert.equal(done.code, 0, done.stderr);
    assert.deepEqual(
      rows.map(({ id }) => id),
      techniques.map(({ id }) => id),
    );
    assert.equal(summary.inconclusive, 0);
    t.diagnostic(`${rows.length} techniques in ${Math.round(done.ms / 1000)} s`);
    // An idle machine takes eight seconds.
    assert.ok(done.ms < 120_000, `${done.ms} ms`);
    for (const row of rows) {
      if (row.verdict === "reached") {
        assert.ok(row.sightings.length > 0 && row.limit !== null, `${row.id} says where it arrived and why`);
        continue;
      }
      assert.deepEqual(row.sightings, [], row.id);
      if (late.includes(row.id)) continue;
      if (byEnclosure.includes(row.id) || (mayLackName.includes(row.id) && row.denial === null)) continue;
      assert.equal(row.denial?.verdict, "deny", `${row.id} has its denial in the record`);
    }

    const report = readFileSync(file("report.md"), "utf8");
    for (const { id } of techniques) assert.match(report, new RegExp(`\`${id}\``), id);
    assert.ok(report.includes(policy!.hash), "the policy's hash");
    assert.match(report, /^\| Date \| \d{4}-\d\d-\d\dT[\d:.]+Z to \d{4}-/m);
    const { blocked, reached, unexpected } = summary;
    const sums = `${rows.length} techniques: ${blocked} blocked, ${reached} reached, 0 inconclusive; ${unexpected} not as expected`;
    assert.ok(report.includes(`\n| Result | ${sums} |\n`), sums);
    assert.match(
      report,
      /^\| blocked \| blocked \| `dns-label` \| T1048\.003, T1071\.004 \| SANDWORM_MODE, 2026; .*deny/m,
    );
    assert.match(report, /^## Not covered\n\n- \*\*secrets printed into the workflow's log/m);
    assert.match(report, /^## Limits$/m);
    const denial = rows.find(({ id }) => id === "udp-datagram")!.denial!;
    assert.ok(report.includes(`Event \`${denial.id}\`: deny, rule default, reason no_name`));
  });

  test("behind a policy that only watches, they reach: a simulation can fail", async () => {
    writeFileSync(file("watch.yaml"), demonstration.replace("mode: enforce", "mode: monitor"));
    const { code, simulation: said } = await simulation(["--policy", file("watch.yaml")]);
    const held = said.techniques
      .filter(({ verdict }) => verdict !== "reached")
      .map(({ id, verdict }) => `${id} ${verdict}`);
    const expected = [...withoutTranslation, ...byEnclosure].map((id) => `${id} blocked`);
    assert.deepEqual(held.toSorted(), expected.toSorted());
    assert.equal(code, 3);
    assert.equal(said.policy?.mode, "monitor");
  });

  test("a policy with a hole shows it, and only it", async () => {
    writeFileSync(
      file("hole.yaml"),
      demonstration.replace(
        "default:",
        "  - { name: hole, to: [203.0.113.0/24], ports: [9100], protocol: udp, reason: test }\n\ndefault:",
      ),
    );
    const only = ["udp-datagram", "udp-datagram-ipv6", "quic-initial"].flatMap((id) => ["--only", id]);
    const { code, stdout } = await simulate(["--policy", file("hole.yaml"), "--quiet", ...only]);
    assert.equal(code, 3);
    assert.match(stdout, /^reached +udp-datagram +T1095 .*allow \(hole: rule\); arrived at 203\.0\.113\.\d+:9100/m);
    assert.match(stdout, /^blocked +udp-datagram-ipv6 /m);
    assert.match(stdout, /^blocked +quic-initial /m);
    assert.match(stdout, /^Reached, and should have been blocked: udp-datagram\.$/m);
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(stdout, /\x1b/, "no colour in a file");
  });

  test("what cannot be tried is inconclusive, and no success", async () => {
    writeFileSync(file("closed.yaml"), "version: 1\ndefault:\n  mode: enforce\n");
    const args = ["--policy", file("closed.yaml"), "--only", "domain-fronting", "--only", "sni-spoof-own-address"];
    const closed = await simulation(args);
    assert.deepEqual(verdicts(closed.simulation), {
      "sni-spoof-own-address": "inconclusive",
      "domain-fronting": "inconclusive",
    });
    assert.match(closed.simulation.techniques[0]!.why, /needs a name that is allowed over TLS/);
    assert.equal(closed.code, 1);
    assert.equal((await simulate([...args, "--quiet", "--accept-inconclusive"])).code, 0);
  });

  test("Ctrl-C at any moment leaves nothing", async () => {
    for (const moment of [/making the range/, /without a firewall/, /behind sallyport run/]) {
      const running = start(["--only", "no-sni", "--only", "dns-label"]);
      await running.waitFor(moment, 60_000);
      running.child.kill("SIGINT");
      const { code, stderr } = await running.exited;
      assert.equal(code, 130, `${moment}: ${stderr}`);
      assert.deepEqual(leftOf(running.pid), [], String(moment));
    }
  });

  test("a killed one takes its processes along, and the next takes away the rest", async () => {
    const running = start(["--only", "no-sni"]);
    await running.waitFor(/behind sallyport run/, 60_000);
    const [host] = listNamespaces(`sallyport-sim-${running.pid}-`);
    const { ino } = statSync(`/run/netns/${host}`);
    running.child.kill("SIGKILL");
    await running.exited;
    assert.ok(leftOf(running.pid).length > 0, "it had no chance to clean up");
    assert.equal((await simulate(["--only", "no-sni", "--quiet"])).code, 0);
    assert.deepEqual(leftOf(running.pid), []);
    assert.deepEqual(listNamespaces(`sallyport-${ino}-`), [], "nor anything of the run inside");
  });
});
