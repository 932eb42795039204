/**
 * The promise to a runner that stays: the next job's agent takes over from the one of the job before, with its own policy, and no
 * connection gets through between them; within one job nobody takes over, not even the action itself used twice.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireTools } from "../lab/tools.ts";
import { until } from "../support/until.ts";
import { type JobResult, Runner, type Step } from "./harness.ts";

const rules = (name: string) => `version: 1\nrules:\n  - { name: web, to: ${name} }\n`;
const get = (id: string, url: string): Step => ({
  id,
  run: `curl -sS --max-time 5 -o /dev/null ${url} && echo reached || echo refused`,
});
const said = ({ results }: JobResult, id: string) =>
  results
    .find(({ step, phase }) => step === id && phase === "main")
    ?.output.trim()
    .split("\n")
    .at(-1);

describe("a runner that takes two jobs", () => {
  let runner: Runner;
  let first: JobResult;
  let stray: string;
  let second: JobResult;

  before(async () => {
    requireTools(["curl", "sudo"]);
    runner = await Runner.create({ policy: rules("allowed.example") });
    first = await runner.run([
      runner.sallyport(),
      { ...runner.sallyport(), id: "again", pre: "", continueOnError: true, always: true },
      get("allowed", "https://allowed.example/"),
      get("other", "https://only.example/"),
      // Goes on after its job, through the time between the two agents.
      {
        id: "daemon",
        run: "setsid bash -c 'while sleep 0.05; do curl -sk --max-time 1 -o /dev/null https://203.0.113.66/; done' > /dev/null 2>&1 &",
      },
    ]);
    stray = JSON.stringify(runner.standing());
    runner.answer({ policy: rules("only.example") });
    second = await runner.run([
      runner.sallyport(),
      get("allowed", "https://allowed.example/"),
      get("other", "https://only.example/"),
    ]);
  });
  after(() => runner?.close());

  test("the first is enforced, and a second use of the action in it is an error that ends nothing", () => {
    const again = first.results.find(({ step, phase }) => step === "again" && phase === "main");
    assert.match(again?.output ?? "", /stands around this machine already[^]*One step of a job uses the action/);
    assert.deepEqual([said(first, "allowed"), said(first, "other")], ["reached", "refused"], JSON.stringify(first));
    assert.equal(first.results.at(-1)!.status, 0, first.results.at(-1)!.output);
  });

  test("its agent goes on when it is over", () => {
    const { rules, agents } = JSON.parse(stray) as ReturnType<Runner["standing"]>;
    assert.equal(agents.length, 1);
    assert.ok(rules.length > 10);
  });

  test("the second has its own agent and policy, and its record says so", async () => {
    assert.equal(second.failed, false, JSON.stringify(second.results));
    assert.match(second.results[0]!.output, /took over from the agent of the job before/);
    assert.deepEqual([said(second, "allowed"), said(second, "other")], ["refused", "reached"]);
    // One that runs a program at the moment looks like two.
    assert.ok(await until(() => runner.standing().agents.length === 1, 10_000));
    const { receipt } = runner.report(second);
    assert.equal(receipt.whole, true, JSON.stringify(receipt));
  });

  test("what a killed job's step left running does not keep the next job from its policy", async () => {
    const killed = runner.run([runner.sallyport(), { id: "slow", run: "kill -9 $PPID\nsleep 60" }]);
    await assert.rejects(killed, /the worker failed/);
    const next = await runner.run([runner.sallyport(), get("other", "https://only.example/")]);
    assert.equal(next.failed, false, JSON.stringify(next.results));
    assert.equal(said(next, "other"), "reached");
  });

  test("a third that cannot be enforced is red, and leaves the rules to what is still running", async () => {
    const sudoers = "/etc/sudoers.d";
    runner.root(`mount --bind ${sudoers} ${sudoers} && mount -o remount,bind,ro ${sudoers}`);
    const third = await runner.run([runner.sallyport({ "disable-sudo": "true" })]);
    runner.root(`umount ${sudoers}`);
    assert.match(third.results[0]!.output, /read-only file system/i);
    assert.equal(third.failed, true);
    assert.ok(await until(() => runner.standing().agents.length === 0, 10_000));
    assert.ok(runner.standing().rules.length > 10);
    const mounts = runner.root("cat /proc/self/mounts").split("\n");
    assert.deepEqual(
      mounts.filter((line) => line.includes("/_actions")),
      [],
    );
  });

  test("what the first left running got nowhere at any time", async () => {
    const requests = await runner.host.lab.internet.requests();
    assert.deepEqual(
      requests.filter(({ server }) => !["allowed.example", "only.example", "results.github.example"].includes(server)),
      [],
    );
  });
});
