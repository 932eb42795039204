/**
 * Promises about datagrams taken and given many at once: what comes in is what Node's `dgram` would have said, in order, and more of
 * it in a turn of the event loop; what goes out reaches everybody it is for, whatever becomes of one of them. Needs root.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import dgram from "node:dgram";
import { suite, test, type TestContext } from "node:test";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { family, parseAddress } from "../address/ip.ts";
import { run } from "./commands.ts";
import { DatagramSocket, type Peer } from "./datagrams.ts";
import * as libc from "./libc.ts";
import { addNamespace, deleteNamespace, inNamespace } from "./namespace.ts";
import { anyAddress, boundTo, listenUdp, socketAddress } from "./sockets.ts";
import { address, addresses, type Lab, withLab } from "./testing/lab.ts";

interface Taken extends Peer {
  text: string;
}

const SO_SNDBUF = 7;

async function ours(t: TestContext, fd: number, of: 4 | 6) {
  const socket = await DatagramSocket.adopt(fd, of);
  t.after(() => socket.close());
  const taken: Taken[] = [];
  socket.listen((bytes, from) => void taken.push({ ...from, text: Buffer.from(bytes).toString("latin1") }));
  return { socket, taken };
}

/** What `dgram` alone makes of the same. */
async function theirs(t: TestContext, fd: number, of: 4 | 6) {
  const socket = dgram.createSocket(of === 4 ? "udp4" : "udp6");
  t.after(() => socket.close());
  const taken: Taken[] = [];
  socket.on("message", (bytes, { address: from, port }) => {
    taken.push({ address: from, port, text: bytes.toString("latin1") });
  });
  await new Promise<void>((resolve) => socket.bind({ fd }, resolve));
  return { socket, taken };
}

function opened(t: TestContext, fd: number): number {
  t.after(() => libc.close(fd));
  return fd;
}

async function until(holds: () => boolean, what: () => string): Promise<void> {
  for (let waited = 0; !holds(); waited += 5) {
    if (waited > 5_000) assert.fail(what());
    await sleep(5);
  }
}

const loopback = { 4: address("127.0.0.1"), 6: address("::1") } as const;

suite("datagrams", { timeout: 30_000 }, () => {
  for (const v of [4, 6] as const) {
    test(`IPv${v}: what comes is what dgram says came, of every length`, async (t) => {
      const fds = [listenUdp(loopback[v], 0), listenUdp(loopback[v], 0)] as const;
      const [a, b] = [await ours(t, fds[0], v), await theirs(t, fds[1], v)];
      const from = opened(t, listenUdp(loopback[v], 0));
      for (let round = 0; round < 3; round++) {
        for (const fd of fds) {
          const { port } = boundTo(fd);
          for (const length of [0, 1, 12, 512, 1232, 4096, 4097, 9000, [65_507, 40_000, 20_000][round]!, 2, 0]) {
            const bytes = Buffer.alloc(length, `${round}.${length} `);
            assert.equal(libc.sendto(from, bytes, length, 0, socketAddress(loopback[v], port)), length);
          }
        }
        // Behind one another, so that slots are used again with shorter datagrams in them.
        await until(
          () => a.taken.length === 11 * (round + 1) && b.taken.length === a.taken.length,
          () => "some are lost",
        );
      }
      assert.deepEqual(a.taken, b.taken);
    });
  }

  test("a burst comes in one turn of the event loop, and a flood in several", async (t) => {
    const { socket, taken } = await ours(t, listenUdp(loopback[4], 0), 4);
    const from = opened(t, listenUdp(loopback[4], 0));
    const to = socketAddress(loopback[4], socket.local.port);
    const send = (count: number) => {
      for (let i = 0; i < count; i++) libc.sendto(from, Buffer.from(`${i}`), `${i}`.length, 0, to);
    };
    send(60);
    // An immediate runs after the poll phase that takes them: `dgram` alone takes 32 in one.
    for (let turns = 0; taken.length === 0 && turns < 1_000; turns++) await turn();
    assert.equal(taken.length, 60);
    taken.length = 0;
    send(200);
    const inTurns: number[] = [];
    for (let turns = 0; taken.length < 200 && turns < 1_000; turns++) {
      const before = taken.length;
      await turn();
      if (taken.length > before) inTurns.push(taken.length - before);
    }
    assert.ok(inTurns.length > 1 && Math.max(...inTurns) <= 96, inTurns.join(" "));
    assert.deepEqual(
      taken.map(({ text }) => text),
      Array.from({ length: 200 }, (_, i) => `${i}`),
    );
  });

  test("senders of every kind have dgram's text: zones, embedded addresses, zeros", async (t) => {
    await withLab(async (lab: Lab) => {
      const { client } = lab;
      run("ip", ["-n", client, "link", "set", "lo", "up"]);
      const senders = [
        ...[
          "::1",
          "::1.2.3.4",
          "::5",
          "::2",
          "::1:0",
          "::ffff",
          "2001:db8:9::",
          "2001:db8:9:0:1::",
          "2001:db8:9:1:0:1:0:1",
        ],
        ...["fe80::1:2", "127.0.0.1", "127.255.0.9", "192.0.2.2"],
      ];
      for (const text of senders.filter((each) => each.includes(":") && each !== "::1")) {
        run("ip", ["-n", client, "addr", "add", `${text}/128`, "dev", "lo", "nodad"]);
      }
      for (const text of senders) {
        const v = family(address(text));
        // Interface 1 is the loopback in every namespace: its name is the same here, where Node looks it up.
        const scope = text.startsWith("fe80") ? 1 : 0;
        const here = scope === 1 ? address(text) : anyAddress(v);
        const fds = inNamespace(client, () => [listenUdp(here, 0, { scope }), listenUdp(here, 0, { scope })] as const);
        const [a, b] = [await ours(t, fds[0], v), await theirs(t, fds[1], v)];
        const from = opened(
          t,
          inNamespace(client, () => listenUdp(address(text), 0, { scope })),
        );
        for (const fd of fds) {
          const to = socketAddress(scope === 1 ? here : address(text), boundTo(fd).port, scope);
          for (let i = 0; i < 3; i++) assert.equal(libc.sendto(from, Buffer.from(`${i}`), 1, 0, to), 1, text);
        }
        await until(
          () => a.taken.length === 3 && b.taken.length === 3,
          () => `${text}: ${a.taken.length} of 3`,
        );
        assert.deepEqual(a.taken, b.taken, text);
        if (scope === 1) assert.match(a.taken[2]!.address, /^fe80::1:2%lo$/);
        // And that is whom an answer finds.
        a.socket.send(Buffer.from("back"), a.taken[2]!);
        const bytes = Buffer.alloc(8);
        await until(
          () => libc.recv(from, bytes, libc.MSG_DONTWAIT) === 4,
          () => `${text}: no answer`,
        );
        assert.equal(bytes.toString("latin1", 0, 4), "back");
      }
    });
  });

  for (const v of [4, 6] as const) {
    test(`IPv${v}: nobody's error loses another's answer`, async (t) => {
      const { socket, taken } = await ours(t, listenUdp(loopback[v], 0), v);
      const clients = Array.from({ length: 70 }, () => opened(t, listenUdp(loopback[v], 0)));
      const gone = listenUdp(loopback[v], 0);
      const text = v === 4 ? "127.0.0.1" : "::1";
      const nobody = { address: text, port: boundTo(gone).port };
      libc.close(gone);
      const refused: Peer[] = [
        nobody,
        { address: text, port: 0 },
        // Not permitted without SO_BROADCAST; of no interface.
        { address: v === 4 ? "255.255.255.255" : "fe80::9%nowhere", port: 53 },
        { address: v === 4 ? "0.0.0.0" : "::", port: 0 },
        { address: "no address", port: 53 },
      ];
      // A length of every kind: what fits no slot goes another way.
      const answerTo = (i: number, round: number) => Buffer.alloc(i % 9 === 8 ? 5_000 : 3 + i, `${round}:${i} `);
      for (let round = 0; round < 3; round++) {
        for (const [i, fd] of clients.entries()) {
          for (const peer of refused) socket.send(Buffer.from("lost"), peer);
          socket.send(answerTo(i, round), { address: text, port: boundTo(fd).port });
        }
        socket.send(Buffer.from("lost"), nobody);
        await sleep(20);
      }
      const bytes = Buffer.alloc(65_536);
      for (const [i, fd] of clients.entries()) {
        for (let round = 0; round < 3; round++) {
          const length = libc.recv(fd, bytes, libc.MSG_DONTWAIT);
          assert.equal(bytes.toString("latin1", 0, Math.max(0, length)), answerTo(i, round).toString("latin1"));
        }
        assert.equal(libc.recv(fd, bytes, libc.MSG_DONTWAIT), -libc.EAGAIN);
      }
      // And it still hears.
      libc.sendto(clients[0]!, Buffer.from("again"), 5, 0, socketAddress(loopback[v], socket.local.port));
      await until(
        () => taken.length === 1,
        () => "it is deaf",
      );
    });
  }

  test("a full socket buffer delays answers and loses none", async (t) => {
    await withLab(async (lab: Lab) => {
      const { client, gateway } = lab;
      const fd = inNamespace(client, () => listenUdp(address(addresses[4].client), 0));
      libc.setsockopt(fd, libc.SOL_SOCKET, SO_SNDBUF, 4_608);
      const { socket } = await ours(t, fd, 4);
      const to = inNamespace(gateway, () => listenUdp(address(addresses[4].gateway), 0));
      const far = await theirs(t, to, 4);
      const peer = { address: addresses[4].gateway, port: boundTo(to).port };
      // Whose hardware address is not told waits in the sender's kernel, and takes room in its buffer.
      lab.sysctl(client, "net/ipv4/neigh/in0/retrans_time_ms", "300");
      run("ip", ["-n", client, "neigh", "flush", "all"]);
      run("ip", ["-n", gateway, "link", "set", "in0", "arp", "off"]);
      const bytes = Buffer.alloc(1_000);
      for (let i = 0; i < 60; i++) {
        bytes.writeUInt32LE(i);
        socket.send(Buffer.from(bytes), peer);
      }
      await sleep(50);
      assert.equal(far.taken.length, 0);
      assert.ok(
        libc.sendto(fd, bytes, bytes.length, libc.MSG_DONTWAIT, socketAddress(address(peer.address), 9)) ===
          -libc.EAGAIN,
      );
      run("ip", ["-n", gateway, "link", "set", "in0", "arp", "on"]);
      await until(
        () => far.taken.length === 60,
        () => `${far.taken.length} of 60`,
      );
      assert.deepEqual(
        far.taken.map(({ text }) => Buffer.from(text, "latin1").readUInt32LE()),
        Array.from({ length: 60 }, (_, i) => i),
      );
    });
  });

  test("closing sends what is to be sent, and touches the descriptor's number no more", async (t) => {
    const fd = listenUdp(loopback[4], 0);
    const { socket } = await ours(t, fd, 4);
    const client = opened(t, listenUdp(loopback[4], 0));
    const peer = { address: "127.0.0.1", port: boundTo(client).port };
    socket.send(Buffer.from("last"), peer);
    socket.close();
    // Whoever opens something next gets the number.
    const other = opened(t, listenUdp(loopback[4], 0));
    assert.equal(other, fd);
    socket.send(Buffer.from("late"), peer);
    socket.close();
    await sleep(20);
    const bytes = Buffer.alloc(8);
    assert.equal(libc.recv(client, bytes, libc.MSG_DONTWAIT), 4);
    assert.equal(bytes.toString("latin1", 0, 4), "last");
    assert.equal(libc.recv(client, bytes, libc.MSG_DONTWAIT), -libc.EAGAIN);
  });

  test("a descriptor that is no socket is not taken over", async () => {
    await assert.rejects(DatagramSocket.adopt(1_000_000, 4));
  });
});

test("a link-local address of another namespace, on a device that is not in ours, is no obstacle", async () => {
  const namespace = `sp-datagrams-${process.pid}`;
  addNamespace(namespace);
  try {
    const ip = (...args: string[]) => execFileSync("ip", ["-n", namespace, ...args]);
    ip("link", "add", "far", "index", "48213", "type", "veth", "peer", "name", "near");
    for (const each of ["far", "near"]) ip("link", "set", each, "up");
    ip("addr", "add", "fe80::53/64", "dev", "far", "nodad");
    const fd = inNamespace(namespace, () => listenUdp(parseAddress("fe80::53")!, 5353, { scope: 48_213 }));
    const socket = await DatagramSocket.adopt(fd, 6);
    assert.deepEqual(socket.local, { address: "fe80::53", port: 5353 });
    socket.close();
  } finally {
    deleteNamespace(namespace);
  }
});
