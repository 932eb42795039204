/**
 * Promise: around a machine in enforce mode what the policy allows just works, over IPv4 and IPv6, for its own processes, for
 * containers on bridges of before and after the start, and for a namespace on a link of its own; DNS is answered whatever
 * server was asked; and what does not leave the machine, or was opened from outside, is nobody's business.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ZoneEntry } from "../lab/internet/zone.ts";
import type { WebReport } from "../lab/internet/web.ts";
import type { Machine } from "../lab/machine.ts";
import type { LabProcess } from "../lab/process.ts";
import { requireTools } from "../lab/tools.ts";
import { Agent, Host, network } from "./setup.ts";

const policy = `version: 1
rules:
  - { name: web, to: [allowed.example, v6only.example, half.example] }
  - { name: http/3, to: [quic4.example], protocol: quic }
  - { name: datagrams, to: ["udp.example:9100"], protocol: udp }
`;

const families = [
  { v: "4", dot: (n: number) => `203.0.113.${n}`, url: (n: number) => `203.0.113.${n}` },
  { v: "6", dot: (n: number) => `2001:db8:200::${n}`, url: (n: number) => `[2001:db8:200::${n}]` },
] as const;

let host: Host;
let agent: Agent;

before(async () => {
  requireTools(["ip", "curl", "dig", "socat", "ncat", "ping", "gtlsclient"]);
  const half: ZoneEntry = {
    records: [
      { type: "A", data: "203.0.113.10", ttl: 60 },
      { type: "AAAA", data: "2001:db8:200::250", ttl: 60 },
    ],
  };
  host = await Host.create({
    quic: true,
    zone: { "half.example": half },
    hosting: { "203.0.113.10": ["allowed.example", "half.example"] },
  });
  await host.lab.internet.dns.set("quic4.example", { records: [{ type: "A", data: "203.0.113.92" }] });
  agent = await Agent.start(host, policy);
  await host.bridge(2, 1);
});
after(async () => {
  await agent?.stop();
  await host?.close();
});

const places = [
  { name: "the machine", at: () => host.host },
  { name: "a container", at: () => host.container(1, 1) },
  { name: "a container on a bridge made later", at: () => host.container(2, 1) },
  { name: "a namespace on a link of its own", at: () => host.aside },
] as const;

const curl = (at: Machine, ...args: string[]) => at.exec("curl", ["-sS", "--max-time", "10", ...args]);
const dig = async (at: Machine, ...args: string[]) => (await at.exec("dig", ["+tries=1", "+time=3", ...args])).stdout;

for (const { name, at } of places) {
  describe(name, () => {
    for (const { v, dot, url } of families) {
      test(`reaches what is allowed over IPv${v}, with an event, and what another name hides behind is refused`, async () => {
        const from = agent.events.length;
        const { stdout, stderr } = await curl(at(), `-${v}`, "https://allowed.example/");
        assert.equal((JSON.parse(stdout || "{}") as WebReport).server, "allowed.example", stderr);
        const event = await agent.expect(({ verdict, kind }) => kind === "connection" && verdict === "allow", from);
        assert.deepEqual([event.rule?.name, event.destination?.ip], ["web", dot(10)]);
        const hidden = await curl(
          at(),
          `-${v}`,
          "-k",
          "--connect-to",
          "evil.example:443:allowed.example:443",
          "https://evil.example/",
        );
        assert.equal(hidden.code, 35);
        await agent.expect(
          ({ verdict, destination }) => verdict === "deny" && destination?.name === "evil.example",
          from,
        );
      });

      test(`is refused at once at an address without a name over IPv${v}`, async () => {
        const refused = await curl(at(), "-k", `https://${url(66)}/`);
        assert.deepEqual([refused.code, refused.ms < 2_000], [7, true]);
      });

      test(`is answered by us whatever server it asks over IPv${v}, UDP and TCP`, async () => {
        for (const more of [[], ["+tcp"]]) {
          assert.match(await dig(at(), `@${dot(54)}`, "allowed.example", ...more), /203\.0\.113\.10/);
          assert.match(await dig(at(), `@${dot(66)}`, "evil.example", ...more), /NXDOMAIN/);
        }
        const asked = (await host.lab.internet.dns.queries()).filter((query) => query.name.startsWith("evil."));
        assert.deepEqual(asked, []);
      });
    }

    test("does not wait for an address family that does not answer (Happy Eyeballs)", async () => {
      const { stdout, ms } = await curl(at(), "-k", "https://half.example/");
      assert.equal((JSON.parse(stdout || "{}") as WebReport).sni, "half.example");
      assert.ok(ms < 4_000, `${ms} ms`);
    });

    test("speaks QUIC where a rule says so, and UDP", async () => {
      const args = ["--exit-on-all-streams-close", "quic4.example", "443", "https://quic4.example/"];
      assert.match((await at().exec("gtlsclient", args)).stderr, /\[:status: 200\]/);
      assert.match(await dig(at(), "+short", "udp.example"), /203\.0\.113\.91/);
      const echo = await at().exec("sh", ["-c", "(echo hello; sleep 2) | ncat -u -w 3 203.0.113.91 9100"]);
      assert.equal(echo.stdout, "hello\n");
    });
  });
}

test("local stubs and the machine's addresses are no way around: DNS to them ends at ours", async () => {
  for (const server of ["127.0.0.53", "127.0.0.1", "::1", host.lab.outside.gateway.v4, network(1).bridge.v4]) {
    for (const more of [[], ["+tcp"]]) {
      assert.match(await dig(host.host, `@${server}`, "+short", "allowed.example", ...more), /203\.0\.113\.10/, server);
      assert.match(await dig(host.host, `@${server}`, "evil.example", ...more), /NXDOMAIN/, server);
    }
  }
  for (const server of [network(1).bridge.v4, network(1).bridge.v6, network(1).container(2).v4]) {
    assert.match(await dig(host.container(1, 1), `@${server}`, "+short", "allowed.example"), /203\.0\.113\.10/, server);
  }
});

test("a connected UDP socket hears its answer from the server it asked", async () => {
  const script = `
import socket, sys
for family, server in ((socket.AF_INET, "203.0.113.54"), (socket.AF_INET6, "2001:db8:200::54")):
    s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(3); s.connect((server, 53))
    s.send(bytes.fromhex("123401000001000000000000") + b"\\x07allowed\\x07example\\x00\\x00\\x01\\x00\\x01")
    print(len(s.recv(2000)) > 40, s.getpeername()[0])`;
  const { stdout, stderr } = await host.host.exec("/usr/bin/python3", ["-c", script]);
  assert.equal(stdout, "True 203.0.113.54\nTrue 2001:db8:200::54\n", stderr);
});

test("our DNS ports are closed to whoever was not redirected there", async () => {
  for (const [from, address] of [
    [host.host, "127.0.0.1"],
    [host.container(1, 1), network(1).bridge.v4],
    [host.lab.world, host.lab.outside.gateway.v4],
  ] as const) {
    for (const port of ["15353", "15354"]) {
      assert.match(
        await dig(from, `@${address}`, "-p", port, "allowed.example"),
        /no servers|refused/,
        `${address} ${port}`,
      );
      assert.match((await from.exec("ncat", ["-w", "2", address, port])).stderr, /refused/i, `${address} ${port}`);
    }
  }
});

describe("what is not decided", () => {
  const servers: LabProcess[] = [];
  before(async () => {
    const echo = (at: Machine, listen: string) => servers.push(at.spawn("socat", [listen, "EXEC:cat"]));
    echo(host.host, "TCP4-LISTEN:2222,fork,reuseaddr");
    echo(host.host, "TCP6-LISTEN:2222,fork,reuseaddr,ipv6only=1");
    echo(host.host, "UDP4-LISTEN:2222,fork,reuseaddr");
    echo(host.container(1, 1), "TCP4-LISTEN:8080,fork,reuseaddr");
    echo(host.container(1, 1), "TCP6-LISTEN:8080,fork,reuseaddr,ipv6only=1");
    const published = ["-p", "tcp", "--dport", "8081", "-m", "addrtype", "--dst-type", "LOCAL", "-j", "DNAT"];
    for (const chain of ["PREROUTING", "OUTPUT"]) {
      await host.tool("iptables", [
        "-t",
        "nat",
        "-A",
        chain,
        ...published,
        "--to",
        `${network(1).container(1).v4}:8080`,
      ]);
      await host.tool("ip6tables", [
        "-t",
        "nat",
        "-A",
        chain,
        ...published,
        "--to",
        `[${network(1).container(1).v6}]:8080`,
      ]);
    }
    await sleep(500);
  });
  after(async () => void (await Promise.all(servers.map((each) => each.kill()))));

  const echoed = async (from: Machine, address: string, port: number, ...more: string[]) => {
    const command = `(echo hello; sleep 0.5) | ncat ${more.join(" ")} -w 2 ${address} ${port}`;
    return (await from.exec("sh", ["-c", command])).stdout;
  };

  for (const v of ["v4", "v6"] as const) {
    const cases: [string, () => Promise<string>][] = [
      ["outside to the machine", () => echoed(host.lab.world, host.lab.outside.gateway[v], 2222)],
      ["outside to a published port", () => echoed(host.lab.world, host.lab.outside.gateway[v], 8081)],
      ["machine to container", () => echoed(host.host, network(1).container(1)[v], 8080)],
      ["machine to itself at its outer address", () => echoed(host.host, host.lab.outside.gateway[v], 2222)],
      ["machine to a published port", () => echoed(host.host, host.lab.outside.gateway[v], 8081)],
      ["container to machine", () => echoed(host.container(1, 2), network(1).bridge[v], 2222)],
      ["container to container", () => echoed(host.container(1, 2), network(1).container(1)[v], 8080)],
      ["container to a published port", () => echoed(host.container(2, 1), host.lab.outside.gateway[v], 8081)],
      ["a later bridge's container to another's", () => echoed(host.container(2, 1), network(1).container(1)[v], 8080)],
      ["namespace to container", () => echoed(host.aside, network(1).container(1)[v], 8080)],
    ];
    for (const [name, reach] of cases) {
      test(`${name}, IP${v}`, async () => {
        const from = agent.events.length;
        assert.equal(await reach(), "hello\n");
        assert.deepEqual(
          // Of an earlier attempt nobody answered, and the kernel forgets it when it likes.
          agent.events
            .slice(from)
            .filter(({ kind, destination }) => kind === "connection" && destination?.name !== "half.example"),
          [],
        );
      });
    }
  }

  test("outside to the machine by UDP, by ping, and at a closed port", async () => {
    const { v4, v6 } = host.lab.outside.gateway;
    assert.equal(await echoed(host.lab.world, v4, 2222, "-u"), "hello\n");
    for (const address of [v4, v6]) {
      assert.equal((await host.lab.world.exec("ping", ["-c1", "-W2", address])).code, 0);
      assert.match((await host.lab.world.exec("ncat", ["-w", "2", address, "2299"])).stderr, /refused/);
    }
  });
});

test("neighbours are found again, IPv4 and IPv6", async () => {
  for (const v of ["4", "6"]) {
    const flushed = await host.host.exec("sh", [
      "-c",
      `ip -${v} neigh flush all; curl -${v} -sS --max-time 5 https://allowed.example/`,
    ]);
    assert.equal(flushed.code, 0, flushed.stderr);
  }
});

test("the status says where it stands, and that the rules are as written", async () => {
  const status = await agent.status();
  assert.deepEqual(
    [status.stand, status.outside, status.ruleset, status.problems],
    ["machine", host.uplink, "present", []],
  );
  assert.equal(status.egress_guard, true);
  assert.deepEqual([status.data_path.failures, status.data_path.undecided_drops], [0, 0]);
});
