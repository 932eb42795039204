/**
 * Promises about looking for an engine's clients: whose process is connected is found, a look is bounded whatever a job has open, looks
 * take a share of the time, and what was not looked at is nobody's. Real sockets and descriptors, this process's and a child's; only
 * which step they belong to is made up. In a network namespace, where no other engine's clients are; needs root.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, suite, test } from "node:test";
import { addNamespace, deleteNamespace, inNamespace } from "../kernel/namespace.ts";
import { UnixDiag } from "../kernel/unix-diag.ts";
import { EngineClients } from "./engine-clients.ts";
import { type ProcessRecord, type StepTag, unseen } from "./record.ts";

const folder = mkdtempSync(join(tmpdir(), "sp-engine-"));
const path = join(folder, "docker.sock");
const namespace = `sp-engine-${process.pid}`;
const step = { pid: 2, number: 1, name: "build" } as StepTag;
const other = { pid: 3, number: 2, name: "other" } as StepTag;

function record(part: Partial<ProcessRecord>): ProcessRecord {
  const tree = { startedAt: 0, parent: 1, ancestors: [], step: null, asked: null, placed: true };
  return { ...unseen, ...tree, pid: process.pid, endedAt: null, seenAt: 0, past: [], ...part };
}

suite("an engine's clients", { timeout: 300_000 }, () => {
  let server: Server;
  let client: Socket;
  /** Has many descriptors, and none of the engine's. */
  let busy: ChildProcess;
  const opened: EngineClients[] = [];

  before(async () => {
    addNamespace(namespace);
    server = createServer().listen(path);
    await once(server, "listening");
    client = inNamespace(namespace, () => connect(path));
    await Promise.all([once(client, "connect"), once(server, "connection")]);
    const open =
      'import os, sys\nfor _ in range(900): os.open("/dev/null", 0)\nprint("ready", flush=True)\nsys.stdin.read()';
    busy = spawn("python3", ["-c", open], { stdio: ["pipe", "pipe", "inherit"] });
    await once(busy.stdout!, "data");
  });
  after(async () => {
    for (const each of opened) each.close();
    busy.stdin!.end();
    await once(busy, "exit");
    client.destroy();
    server.close();
    rmSync(folder, { recursive: true });
    deleteNamespace(namespace);
  });

  function among(records: readonly ProcessRecord[], now?: () => number): EngineClients {
    const clients = new EngineClients(() => records, now);
    opened.push(clients);
    return clients;
  }
  const stepsOf = (clients: EngineClients) => inNamespace(namespace, () => clients.steps());
  const many = (part: Partial<ProcessRecord>) => Array.from({ length: 20 }, () => record({ ...part, pid: busy.pid! }));

  test("the step whose process is connected; one of no step is null; an engine does not count", () => {
    assert.deepEqual(stepsOf(among([record({ step })])), [step]);
    assert.deepEqual(stepsOf(among([record({ asked: { by: [step], joins: false } })])), [step]);
    assert.deepEqual(stepsOf(among([record({})])), [null]);
    assert.deepEqual(stepsOf(among([record({ exe: "/usr/bin/dockerd" })])), []);
    assert.deepEqual(stepsOf(among([record({ exe: "/usr/bin/dockerd", container: "x" })])), [null]);
  });

  test("a container of which nobody knows who asked for it is a client of no step", () => {
    assert.deepEqual(stepsOf(among([record({ asked: { by: [], joins: false } })])), [null]);
  });

  test("of a job that has more open than can be gone through, who was not reached is nobody's", () => {
    assert.deepEqual(stepsOf(among([...many({ step: other }), record({ step })])), [null]);
    assert.deepEqual(stepsOf(among([record({ step }), ...many({ step: other })])), [step]);
  });

  test("engines are looked at first: what a job has open does not hide that only they are connected", () => {
    const engine = record({ exe: "/usr/bin/dockerd" });
    assert.deepEqual(stepsOf(among([...many({ step: other }), engine])), []);
  });

  test("where the machine has more sockets than are to be read, reading stops, and begins anew the next time", () => {
    inNamespace(namespace, () => {
      const diag = new UnixDiag();
      assert.equal(
        diag.accepted(() => true),
        null,
      );
      assert.ok(diag.accepted()!.some((each) => each.path === path));
      diag.close();
    });
  });

  test("where no descriptor is left it is nobody's answer this time, and nothing worse", async () => {
    const script = `
      import { closeSync, openSync } from "node:fs";
      import { EngineClients } from ${JSON.stringify(join(import.meta.dirname, "engine-clients.ts"))};
      const engine = { pid: ${process.pid}, exe: "/usr/bin/dockerd", step: null, asked: null, container: null };
      const clients = new EngineClients(() => [engine]);
      const open = [];
      try { for (;;) open.push(openSync("/dev/null")); } catch (error) { open.push(error.code); }
      const full = open.pop();
      const answers = [full, clients.steps()];
      for (const each of open) closeSync(each);
      console.log(JSON.stringify([...answers, clients.steps()]));`;
    const run = 'ulimit -n 64; exec "$0" --disable-warning=ExperimentalWarning --input-type=module -e "$1"';
    const options: SpawnOptions = { stdio: ["ignore", "pipe", "inherit"] };
    const child = inNamespace(namespace, () => spawn("sh", ["-c", run, process.execPath, script], options));
    const [answers] = await Promise.all([text(child.stdout!), once(child, "exit")]);
    assert.deepEqual(JSON.parse(answers), ["EMFILE", [null], []]);
  });

  test("looking takes a share of the time, and is nobody's answer where that is used up", () => {
    let now = 0;
    let looks = 0;
    const clients = new EngineClients(
      () => {
        looks++;
        // As if it took this long, ms.
        now += 60;
        return [record({ step })];
      },
      () => now,
    );
    opened.push(clients);
    const answers = Array.from({ length: 50 }, () => stepsOf(clients));
    // A hundred that were saved up, and a fifth of what passed.
    assert.equal(looks, 3);
    assert.deepEqual([answers[2], answers[3], answers[49]], [[step], [null], [null]]);
    now += 500;
    assert.deepEqual(stepsOf(clients), [step]);
  });
});
