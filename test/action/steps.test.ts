/**
 * The promise of rules for steps: a rule for one step, or for one action, is nobody else's, whatever another step calls itself; and the
 * control plane is open to the runner and to GitHub's own actions, and to no step.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireTools } from "../lab/tools.ts";
import { type JobResult, Runner } from "./harness.ts";

const policy = `version: 1
sources:
  a: { process: { step: a } }
  fetcher: { process: { action: some/fetcher } }
rules:
  - { name: for a, from: a, to: allowed.example }
  - { name: for the fetcher, from: fetcher, to: only.example }
`;

const get = (name: string, url: string, before = "") =>
  `${before} curl -sS --max-time 4 -o /dev/null ${url} 2> /dev/null && echo "${name}: reached" || echo "${name}: refused"`;

/** clone(2) with CLONE_PARENT: the worker's child by the look of it. */
const sibling = `import ctypes, os, platform
number = 220 if platform.machine() == "aarch64" else 56
if ctypes.CDLL(None).syscall(number, 0x8000 | 17, 0, 0, 0, 0) == 0:
    os.execve("/bin/bash", ["bash", "-c", os.environ["SCRIPT"]], {"GITHUB_ACTION": "a", "PATH": os.environ["PATH"], "CURL_CA_BUNDLE": os.environ["CURL_CA_BUNDLE"]})`;

describe("steps of one job", () => {
  let runner: Runner;
  let job: JobResult;

  before(async () => {
    requireTools(["curl", "sudo"]);
    runner = await Runner.create({ policy });
    const clone = `${runner.home}/clone.txt`;
    const late = `${runner.home}/late.txt`;
    job = await runner.run([
      runner.sallyport(),
      {
        id: "a",
        run: [
          get("a", "https://allowed.example/"),
          get("a to the fetcher's", "https://only.example/"),
          `setsid bash -c 'sleep 4; { ${get("late a", "https://allowed.example/late").replaceAll("'", "")}; } > ${late}' > /dev/null 2>&1 &`,
        ].join("\n"),
      },
      {
        id: "b",
        run: [
          get("b", "https://allowed.example/"),
          get("b as a", "https://allowed.example/", "GITHUB_ACTION=a"),
          get(
            "b as a, clean",
            "https://allowed.example/",
            "env -i GITHUB_ACTION=a PATH=$PATH CURL_CA_BUNDLE=$CURL_CA_BUNDLE",
          ),
          `(setsid bash -c '(GITHUB_ACTION=a bash -c "{ ${get("b forked twice", "https://allowed.example/").replaceAll('"', "")}; }" > ${runner.home}/twice.txt &)' &)`,
          `SCRIPT='{ ${get("b as a sibling", "https://allowed.example/").replaceAll("'", "")}; } > ${clone}' python3 -c '${sibling}' || true`,
          "sleep 6",
          `cat ${clone} ${runner.home}/twice.txt`,
          get("b to the fetcher's", "https://only.example/", "GITHUB_ACTION_REPOSITORY=some/fetcher"),
          get("b to the control plane", "https://results.github.example/"),
          get("b to the metadata service", "http://169.254.169.254/"),
          get("b's root to the metadata service", "http://168.63.129.16/", "sudo"),
        ].join("\n"),
      },
      runner.action(
        "fetch",
        "some/fetcher",
        `${get("the fetcher", "https://only.example/")}; ${get("the fetcher to a's", "https://allowed.example/")}`,
      ),
      runner.action("cache", "actions/cache", get("the cache", "https://results.github.example/")),
      { id: "end", run: `cat ${late}` },
    ]);
  });
  after(() => runner?.close());

  const told = () =>
    Object.fromEntries(
      job.results.flatMap(({ output, step }) =>
        step.startsWith("__sallyport")
          ? []
          : output.split("\n").flatMap((line) => (/^[^:]+: (reached|refused)$/.test(line) ? [line.split(": ")] : [])),
      ),
    ) as Record<string, string>;

  test("reach what is theirs and nothing else", () => {
    assert.deepEqual(
      told(),
      {
        a: "reached",
        "a to the fetcher's": "refused",
        "late a": "reached",
        b: "refused",
        "b as a": "refused",
        "b as a, clean": "refused",
        "b forked twice": "refused",
        "b as a sibling": "refused",
        "b to the fetcher's": "refused",
        "b to the control plane": "refused",
        "b to the metadata service": "refused",
        "b's root to the metadata service": "refused",
        "the fetcher": "reached",
        "the fetcher to a's": "refused",
        "the cache": "reached",
      },
      JSON.stringify(job.results),
    );
  });

  test("the runner sends its logs to the control plane when the job is over", () => {
    assert.equal(job.uploaded, 200);
  });

  test("and the report has each under its own step", () => {
    const { report } = runner.report(job);
    const rows = (verdict: string) =>
      report.connections.filter((row) => row.verdict === verdict && row.process?.step !== "__sallyport_sallyport");
    const allowed = rows("allow").map(({ name, process, rule }) => `${process?.step} ${name} ${rule}`);
    assert.deepEqual(allowed.toSorted(), [
      "a allowed.example for a",
      "cache results.github.example caches and artifacts",
      "fetch only.example for the fetcher",
    ]);
    const refused = rows("deny").map(({ name, ip, process }) => `${process?.step} ${name ?? ip}`);
    for (const line of [
      "b allowed.example",
      "b only.example",
      "b results.github.example",
      "b 169.254.169.254",
      "b 168.63.129.16",
      "a only.example",
    ])
      assert.ok(refused.includes(line), `${line}\n${refused.join("\n")}`);
  });
});
