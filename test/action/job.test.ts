/** The promise of the action: a whole job is enforced from its first step on, and every connection has a step and a process. */
import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { verifyReceipt } from "../../src/machine/verify-receipt.ts";
import { requireTools } from "../lab/tools.ts";
import { type JobResult, Runner } from "./harness.ts";

const policy = `version: 1
rules:
  - { name: web, to: allowed.example, reason: the build's own }
`;

describe("a job under block", () => {
  let runner: Runner;
  let job: JobResult;

  before(async () => {
    requireTools(["curl", "sudo"]);
    runner = await Runner.create({ policy });
    job = await runner.run([
      runner.sallyport(),
      {
        id: "build",
        run: "curl -sS --max-time 10 https://allowed.example/ > /dev/null\n(sleep 1; curl -sS --max-time 5 https://allowed.example/late > /dev/null) > /dev/null 2>&1 &",
      },
      {
        id: "attack",
        run: "curl -sS --max-time 5 https://other.example/ || true\ncurl -sS --max-time 5 -k https://203.0.113.11/ || true\nsleep 2",
      },
    ]);
  });
  after(() => runner?.close());

  test("is green, with the phases it should have", () => {
    assert.deepEqual(
      job.results.map(({ phase, step, status }) => `${phase} ${step} ${status}`),
      [
        "pre __sallyport_sallyport 0",
        "main __sallyport_sallyport 0",
        "main build 0",
        "main attack 0",
        "post __sallyport_sallyport 0",
      ],
      JSON.stringify(job.results, null, 1),
    );
  });

  test("a connection is its step's and its process's", () => {
    const { report } = runner.report(job);
    const denied = report.connections.filter(({ verdict }) => verdict === "deny");
    assert.ok(
      denied.some(({ name, process }) => name === "other.example" && process?.step === "attack"),
      JSON.stringify(report.connections, null, 1),
    );
    const allowed = report.connections.filter(({ verdict, name }) => verdict === "allow" && name === "allowed.example");
    assert.deepEqual(
      [...new Set(allowed.map(({ process }) => process?.step))],
      ["build"],
      "what a step left running stays its own",
    );
  });

  test("the receipt stands up to the copy of the record, which everybody may read", async () => {
    const { receipt, record, sarif } = job.outputs["__sallyport_sallyport"]!;
    const text = readFileSync(runner.place(receipt!), "utf8");
    const folder = runner.place(record!);
    for (const each of [folder, join(folder, "events")]) assert.equal(statSync(each).mode & 0o005, 0o005);
    const whole = { maxGaps: 0, policies: null, record: folder, keys: [], report: null };
    const { reasons } = await verifyReceipt(text, whole);
    assert.deepEqual(reasons, []);
    const forged = text.replace(/"denied":\d+/, '"denied":0');
    assert.deepEqual((await verifyReceipt(forged, whole)).ok, false);
    const { runs } = JSON.parse(readFileSync(runner.place(sarif!), "utf8")) as { runs: [{ results: unknown[] }] };
    assert.ok(runs[0].results.length >= 2);
  });

  test("the summary is a file beside them, and what the runner was given", () => {
    const { summary } = job.outputs["__sallyport_sallyport"]!;
    assert.equal(readFileSync(runner.place(summary!), "utf8"), job.summary);
    assert.match(job.summary, /^## ⚠️ Sallyport: egress enforced\n/);
    assert.match(job.summary, /\| `other\.example` dns \| 3\\?\. attack \| `curl [^|]*` \| no rule \|/);
  });
});
