/** The promise of `runs: using: node24`: a whole job on the very Node that GitHub's runner runs actions on. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, test } from "node:test";
import { requireTools } from "../lab/tools.ts";
import { node24, Runner } from "./harness.ts";

let runner: Runner | null = null;
after(() => runner?.close());

test("pre, main and post on Node 24 enforce a job, refuse a connection and say so", async () => {
  requireTools(["curl", "sudo"]);
  assert.match(execFileSync(node24, ["--version"], { encoding: "utf8" }), /^v24\./);
  runner = await Runner.create({
    node: node24,
    policy: "version: 1\nrules:\n  - { name: web, to: allowed.example }\n",
  });
  const job = await runner.run([
    runner.sallyport(),
    { id: "build", run: "curl -sS --max-time 10 https://allowed.example/ > /dev/null && echo reached" },
    {
      id: "attack",
      run: "curl -sS --max-time 5 https://other.example/ || curl -sSk --max-time 5 https://203.0.113.66/ || echo refused",
    },
  ]);
  const told = JSON.stringify(job.results);
  assert.deepEqual(
    job.results.map(({ phase, step, status }) => `${phase} ${step} ${status}`),
    [
      "pre __sallyport_sallyport 0",
      "main __sallyport_sallyport 0",
      "main build 0",
      "main attack 0",
      "post __sallyport_sallyport 0",
    ],
    told,
  );
  assert.match(job.results[0]!.output, /self-test: \d+ ways out tried, all refused/);
  assert.deepEqual(
    [job.results[2]!.output.trim(), job.results[3]!.output.trim().split("\n").at(-1)],
    ["reached", "refused"],
  );
  const { report, receipt } = runner.report(job);
  for (const [name, ip] of [
    ["other.example", null],
    [null, "203.0.113.66"],
  ]) {
    assert.ok(
      report.connections.some(
        (row) =>
          row.verdict === "deny" &&
          (name === null ? row.ip === ip : row.name === name) &&
          row.process?.step === "attack",
      ),
      JSON.stringify(report.connections),
    );
  }
  assert.equal(receipt.whole, true, JSON.stringify(receipt));
});
