/**
 * Promises about the programs at the cgroup hooks: a call is written down with its process before the packet exists, for every
 * family and way to call; another process at the same place is kept beside it; and they go when we go. Needs root, Linux 5.7.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, suite, test } from "node:test";
import * as libc from "./libc.ts";
import { SockDiag } from "./sock-diag.ts";
import { SocketWitness } from "./socket-witness.ts";
import { anyAddress, boundTo, connectTcp, listenTcp, listenUdp, socketAddress } from "./sockets.ts";
import { address } from "./testing/lab.ts";

const hosts = { 4: address("127.0.0.1"), 6: address("::1") } as const;
let ports = 6000;

suite("the witness", { timeout: 60_000 }, () => {
  let witness: SocketWitness;
  before(() => {
    witness = SocketWitness.attach();
  });
  after(() => witness.close());

  for (const v of [4, 6] as const) {
    test(`knows who connected by TCP, by its addresses and by its socket, IPv${v}`, () => {
      const listener = listenTcp(hosts[v], 0);
      const { port } = boundTo(listener);
      const from = Number(process.hrtime.bigint());
      const fd = connectTcp(hosts[v], port);
      const local = boundTo(fd);
      const seen = witness.connection(local.address, local.port, hosts[v], port);
      assert.equal(seen?.last.pid, process.pid);
      assert.ok(seen.last.time >= from && seen.last.time <= Number(process.hrtime.bigint()));
      const diag = new SockDiag();
      const socket = diag.lookup({
        protocol: "tcp",
        source: local.address,
        sourcePort: local.port,
        destination: hosts[v],
        destinationPort: port,
      });
      assert.equal(socket?.cookie, seen.last.cookie);
      assert.equal(witness.socket(socket.cookie)?.pid, process.pid);
      assert.equal(witness.connection(local.address, local.port ^ 1, hosts[v], port), null);
      // As another thread has them; closing them closes nothing of ours.
      const elsewhere = SocketWitness.at(witness.calls);
      assert.deepEqual(elsewhere.connection(local.address, local.port, hosts[v], port), seen);
      elsewhere.close();
      assert.equal(witness.socket(socket.cookie)?.pid, process.pid);
      diag.close();
      libc.close(fd);
      libc.close(listener);
    });

    test(`knows who sent and who connected by UDP, also when the socket is gone, IPv${v}`, () => {
      const port = ++ports;
      const fd = listenUdp(anyAddress(v), 0);
      const local = boundTo(fd);
      assert.ok(libc.sendto(fd, Buffer.from("x"), 1, 0, socketAddress(hosts[v], port)) > 0);
      libc.close(fd);
      assert.equal(witness.sender(17, local.port, hosts[v], port)?.last.pid, process.pid);
      assert.equal(witness.connector(17, hosts[v], port), null);
      const tied = listenUdp(anyAddress(v), 0);
      libc.connect(tied, socketAddress(hosts[v], port));
      libc.close(tied);
      assert.equal(witness.connector(17, hosts[v], port)?.last.pid, process.pid);
    });
  }

  test("IPv4 through an IPv6 socket is known by its IPv4 addresses", () => {
    const listener = listenTcp(hosts[4], 0);
    const { port } = boundTo(listener);
    const fd = libc.socket(libc.AF_INET6, libc.SOCK_STREAM, 0);
    assert.ok(libc.connect(fd, socketAddress(address("::ffff:127.0.0.1"), port)) >= 0);
    const seen = witness.connection(hosts[4], boundTo(fd).port, hosts[4], port);
    assert.equal(seen?.last.pid, process.pid);
    libc.close(fd);
    libc.close(listener);
  });

  test("keeps another process that did the same beside the last one", () => {
    const port = ++ports;
    const send = () =>
      spawnSync("bash", ["--norc", "-c", `echo x > /dev/udp/127.0.0.1/${port}; true`], { stdio: "ignore" });
    const first = send();
    assert.deepEqual([pidAt(port), witness.connector(17, hosts[4], port)?.other], [first.pid, null]);
    const second = send();
    const seen = witness.connector(17, hosts[4], port);
    assert.deepEqual([seen?.last.pid, seen?.other?.pid], [second.pid, first.pid]);
  });

  test("knows who made a socket that has not been used", () => {
    const fd = listenUdp(hosts[4], 0);
    const diag = new SockDiag();
    const { port } = boundTo(fd);
    const socket = diag.lookup({
      protocol: "udp",
      source: hosts[4],
      sourcePort: port,
      destination: hosts[4],
      destinationPort: 9,
    });
    assert.equal(witness.socket(socket!.cookie)?.pid, process.pid);
    diag.close();
    libc.close(fd);
  });

  test("says where it cannot be attached", () => {
    assert.throws(() => SocketWitness.attach(null), { code: "ENOENT" });
    assert.throws(() => SocketWitness.attach("/proc"), libc.KernelError);
  });

  const pidAt = (port: number) => witness.connector(17, hosts[4], port)?.last.pid;
});
