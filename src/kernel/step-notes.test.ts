/**
 * Promises about the notes at exec: what a direct child was started with is known when it is gone, or runs something else; only its first
 * exec is noted; nobody else's is.
 */
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { StepNotes } from "./step-notes.ts";

const now = () => Number(process.hrtime.bigint());

describe("notes", () => {
  let notes: StepNotes;
  const run = (command: readonly string[], env: Record<string, string>): { note: string | null; pid: number } => {
    const since = now();
    const { pid }: SpawnSyncReturns<Buffer> = spawnSync(command[0]!, command.slice(1), { env });
    return { note: notes.of(pid, since, now())?.environment.toString("latin1") ?? null, pid };
  };

  before(() => (notes = StepNotes.attach(process.pid)));
  after(() => notes?.close());

  test("have the environment of who is gone", () => {
    assert.deepEqual(run(["/bin/true", "an argument", ""], { A: "1", B: "two" }).note, "A=1\0B=two\0");
    assert.deepEqual(run(["/bin/true"], {}).note, "");
  });

  test("have the first exec's, whatever it executes then", () => {
    const script = "exec env -i A=other sh -c 'exec env -i A=third true'";
    assert.match(run(["/bin/sh", "-c", script], { A: "mine", PATH: "/bin:/usr/bin" }).note!, /^A=mine\0/);
  });

  test("are whole where there is much, and missing where there is too much", () => {
    const some = Object.fromEntries(["A", "B"].map((name) => [name, "x".repeat(100_000)]));
    assert.equal(run(["/bin/true"], some).note?.length, 200_006);
    const much = { ...some, C: "x".repeat(100_000) };
    assert.equal(run(["/bin/true"], much).note, null);
  });

  test("are of direct children only, and of the time that is asked for", () => {
    const since = now();
    const { pid, stdout } = spawnSync("/bin/sh", ["-c", "A=2 true; A=2 /bin/true & echo $!; wait"], {
      env: { A: "1" },
    });
    assert.equal(notes.of(Number(stdout), since, now()), null);
    assert.equal(notes.of(pid, now(), now()), null);
    assert.equal(notes.of(pid, since, since), null);
    assert.equal(notes.of(pid, since, now())?.environment.toString(), "A=1\0");
  });

  test("are read by another thread's object", () => {
    const since = now();
    const { pid } = spawnSync("/bin/true", { env: { A: "1" } });
    const other = StepNotes.at(notes.fd);
    assert.equal(other.of(pid, since, now())?.environment.toString(), "A=1\0");
    other.close();
  });

  test("say where there can be none: sixteen at a time, the last of each number's end", () => {
    const since = now();
    const pids = Array.from({ length: 40 }, () => spawnSync("/bin/true", { env: { A: "1" } }).pid);
    const known = pids.filter((pid) => notes.of(pid, since, now()) !== null);
    assert.ok(known.includes(pids.at(-1)!) && known.length <= 16, String(known.length));
  });
});
