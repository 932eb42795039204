/**
 * Promises about process events: every fork, exec and end is told in order with its parent, threads are told from processes, and
 * what was lost is noticed. Real processes; needs root and the initial namespaces.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { suite, test } from "node:test";
import { Worker } from "node:worker_threads";
import { once } from "node:events";
import { ProcConnector, type ProcEvent } from "./proc-connector.ts";
import { SequenceWatch } from "./proc-event.ts";
import { Waiter } from "./wait.ts";

function listening<T>(use: (connector: ProcConnector) => T, bufferSize?: number): T {
  const connector = bufferSize === undefined ? new ProcConnector() : new ProcConnector(bufferSize);
  try {
    return use(connector);
  } finally {
    connector.close();
  }
}

function drain(connector: ProcConnector): { events: ProcEvent[]; lost: boolean } {
  const events: ProcEvent[] = [];
  const { lost } = connector.receive((event) => events.push(event));
  return { events, lost };
}

suite("process events", { timeout: 120_000 }, () => {
  test("a child's fork, exec and end are told in that order, the fork with its parent", () =>
    listening((connector) => {
      const child = spawnSync("/bin/true");
      const { events, lost } = drain(connector);
      assert.equal(lost, false);
      const its = events.filter((event) => "pid" in event && event.pid === child.pid);
      assert.deepEqual(
        its.map(({ kind }) => kind),
        ["fork", "exec", "exit"],
      );
      const [fork] = its;
      assert.ok(fork?.kind === "fork" && fork.parent === process.pid && fork.tid === fork.pid);
      const now = Number(process.hrtime.bigint());
      for (const { time } of its) assert.ok(time < now && time > now - 60e9);
    }));

  test("a thread is told as one: its own number, its process's pid", async () => {
    const connector = new ProcConnector();
    try {
      const worker = new Worker("", { eval: true });
      await once(worker, "exit");
      const { events } = drain(connector);
      const thread = events.find((event) => event.kind === "fork" && event.pid === process.pid);
      assert.ok(thread?.kind === "fork" && thread.tid !== process.pid);
      assert.ok(events.some((event) => event.kind === "exit" && event.tid === thread.tid && event.pid === process.pid));
    } finally {
      connector.close();
    }
  });

  test("a change of user is told with the user that acts", () =>
    listening((connector) => {
      spawnSync("setpriv", ["--reuid=65534", "--clear-groups", "true"]);
      const { events } = drain(connector);
      assert.ok(events.some((event) => event.kind === "uid" && event.effective === 65_534));
    }));

  test("a Waiter wakes for it", () =>
    listening((connector) => {
      const waiter = new Waiter([connector.fd]);
      drain(connector);
      spawnSync("/bin/true");
      assert.ok(waiter.wait(5000) > 0 && waiter.ready(0));
      waiter.close();
    }));

  test("a reader that is too slow is told so, and hears what comes after", () =>
    listening((connector) => {
      spawnSync("sh", ["-c", "i=0; while [ $i -lt 60 ]; do /bin/true; i=$((i+1)); done"]);
      assert.equal(drain(connector).lost, true);
      assert.equal(connector.overruns, 1);
      // Whatever else forks on this machine meanwhile must not fill the small buffer again.
      for (let i = 0; i < 50; i++) {
        const child = spawnSync("/bin/true");
        const { events } = drain(connector);
        if (events.some((event) => event.kind === "exec" && event.pid === child.pid)) return;
      }
      assert.fail("nothing is heard any more");
    }, 4096));

  test("a gap in a CPU's numbers is a loss, their start and a wrap are not", () => {
    const watch = new SequenceWatch();
    const follows = (cpu: number, sequence: number) => watch.follows({ cpu, sequence, time: 0 });
    assert.ok(follows(0, 7) && follows(1, 0xfffffffe) && follows(0, 8) && follows(1, 0xffffffff) && follows(1, 0));
    assert.ok(follows(0xffffffff, 3), "an answer to LISTEN counts for no CPU");
    assert.equal(follows(0, 11), false);
    assert.equal(watch.missing, 2);
    assert.ok(follows(0, 12));
    assert.equal(follows(1, 0xffffff00), false, "backwards");
  });
});
