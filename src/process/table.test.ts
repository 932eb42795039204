/**
 * Promises about the process table with the kernel's own events: steps survive forks, sessions and orphanage, the runner is found
 * from the process that it started, a number that comes again is another process, and what was lost is read again. Real
 * processes; needs root and the initial namespaces.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ProcessRecord } from "./record.ts";
import { ProcessTable, type TableOptions } from "./table.ts";

let folder: string;
const started: ChildProcess[] = [];

function start(command: readonly string[], environment: Record<string, string> = {}): ChildProcess {
  const child = spawn(command[0]!, command.slice(1), {
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", SHLVL: "1", ...environment },
    stdio: ["pipe", "pipe", "ignore"],
  });
  started.push(child);
  return child;
}

async function line(child: ChildProcess): Promise<string> {
  const [data] = (await once(child.stdout!, "data")) as [Buffer];
  return data.toString().trim();
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** Takes in events until `found` finds something. */
async function until<T>(table: ProcessTable, found: () => T | null | undefined | false): Promise<T> {
  for (const last = performance.now() + 20_000; performance.now() < last; await sleep(2)) {
    table.drain();
    const value = found();
    if (value !== null && value !== undefined && value !== false) return value;
  }
  return assert.fail("not seen within 20 s");
}

async function withTable(
  use: (table: ProcessTable) => Promise<void>,
  options: TableOptions = { worker: process.pid },
): Promise<void> {
  const table = new ProcessTable(options);
  try {
    await use(table);
  } finally {
    table.close();
  }
}

suite("the process table", { timeout: 200_000 }, () => {
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "sp-table-"));
  });
  after(async () => {
    for (const child of started) await end(child);
    rmSync(folder, { recursive: true, force: true });
  });

  test("what was forked twice into a session of its own keeps its step, its parent and its program", () =>
    withTable(async (table) => {
      const script = "(setsid sh -c 'echo $$; exec sleep 60' & ) ; sleep 60; true";
      const child = start(["bash", "--norc", "-c", script], {
        GITHUB_ACTION: "build",
        GITHUB_ACTION_REPOSITORY: "a/b",
      });
      const pid = Number(await line(child));
      const record = await until(table, () => {
        const found = table.get(pid);
        return found?.exe === "/usr/bin/sleep" && found;
      });
      await end(child);
      await until(table, () => table.get(child.pid!) === null);
      assert.deepEqual(
        [record.step?.name, record.step?.action, record.step?.number, record.args, record.uid, record.native],
        ["build", "a/b", 1, ["sleep", "60"], 0, true],
      );
      assert.ok(record.ancestors.some((above) => above.pid === child.pid && above.exe === "/usr/bin/bash"));
      assert.equal(table.isRunner(table.get(process.pid)!), true);
      process.kill(pid, "SIGKILL");
      await until(table, () => table.get(pid) === null);
    }));

  test("a storm of short-lived processes all belong to their step, and cost no event", () =>
    withTable(async (table) => {
      const child = start(
        ["bash", "--norc", "-c", "read; for i in {1..300}; do /bin/true & done; wait; echo done; read"],
        {
          GITHUB_ACTION: "storm",
        },
      );
      await until(table, () => table.get(child.pid!)?.step?.name === "storm");
      child.stdin!.write("\n");
      await line(child);
      table.drain();
      assert.deepEqual([table.losses, table.missing], [0, 0]);
      assert.ok(table.size.ended >= 300, String(table.size.ended));
      await end(child);
    }));

  test("after lost events /proc is read again: what has a known parent has its step, an orphan is not placed", async () => {
    const met = new Set<number>();
    const table = new ProcessTable({ worker: process.pid, eventBuffer: 4096, onMet: ({ pid }) => met.add(pid) });
    const child = start(
      ["bash", "--norc", "-c", "read; for i in {1..200}; do /bin/true; done; sleep 60 & (sleep 61 &) ; echo $!; read"],
      {
        GITHUB_ACTION: "lossy",
      },
    );
    await until(table, () => table.get(child.pid!)?.step?.name === "lossy");
    assert.equal(met.size, 0);
    child.stdin!.write("\n");
    const known = Number(await line(child));
    await until(table, () => table.losses > 0 && table.get(known)?.exe === "/usr/bin/sleep");
    const orphan = await until(table, () => table.newestFirst().find(({ args }) => args[1] === "61"));
    assert.deepEqual([table.get(known)?.step?.name, table.get(known)?.placed], ["lossy", true]);
    assert.deepEqual([orphan.step, orphan.placed], [null, false]);
    assert.ok(met.has(known) && met.has(child.pid!) && met.has(orphan.pid), "whoever asked is told");
    table.close();
    for (const pid of [known, orphan.pid]) process.kill(pid, "SIGKILL");
    await end(child);
  });

  test("processes that are older than the table are in it, in the step that they are in", async () => {
    const child = start(["bash", "--norc", "-c", "sleep 60 & echo $!; wait"], { GITHUB_ACTION: "before" });
    const pid = Number(await line(child));
    await withTable(async (table) => {
      const record = table.get(pid)!;
      assert.deepEqual([record.step?.name, record.exe, record.placed], ["before", "/usr/bin/sleep", true]);
      assert.ok(table.get(1) !== null);
    });
    process.kill(pid, "SIGKILL");
    await end(child);
  });

  test("a table that begins with what another one read knows the same, and what happened since", async () => {
    const child = start(["bash", "--norc", "-c", "read; sleep 60 & echo $!; wait"], { GITHUB_ACTION: "shared" });
    const first = new ProcessTable({ worker: process.pid, others: 1 });
    await until(first, () => first.get(child.pid!)?.step?.name === "shared");
    child.stdin!.write("\n");
    const pid = Number(await line(child));
    const [beginning] = first.beginnings;
    // As it comes to another thread.
    const copy = structuredClone(beginning!);
    assert.deepEqual(copy, beginning);
    const second = new ProcessTable({ worker: process.pid, notes: first.notes, beginning: copy });
    await until(second, () => second.get(pid)?.exe === "/usr/bin/sleep");
    const { step, parent, placed } = second.get(pid)!;
    assert.deepEqual([step?.name, parent, placed, second.losses], ["shared", child.pid, true, 0]);
    assert.equal(second.get(1)!.startedAt, first.get(1)!.startedAt);
    second.close();
    first.close();
    process.kill(pid, "SIGKILL");
    await end(child);
  });

  test("the runner is found from a process that it started, and its listener", async () => {
    for (const name of ["Runner.Listener", "Runner.Worker"]) copyFileSync("/bin/bash", join(folder, name));
    // Of who executes something just as the table begins nobody can say that it was the first time: it is running by then.
    const inner = "echo runs; read; sh -c 'sleep 60; true' & echo $!; wait";
    const worker = `GITHUB_ACTION=one bash --norc -c "${inner}" & echo $!; wait`;
    const listener = start([
      join(folder, "Runner.Listener"),
      "--norc",
      "-c",
      `${join(folder, "Runner.Worker")} --norc -c '${worker.replaceAll("'", String.raw`'\''`)}'; true`,
    ]);
    let said = "";
    while (!/^runs$/m.test(said) || !/^\d+$/m.test(said)) said += `${await line(listener)}\n`;
    const step = Number(/^\d+$/m.exec(said)![0]);
    try {
      await withTable(
        async (table) => {
          assert.equal(table.get(table.worker!)?.exe, join(folder, "Runner.Worker"));
          assert.equal(table.isRunner(table.get(table.worker!)!), true);
          assert.equal(table.isRunner(table.get(listener.pid!)!), true);
          assert.equal(table.isRunner(table.get(step)!), false);
          await until(table, () => table.get(step)!.step?.name === "one");
        },
        { startedBy: step },
      );
    } finally {
      process.kill(step, "SIGKILL");
      await end(listener);
    }
  });

  test("without a runner nothing has a step", () =>
    withTable(
      async (table) => {
        assert.equal(table.worker, null);
        assert.ok(table.newestFirst().every(({ step }) => step === null));
      },
      { startedBy: 1 },
    ));

  test("a number that comes again is another process", () =>
    withTable(async (table) => {
      const child = start(["bash", "--norc", "-c", "read; true"], { GITHUB_ACTION: "first" });
      const pid = child.pid!;
      const first = await until(table, () => table.get(pid)?.step?.name === "first" && table.get(pid));
      await end(child);
      await until(table, () => table.get(pid) === null);
      const again = await reuse(pid);
      const second = await until(table, () => table.get(pid)?.exe === "/usr/bin/bash" && table.get(pid));
      assert.notEqual(second.startedAt, first.startedAt);
      assert.equal(second.step?.name, "second");
      assert.equal(table.at(pid, first.startedAt + 1e6)?.step?.name, "first");
      await end(again);
    }));

  test("a change of user is seen", () =>
    withTable(async (table) => {
      const child = start(["/usr/bin/python3", "-c", "import os, time; os.setuid(65534); time.sleep(60)"]);
      await until(table, () => table.get(child.pid!)?.uid === 65_534);
      await end(child);
    }));

  test("arguments are masked before they are kept", async () => {
    const table = new ProcessTable({ worker: process.pid, secrets: ["s3cr3t-value"] });
    const child = start([
      "bash",
      "--norc",
      "-c",
      "sleep 60; : s3cr3t-value; : --token=abcdef; true",
      "--password",
      "hunter2",
    ]);
    const record: ProcessRecord = await until(
      table,
      () => table.get(child.pid!)?.exe === "/usr/bin/bash" && table.get(child.pid!),
    );
    assert.deepEqual(record.args.slice(2), ["-c", "sleep 60; : ***; : --token=***; true", "--password", "***"]);
    assert.match(readFileSync(`/proc/${child.pid}/cmdline`, "utf8"), /hunter2/);
    table.close();
    await end(child);
  });
});

/** Starts processes until one has this number: root may say which one is given next. */
async function reuse(pid: number): Promise<ChildProcess> {
  for (let tries = 0; tries < 500; tries++) {
    writeFileSync("/proc/sys/kernel/ns_last_pid", String(pid - 1));
    const child = start(["bash", "--norc", "-c", "sleep 60; true"], { GITHUB_ACTION: "second" });
    if (child.pid === pid) return child;
    await end(child);
  }
  return assert.fail("the number is not given again");
}
