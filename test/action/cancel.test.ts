/**
 * The promise to a job that somebody cancels: it was enforced until it was over, `post` runs all the same, and record and receipt are
 * whole, whatever the cancelled step did about its signals.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { readFileSync } from "node:fs";
import { verifyReceipt } from "../../src/machine/verify-receipt.ts";
import { requireTools } from "../lab/tools.ts";
import { type JobResult, Runner } from "./harness.ts";

describe("a job that is cancelled", () => {
  let runner: Runner;
  let job: JobResult;

  before(async () => {
    requireTools(["curl", "sudo"]);
    runner = await Runner.create({ policy: "version: 1\nrules:\n  - { name: web, to: allowed.example }\n" });
    const when = join(runner.workspace, "cancel");
    job = await runner.run(
      [
        runner.sallyport(),
        {
          id: "stubborn",
          // The step goes on through SIGINT and SIGTERM; what it leaves running tries on while it is cancelled.
          run: [
            "trap 'curl -s --max-time 3 -o /dev/null https://other.example/ || true' INT TERM",
            "setsid bash -c 'while sleep 0.1; do curl -sk --max-time 1 -o /dev/null https://203.0.113.66/; done' > /dev/null 2>&1 &",
            `touch ${when}`,
            "while true; do sleep 0.1 || true; done",
          ].join("\n"),
        },
        { id: "later", run: "echo ran" },
        {
          id: "always",
          run: "curl -sS --max-time 5 -o /dev/null https://allowed.example/ && echo reached",
          always: true,
        },
      ],
      { cancel: { when, grace: 1_000 } },
    );
  });
  after(() => runner?.close());

  test("ends the step by force, leaves out the next, and runs what always runs", () => {
    assert.deepEqual(
      [job.cancelled, ...job.results.map(({ phase, step, status }) => `${phase} ${step} ${status}`)],
      [
        true,
        "pre __sallyport_sallyport 0",
        "main __sallyport_sallyport 0",
        "main stubborn signal SIGKILL",
        "main always 0",
        "post __sallyport_sallyport 0",
      ],
      JSON.stringify(job.results),
    );
    assert.match(job.results[3]!.output, /reached/);
  });

  test("has a report of what was refused, a receipt that stands up to the record, and a summary", async () => {
    const { report, receipt } = runner.report(job);
    const refused = report.connections.filter(({ verdict }) => verdict === "deny");
    assert.ok(
      refused.some(({ name, process }) => name === "other.example" && process?.step === "stubborn"),
      JSON.stringify(report.connections),
    );
    assert.equal(receipt.whole, true, JSON.stringify(receipt));
    const { receipt: path, record } = job.outputs["__sallyport_sallyport"]!;
    const text = readFileSync(runner.place(path!), "utf8");
    const { reasons } = await verifyReceipt(text, {
      ...{ maxGaps: 0, policies: null, record: runner.place(record!), keys: [], report: null },
    });
    assert.deepEqual(reasons, []);
    assert.match(job.summary, /other\.example/);
  });

  test("nothing got out meanwhile", async () => {
    const requests = await runner.host.lab.internet.requests();
    assert.deepEqual(
      requests.filter(({ server }) => !["allowed.example", "results.github.example"].includes(server)),
      [],
    );
  });
});
