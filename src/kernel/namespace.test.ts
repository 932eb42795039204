/**
 * Promises about namespaces: a thread is in another one for exactly as long as the function runs, whatever the function
 * does, and Node can use the sockets made there. Needs root.
 */
import assert from "node:assert/strict";
import { readFileSync, readlinkSync } from "node:fs";
import { suite, test } from "node:test";
import { family, formatAddress } from "../address/ip.ts";
import { SallyportError } from "../errors.ts";
import { run } from "./commands.ts";
import * as libc from "./libc.ts";
import { addNamespace, deleteNamespace, inNamespace, listNamespaces } from "./namespace.ts";
import { boundTo, listenTcp, listenUdp } from "./sockets.ts";
import { readSysctl, writeSysctl } from "./sysctl.ts";
import { addresses, address, datagram, outcome, withLab } from "./testing/lab.ts";

const here = () => readlinkSync("/proc/thread-self/ns/net");

function withNamespace(fn: (name: string) => void): void {
  const name = `sp-k-${process.pid}-n`;
  addNamespace(name);
  try {
    fn(name);
  } finally {
    deleteNamespace(name);
  }
}

suite("namespaces", { timeout: 60_000 }, () => {
  test("the thread comes back, also when the function throws or nests", () =>
    withNamespace((name) => {
      const home = here();
      const inside = inNamespace(name, () => here());
      assert.notEqual(inside, home);
      assert.equal(here(), home);
      assert.throws(() =>
        inNamespace(name, () => {
          throw new TypeError("from inside");
        }),
      );
      assert.equal(here(), home);
      assert.equal(
        inNamespace(name, () => inNamespace(`/run/netns/${name}`, () => here())),
        inside,
      );
      assert.equal(here(), home);
      assert.throws(() => inNamespace(name, async () => {}), /synchronous/);
      assert.equal(here(), home);
    }));

  test("a namespace that is not there, or no name at all, runs nothing", () => {
    let ran = false;
    for (const name of ["sp-k-none", "../../etc/passwd", "", "-rf"]) {
      assert.throws(() => inNamespace(name, () => (ran = true)));
    }
    assert.throws(() => inNamespace("/etc/hostname", () => (ran = true)), libc.KernelError);
    assert.equal(ran, false);
  });

  test("processes and kernel settings inside are the namespace's own", () =>
    withNamespace((name) => {
      assert.equal(run("ip", ["-o", "link"], { namespace: name }).trim().split("\n").length, 1);
      const setting = "net/ipv4/ip_default_ttl";
      const before = readSysctl(setting);
      inNamespace(name, () => writeSysctl(setting, "77"));
      assert.equal(readSysctl(setting), before);
      assert.equal(
        inNamespace(name, () => readSysctl(setting)),
        "77",
      );
      assert.equal(readFileSync("/proc/sys/net/ipv4/ip_default_ttl", "utf8").trim(), before);
    }));

  test("namespaces are listed by prefix and removed twice without harm", () => {
    withNamespace((name) => {
      assert.deepEqual(listNamespaces(`sp-k-${process.pid}-`), [name]);
      assert.deepEqual(listNamespaces(`no-such-prefix-${process.pid}`), []);
      deleteNamespace(name);
      assert.deepEqual(listNamespaces(`sp-k-${process.pid}-`), []);
    });
  });

  for (const v of [4, 6] as const) {
    test(`Node serves and uses sockets made in another namespace, IPv${v}`, () =>
      withLab(async (lab) => {
        const server = await lab.udp(lab.server, v, 7000, address(addresses[v].server));
        const client = await lab.udp(lab.client, v);
        client.send("question", 7000, addresses[v].server);
        assert.equal(await datagram(server), "question");
        await lab.tcpServer(lab.server, v, 7000);
        const tcp = lab.tcpClient(lab.client, addresses[v].server, 7000);
        tcp.end("hello");
        assert.equal(await outcome(tcp), "hello");
        const refused = lab.tcpClient(lab.client, addresses[v].server, 7001);
        assert.equal(await outcome(refused), "error ECONNREFUSED");
      }));

    test(`a port in use is a user's error, and a bound socket says where, IPv${v}`, () =>
      withNamespace((name) => {
        inNamespace(name, () => {
          const loopback = address(v === 4 ? "127.0.0.1" : "::1");
          for (const listen of [listenUdp, listenTcp]) {
            const fd = listen(loopback, 0);
            try {
              const bound = boundTo(fd);
              assert.equal(formatAddress(bound.address), formatAddress(loopback));
              assert.equal(family(bound.address), v);
              assert.throws(
                () => listen(loopback, bound.port),
                (error) => error instanceof SallyportError && error.code === "PORT_IN_USE",
              );
            } finally {
              libc.close(fd);
            }
          }
        });
      }));
  }

  test("an IPv6 wildcard socket leaves IPv4 to others", () =>
    withNamespace((name) =>
      inNamespace(name, () => {
        const six = listenUdp(address("::"), 5300);
        const four = listenUdp(address("0.0.0.0"), 5300);
        libc.close(six);
        libc.close(four);
      }),
    ));
});
