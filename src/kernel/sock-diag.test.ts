/**
 * Promises about asking for sockets: the one that sends a packet is found by the packet's addresses, whatever family it was made
 * for, and in the namespace the question was opened in and no other. Real sockets in network namespaces; needs root.
 */
import assert from "node:assert/strict";
import dgram from "node:dgram";
import { fstatSync } from "node:fs";
import { suite, test } from "node:test";
import { inNamespace } from "./namespace.ts";
import * as libc from "./libc.ts";
import { parseRawSockets, rawSockets } from "./raw-sockets.ts";
import { SockDiag } from "./sock-diag.ts";
import { anyAddress, boundTo, connectTcp, listenUdp, socketAddress } from "./sockets.ts";
import { address, addresses, type Lab, withLab } from "./testing/lab.ts";

function diagIn(lab: Lab, namespace: string): SockDiag {
  const diag = inNamespace(namespace, () => new SockDiag());
  lab.onClose(() => diag.close());
  return diag;
}

/** Addresses that nobody has: connections to them wait. */
const silent = { 4: "198.51.100.99", 6: "2001:db8:2::99" } as const;
const inodeOf = (fd: number) => fstatSync(fd).ino;

suite("socket diagnostics", { timeout: 60_000 }, () => {
  for (const v of [4, 6] as const) {
    test(`a TCP connection that waits for its answer is found by its addresses, in its own namespace, IPv${v}`, () =>
      withLab(async (lab) => {
        const destination = address(silent[v]);
        const fd = inNamespace(lab.client, () => connectTcp(destination, 4430));
        lab.onClose(() => libc.close(fd));
        const bound = boundTo(fd);
        const tuple = {
          protocol: "tcp" as const,
          source: bound.address,
          sourcePort: bound.port,
          destination,
          destinationPort: 4430,
        };
        const found = diagIn(lab, lab.client).lookup(tuple);
        assert.ok(found !== null);
        assert.deepEqual([found.inode, found.uid, found.family], [inodeOf(fd), 0, v]);
        assert.ok(found.cookie > 0n && (found.cgroup === null || found.cgroup > 0n));
        assert.equal(diagIn(lab, lab.client).lookup({ ...tuple, destinationPort: 4431 }), null);
        assert.equal(diagIn(lab, lab.server).lookup(tuple), null);
      }));

    test(`a UDP socket is found whether it is connected or only has the port, IPv${v}`, () =>
      withLab(async (lab) => {
        const destination = address(addresses[v].server);
        const source = address(addresses[v].client);
        const diag = diagIn(lab, lab.client);
        const [loose, tied] = inNamespace(lab.client, () => [listenUdp(anyAddress(v), 0), listenUdp(anyAddress(v), 0)]);
        lab.onClose(() => [loose, tied].forEach((fd) => libc.close(fd)));
        assert.ok(libc.connect(tied, socketAddress(destination, 53)) >= 0);
        const ask = (fd: number, destinationPort: number) =>
          diag.lookup({ protocol: "udp", source, sourcePort: boundTo(fd).port, destination, destinationPort });
        assert.equal(ask(loose, 443)?.inode, inodeOf(loose));
        assert.equal(ask(tied, 53)?.inode, inodeOf(tied));
        assert.equal(ask(tied, 443), null, "connected elsewhere, it sends nothing there");
      }));
  }

  test("IPv4 through an IPv6 socket is found by its IPv4 addresses", () =>
    withLab(async (lab) => {
      const diag = diagIn(lab, lab.client);
      const socket = inNamespace(lab.client, () => {
        const fd = libc.socket(libc.AF_INET6, libc.SOCK_DGRAM, 0);
        libc.bind(fd, socketAddress(anyAddress(6), 0));
        return fd;
      });
      lab.onClose(() => libc.close(socket));
      const found = diag.lookup({
        protocol: "udp",
        source: address(addresses[4].client),
        sourcePort: boundTo(socket).port,
        destination: address(addresses[4].server),
        destinationPort: 443,
      });
      assert.equal(found?.inode, inodeOf(socket));
      const tcp = inNamespace(lab.client, () => libc.socket(libc.AF_INET6, libc.SOCK_STREAM | libc.SOCK_NONBLOCK, 0));
      lab.onClose(() => libc.close(tcp));
      libc.connect(tcp, socketAddress(address(`::ffff:${silent[4]}`), 4430));
      const connected = diag.lookup({
        protocol: "tcp",
        source: address(addresses[4].client),
        sourcePort: boundTo(tcp).port,
        destination: address(silent[4]),
        destinationPort: 4430,
      });
      assert.equal(connected?.inode, inodeOf(tcp));
    }));

  test("a listening socket on the same port is nobody's connection", () =>
    withLab(async (lab) => {
      await lab.tcpServer(lab.server, 4, 4430);
      const found = diagIn(lab, lab.server).lookup({
        protocol: "tcp",
        source: address(addresses[4].server),
        sourcePort: 4430,
        destination: address(addresses[4].client),
        destinationPort: 40_000,
      });
      assert.equal(found, null);
    }));

  test("a socket bound to an interface is found by the interface the packet leaves by", () =>
    withLab(async (lab) => {
      const destination = address(addresses[4].server);
      const fd = inNamespace(lab.client, () => listenUdp(anyAddress(4), 0));
      lab.onClose(() => libc.close(fd));
      // SO_BINDTODEVICE
      libc.setsockopt(fd, libc.SOL_SOCKET, 25, Buffer.from("in0\0"));
      const diag = diagIn(lab, lab.client);
      const sockets: { interfaceIndex: number; inode: number }[] = [];
      diag.each({ family: 4, protocol: 17 }, (socket) => sockets.push(socket));
      const { interfaceIndex } = sockets.find(({ inode }) => inode === inodeOf(fd))!;
      const tuple = {
        protocol: "udp" as const,
        source: address(addresses[4].client),
        sourcePort: boundTo(fd).port,
        destination,
        destinationPort: 443,
      };
      assert.ok(interfaceIndex > 0);
      assert.equal(diag.lookup({ ...tuple, interfaceIndex })?.inode, inodeOf(fd));
    }));

  test("all sockets there are can be listed", () =>
    withLab(async (lab) => {
      await lab.tcpServer(lab.server, 4, 4430);
      const fds = Array.from({ length: 300 }, () => inNamespace(lab.client, () => listenUdp(anyAddress(4), 0)));
      lab.onClose(() => fds.forEach((fd) => libc.close(fd)));
      const inodes = new Set<number>();
      diagIn(lab, lab.client).each({ family: 4, protocol: 17 }, ({ inode }) => inodes.add(inode));
      assert.ok(inodes.isSupersetOf(new Set(fds.map(inodeOf))));
      const ports: number[] = [];
      diagIn(lab, lab.server).each({ family: 4, protocol: 6, states: 1 << 10 }, ({ localPort }) =>
        ports.push(localPort),
      );
      assert.deepEqual(ports, [4430]);
    }));

  test("what the kernel cannot be asked for is told from what is not there", () => {
    const diag = new SockDiag();
    assert.deepEqual([diag.supports("tcp"), diag.supports("udp")], [true, true]);
    assert.equal(diag.raw(1, 4) === null, !diag.supports("raw"));
    diag.close();
  });

  test("raw sockets are listed by their protocol", () => {
    const fd = libc.socket(libc.AF_INET, libc.SOCK_RAW, 253);
    try {
      const found = rawSockets("raw", "self").filter(({ number }) => number === 253);
      assert.deepEqual(
        found.map(({ inode }) => inode),
        [inodeOf(fd)],
      );
      assert.deepEqual(rawSockets("raw", 2 ** 31 - 1), []);
      assert.deepEqual(parseRawSockets("  sl  local_address rem_address\n 1: xyz"), []);
    } finally {
      libc.close(fd);
    }
  });

  test("a socket of Node's is found like any other", async () => {
    const socket = dgram.createSocket("udp4");
    await new Promise<void>((done) => socket.bind(0, "127.0.0.1", done));
    const diag = new SockDiag();
    const source = address("127.0.0.1");
    const { port } = socket.address();
    assert.ok(
      diag.lookup({ protocol: "udp", source, sourcePort: port, destination: source, destinationPort: 9 }) !== null,
    );
    diag.close();
    socket.close();
  });
});
