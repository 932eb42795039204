/**
 * Invariant 6 for `sallyport run`: whichever of its processes is killed outright, at any moment, nothing that was denied arrives,
 * no process of the run stays behind, and the next run on the same record works, leaves the host as it was and finds
 * the chain whole.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Host, sallyport } from "../run/support.ts";
import { eventually, figures, isFull } from "./support.ts";

let host: Host;

before(async () => {
  host = await Host.create();
});
after(() => host?.close());

/** The process and all it has started, oldest first. */
function family(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
    return [pid, ...children.flatMap(family)];
  } catch {
    return [];
  }
}

/** What runs, by process id: its arguments. A zombie runs no more. */
function argumentsOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

/** Which of a run's processes to kill: itself, what makes the namespaces, the first process inside, the command. */
const victims = ["supervisor", "unshare", "init", "command"] as const;

test("kill -9 of each process of a run: no way out, nothing left, and the next run is whole", async (t) => {
  const before = host.snapshot();
  const state = join(host.home, "record");
  const marker = host.lab.marker();
  const own = `sleep 300.${process.pid}`;
  const script = `echo up
    while :; do
      curl -sk -o /dev/null --max-time 1 --connect-to ::203.0.113.66:443 https://${marker}.example/
      curl -sk -o /dev/null --max-time 1 --connect-to ::203.0.113.10:443 https://${marker}.evil.example/
      dig +tries=1 +time=1 ${marker}.evil.example >/dev/null
      curl -s -o /dev/null --max-time 1 https://allowed.example/
      sleep 0.2
    done & ${own}`;
  const ends: string[] = [];
  for (let round = 0; round < victims.length * (isFull ? 4 : 1) + 1; round++) {
    const running = host.start(["--allow", "allowed.example", "--state", state, "-q", "--", "sh", "-c", script]);
    const victim = victims[round % victims.length]!;
    // The last round ends while all of it is only being made.
    const isEarly = round >= victims.length * (isFull ? 4 : 1);
    if (isEarly) await sleep(200 + Math.random() * 1_200);
    else {
      await running.waitFor(/up/, 90_000);
      await sleep(Math.random() * 1_000);
    }
    const all = family(running.pid);
    const found = isEarly
      ? running.pid
      : {
          supervisor: all[0]!,
          unshare: all.find((pid) => argumentsOf(pid).startsWith("unshare")) ?? all[1]!,
          init: all[2]!,
          command: all[3]!,
        }[victim];
    assert.ok(found > 1, `${victim} of ${all.map(argumentsOf).join(" | ")}`);
    process.kill(found, "SIGKILL");
    const { code, signal } = await running.exited;
    ends.push(`${isEarly ? "early" : victim}: ${signal ?? code}`);
    assert.notEqual(code, 0, `killed ${victim}`);
    const alive = await eventually(
      () => all.filter((pid) => argumentsOf(pid) !== ""),
      (pids) => pids.length === 0,
    );
    assert.deepEqual(alive.map(argumentsOf), [], `${victim} was killed and this lives on`);
    assert.equal((await host.exec("pgrep", ["-fx", own])).stdout, "");
    assert.deepEqual(await host.lab.sink.find(marker), [], `after ${victim} was killed`);
    const next = await host.run(
      [
        "--allow",
        "allowed.example",
        "--state",
        state,
        "-q",
        "--",
        "curl",
        "-sS",
        "-o",
        "/dev/null",
        "https://allowed.example/",
      ],
      { timeoutMs: 120_000 },
    );
    assert.equal(next.code, 0, next.stderr);
    assert.deepEqual(host.changes(before), [], `after ${victim} was killed`);
    const verified = await host.exec(sallyport, ["logs", "verify", "--state", state]);
    assert.equal(verified.code, 0, verified.stderr);
  }
  figures(t, { ends });
});
