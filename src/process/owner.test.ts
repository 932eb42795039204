/**
 * Promises about whose a packet is, asked while it waits: the process that called, also when it has ended, has executed another
 * program, or got the socket from somebody else; the step it came from, not the one that runs; and where it cannot be known,
 * that it cannot. Real processes in a network namespace; needs root and the initial namespaces.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { after, afterEach, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { addresses } from "../kernel/testing/lab.ts";
import { describeOwner, factsOf, noFacts } from "./facts.ts";
import { type Owner, OwnerLookup } from "./owner.ts";
import { ProcessTable } from "./table.ts";
import { Stage, type Waiting } from "./testing/stage.ts";

const PYTHON = "/usr/bin/python3";
const server = addresses[4].server;
let stage: Stage;
let table: ProcessTable;
/** With programs in the kernel, and without. */
let seeing: OwnerLookup;
let searching: OwnerLookup;
let ports = 4000;
let draining: NodeJS.Timeout;

/** Asks for the packet to `port` that comes next; both ways of looking see it wait. */
async function ask(port: number): Promise<{ packet: Waiting; seen: Owner | null; searched: Owner | null }> {
  const packet = await stage.packet(port);
  const seen = seeing.find(packet);
  const searched = searching.find(packet);
  stage.drop(packet);
  return { packet, seen, searched };
}

const exeOf = (owner: Owner | null) => owner?.record?.exe ?? null;
const stepOf = (owner: Owner | null) => owner?.record?.step?.name ?? null;
const python = (text: string) => [PYTHON, "-c", text];

suite("whose packet it is", { timeout: 300_000 }, () => {
  before(async () => {
    stage = await Stage.create();
    table = new ProcessTable({ worker: process.pid });
    // As the data path does whenever there is news.
    draining = setInterval(() => table.drain(), 2);
    seeing = new OwnerLookup(table);
    searching = new OwnerLookup(table, { witness: false, searchFor: 10_000 });
  });
  afterEach(() => stage.endAll());
  after(async () => {
    clearInterval(draining);
    seeing.close();
    searching.close();
    table.close();
    await stage.close();
  });

  test("the kernel takes our programs here, and their absence is said", () => {
    assert.equal(seeing.blind, null);
    assert.equal(searching.blind, "switched off");
  });

  for (const [v, host] of [
    [4, server],
    [6, `[${addresses[6].server}]`],
  ] as const) {
    test(`curl in a step, IPv${v}`, async () => {
      const port = ++ports;
      const child = stage.step("fetch", `curl -s -m 20 http://${host}:${port}/; true`, {
        GITHUB_ACTION_REPOSITORY: "a/b",
      });
      const { seen, searched } = await ask(port);
      for (const owner of [seen, searched]) {
        assert.deepEqual(factsOf(owner, table), { step: "fetch", action: "a/b", exe: "/usr/bin/curl", runner: false });
        const told = describeOwner(owner, table)!;
        assert.deepEqual([told.user, told.container, told.args[0]], ["root", null, "curl"]);
        assert.ok(told.ancestors.some(({ pid }) => pid === process.pid));
      }
      assert.deepEqual([seen!.by, searched!.by], ["call", "descriptor"]);
      await stage.end(child);
    });
  }

  test("a background process of step A that connects during step B is step A's", async () => {
    const port = ++ports;
    const go = `${stage.folder}/go`;
    const late = `until [ -e ${go} ]; do sleep 0.1; done; exec curl -s -m 20 http://${server}:${port}/`;
    // Forked twice, in a session of its own: nothing in /proc ties it to the step any more.
    await stage.finished("A", `(setsid bash -c '${late}' >/dev/null 2>&1 </dev/null & ) & wait; sleep 1; true`);
    const other = stage.step("B", "sleep 30");
    await sleep(200);
    stage.file("go", "");
    const { seen, searched } = await ask(port);
    assert.deepEqual([stepOf(seen), stepOf(searched)], ["A", "A"]);
    assert.deepEqual([exeOf(seen), seen!.certain], ["/usr/bin/curl", true]);
    await stage.end(other);
  });

  test("who connects and ends at once, with the socket gone while the packet waits", async () => {
    const port = ++ports;
    const connect = `import os, socket; s = socket.socket(); s.setblocking(False); s.connect_ex(("${server}", ${port})); os._exit(0)`;
    const child = stage.start(python(connect), { GITHUB_ACTION: "hasty" });
    await once(child, "exit");
    const { seen, searched } = await ask(port);
    assert.deepEqual([stepOf(seen), seen?.by, seen?.certain], ["hasty", "call", true]);
    assert.deepEqual(factsOf(searched, table), noFacts, "nothing is left to search for");
  });

  test("who sends one datagram and ends at once, connected or not", async () => {
    const port = ++ports;
    const step = stage.step("datagram", `(echo x > /dev/udp/${server}/${port}); sleep 60; true`);
    const connected = (await ask(port)).seen;
    assert.deepEqual([stepOf(connected), connected?.by, connected?.certain], ["datagram", "destination", true]);
    await stage.end(step);
    const send = `import os, socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b"x", ("${server}", ${port})); os._exit(0)`;
    await once(stage.start(python(send), { GITHUB_ACTION: "loose" }), "exit");
    const loose = (await ask(port)).seen;
    assert.deepEqual([stepOf(loose), loose?.by, loose?.certain], ["loose", "call", true]);
  });

  test("of two who did so to the same destination, neither is certain", async () => {
    const port = ++ports;
    await Promise.all(["one", "two"].map((name) => stage.finished(name, `echo x > /dev/udp/${server}/${port}`)));
    const { seen } = await ask(port);
    assert.deepEqual(factsOf(seen, table), noFacts);
  });

  test("who connects and then executes another program is not that program", async () => {
    const port = ++ports;
    const connect = `import os, socket, time; time.sleep(1); s = socket.socket(); s.set_inheritable(True); s.setblocking(False); s.connect_ex(("${server}", ${port})); os.execv("/bin/sleep", ["sleep", "30"])`;
    const child = stage.start(python(connect), { GITHUB_ACTION: "chain" });
    const packet = await stage.packet(port);
    await sleep(500);
    const seen = seeing.find(packet);
    stage.drop(packet);
    assert.equal(table.get(child.pid!)?.exe, "/usr/bin/sleep");
    assert.match(exeOf(seen)!, /^\/usr\/bin\/python3/);
    await stage.end(child);
  });

  test("a thread that connects is its process", async () => {
    const port = ++ports;
    const connect = `import socket, threading; t = threading.Thread(target=lambda: socket.create_connection(("${server}", ${port}), 20)); t.start(); t.join()`;
    const child = stage.start(python(connect), { GITHUB_ACTION: "thread" });
    const { seen, searched } = await ask(port);
    for (const owner of [seen, searched]) assert.deepEqual([owner?.record?.pid, owner?.certain], [child.pid, true]);
    await stage.end(child);
  });

  test("a socket that was sent to another process is the one's who connects; by descriptors alone it is nobody's for certain", async () => {
    const port = ++ports;
    const pass = `
import array, os, socket, time
a, b = socket.socketpair()
maker = os.fork()
if maker == 0:
    s = socket.socket()
    a.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()]))])
    time.sleep(30)
    os._exit(0)
taker = os.fork()
if taker == 0:
    _, parts, _, _ = b.recvmsg(1, socket.CMSG_SPACE(4))
    s = socket.socket(fileno=int.from_bytes(parts[0][2][:4], "little"))
    s.setblocking(False)
    print(os.getpid(), flush=True)
    s.connect_ex(("${server}", ${port}))
    time.sleep(30)
    os._exit(0)
time.sleep(30)`;
    const child = stage.start(python(pass), { GITHUB_ACTION: "passed" });
    const [line] = (await once(child.stdout!, "data")) as [Buffer];
    const { seen, searched } = await ask(port);
    assert.deepEqual([seen?.record?.pid, seen?.certain], [Number(line.toString()), true]);
    assert.deepEqual([searched?.certain, stepOf(searched)], [false, "passed"]);
    await stage.end(child);
  });

  test("a socket whose notes were pushed out by a flood, and that a service holds now, is not the service's for certain", async () => {
    const port = ++ports;
    const path = `${stage.folder}/service`;
    const take = `
import array, socket
l = socket.socket(socket.AF_UNIX)
l.bind("${path}")
l.listen()
print("ready", flush=True)
c, _ = l.accept()
_, parts, _, _ = c.recvmsg(1, socket.CMSG_SPACE(4))
print("taken", flush=True)
c.recv(1)`;
    const service = stage.start(python(take), { GITHUB_ACTION: "service" });
    await once(service.stdout!, "data");
    // Notes that were looked up as its own was, from each processor, which has some in hand. None of it leaves, or waits.
    const give = `
import array, os, socket, time
s = socket.socket()
s.setblocking(False)
s.connect_ex(("${server}", ${port}))
c = socket.socket(socket.AF_UNIX)
c.connect("${path}")
c.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()]))])
s.close()
for cpu in os.sched_getaffinity(0):
    os.sched_setaffinity(0, {cpu})
    for _ in range(35000):
        t = socket.socket()
        t.setblocking(False)
        t.connect_ex(("127.0.0.1", 1))
        t.close()
print("gone", flush=True)
time.sleep(30)`;
    const thief = stage.start(python(give), { GITHUB_ACTION: "thief" });
    const packet = await stage.packet(port);
    await once(thief.stdout!, "data");
    // The note by addresses may still be there: it holds for two seconds.
    let seen = seeing.find(packet);
    for (let looks = 0; seen?.by === "call" && looks < 100; looks++) {
      await sleep(100);
      seen = seeing.find(packet);
    }
    const searched = searching.find(packet);
    stage.drop(packet);
    // What was pushed out is the test's own condition; whose it then seems to be is what the flood is for.
    assert.deepEqual([seen?.by, seen?.record?.pid], ["descriptor", service.pid]);
    assert.deepEqual([searched?.record?.pid, searched?.certain], [service.pid, true]);
    assert.equal(seen?.certain, false);
    assert.deepEqual(factsOf(seen, table), noFacts);
    for (const each of [thief, service]) await stage.end(each);
  });

  test("an inherited socket is the child's who sends by it; by descriptors alone it is the parent's who made it", async () => {
    const port = ++ports;
    const inherit = `
import os, socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 0))
child = os.fork()
if child == 0:
    print(os.getpid(), flush=True)
    s.sendto(b"x", ("${server}", ${port}))
    time.sleep(30)
    os._exit(0)
time.sleep(30)`;
    const parent = stage.start(python(inherit), { GITHUB_ACTION: "inetd" });
    const [line] = (await once(parent.stdout!, "data")) as [Buffer];
    const { seen, searched } = await ask(port);
    assert.deepEqual([seen?.record?.pid, seen?.certain], [Number(line.toString()), true]);
    assert.deepEqual([searched?.record?.pid, searched?.certain], [parent.pid, true]);
    await stage.end(parent);
  });

  test("a socket that is older than we are is found by its descriptor: certain only where a note could not have been lost", async () => {
    const port = ++ports;
    const old = `import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("${server}", ${port})); print("ready", flush=True); sys.stdin.readline(); s.send(b"x"); sys.stdin.readline()`;
    const child = stage.start(python(old), { GITHUB_ACTION: "old" });
    await once(child.stdout!, "data");
    const later = new ProcessTable({ worker: process.pid });
    const lookup = new OwnerLookup(later, { searchFor: 10_000 });
    child.stdin!.write("go\n");
    const packet = await stage.packet(port);
    const [seen, searched] = [lookup.find(packet), searching.find(packet)];
    stage.drop(packet);
    for (const owner of [seen, searched])
      assert.deepEqual([owner?.record?.pid, owner?.by, stepOf(owner)], [child.pid, "descriptor", "old"]);
    assert.deepEqual([seen?.certain, searched?.certain], [false, true]);
    lookup.close();
    later.close();
    await stage.end(child);
  });

  test("of a crowd of raw sockets few are searched for, and nothing is certain", async () => {
    const send = `
import os, socket
four = [socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) for _ in range(40)]
four[0].sendto(bytes([8, 0, 0, 0]) + os.urandom(4), ("${server}", 0))
input()`;
    const child = stage.start(python(send), { GITHUB_ACTION: "crowd" });
    const packet = await stage.packet(0);
    const before = searching.counts.searched;
    const owner = searching.find(packet);
    stage.drop(packet);
    assert.equal(searching.counts.searched - before, 8);
    assert.deepEqual([owner?.record?.pid, owner?.certain], [child.pid, false]);
    await stage.end(child);
  });

  test("a ping is its process's", async () => {
    const child = stage.step("ping", `ping -c 1 -W 20 ${server}; true`);
    const packet = await stage.packet(0);
    const owner = seeing.find(packet);
    stage.drop(packet);
    assert.deepEqual(
      [packet.protocol, exeOf(owner), owner?.by, owner?.certain],
      [1, "/usr/bin/ping", "descriptor", true],
    );
    await stage.end(child);
  });

  test("another root or mount namespace makes /usr/bin/curl no fact: any file can stand there", async () => {
    const port = ++ports;
    const child = stage.step("mounted", `unshare -m curl -s -m 20 http://${server}:${port}/; true`);
    const { seen } = await ask(port);
    assert.deepEqual([exeOf(seen), seen?.certain], ["/usr/bin/curl", true]);
    assert.deepEqual(factsOf(seen, table), { step: "mounted", action: null, exe: null, runner: false });
    await stage.end(child);
  });

  test("a namespace that nobody is in any more is given up", async () => {
    const port = ++ports;
    const child = stage.step("there", `curl -s -m 20 http://${server}:${port}/; true`);
    await ask(port);
    assert.ok(searching.namespaces >= 1);
    await stage.end(child);
    const before = searching.namespaces;
    for (const until = performance.now() + 20_000; searching.namespaces >= before; await sleep(100)) {
      assert.ok(performance.now() < until, "it is kept");
      searching.tick();
    }
  });

  test("a packet that no socket sent has no owner", async () => {
    const packet = {
      protocol: 6,
      source: "\xc0\0\x02\x02",
      sourcePort: 9,
      destination: "\xc6\x33\x64\x02",
      destinationPort: 9,
    };
    assert.equal(seeing.find(packet as never), null);
    assert.deepEqual(factsOf(null, table), noFacts);
    assert.equal(describeOwner(null, table), null);
  });
});
