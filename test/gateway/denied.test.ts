/**
 * Threats: every known way out over the network, tried with real clients and real packets against the enforcing gateway.
 * What counts is the far end: not one byte of the marker arrives, and the record says what was tried, and why it was
 * refused.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import type { LabProcess, Outcome } from "../lab/process.ts";
import { requireTools } from "../lab/tools.ts";
import { attempts, attemptsPolicy, dribble, prepare } from "../battery/attempts.ts";
import { flags, ip, protocols, send, tcp } from "../battery/tcp/raw.ts";
import { RunningGateway } from "./start.ts";

requireTools(["ip", "curl", "dig", "ncat", "socat", "openssl", "ping"]);
const lab = await Lab.create();
const families = [
  { v: 4, address: "203.0.113.10" },
  { v: 6, address: "2001:db8:200::10" },
] as const;
/** Attempts that only time ends; they begin first and are looked at last. */
const slow = families.map(({ address }) => ({ address, marker: lab.marker(), silent: lab.marker() }));
let gateway: RunningGateway;
let silent: LabProcess[];
let dribbled: Promise<Outcome>[];

before(async () => {
  await prepare(lab);
  gateway = await RunningGateway.start(lab, { policy: attemptsPolicy("enforce") });
  for (const type of ["A", "AAAA"]) await lab.runner(1).exec("dig", ["+short", "allowed.example", type]);
  dribbled = slow.map(({ address, marker }) => dribble(lab, address, "allowed.example", marker, 10_000));
  silent = slow.map(({ address }) => lab.runner(1).spawn("ncat", [address, "2525"]));
});
after(() => lab.close());

for (const { v } of families) {
  describe(`over IPv${v}`, () => {
    for (const { title, run, event } of attempts(lab, v)) {
      test(title, async () => {
        const marker = lab.marker();
        const { mark } = gateway;
        await run(marker);
        const expected = typeof event === "function" ? event(marker) : event;
        await gateway.expect({ verdict: "deny", enforced: true, ...expected }, mark);
        assert.deepEqual(await lab.sink.find(marker), []);
      });
    }
  });
}

for (const { v, address } of families) {
  test(`T7: the ports of an allowed connection give nothing to a SYN with data, IPv${v}`, async () => {
    const runner = lab.runner(1);
    const source = v === 4 ? lab.inside(1).runner.v4 : lab.inside(1).runner.v6;
    const [first, last] = [40_000 + v * 100, 40_099 + v * 100];
    const args = ["-sSN", `-${v}`, "--local-port", `${first}-${last}`, "https://allowed.example/slow?seconds=60"];
    const open = runner.spawn("curl", args);
    await open.waitFor(/^\./);
    const { mark } = gateway;
    const flow = (await gateway.flows()).find((each) => each.source_port >= first && each.source_port <= last);
    assert.ok(flow !== undefined);
    const marker = lab.marker();
    const tuple = { source, destination: address, sourcePort: flow.source_port, destinationPort: 443 };
    const syn = tcp({ ...tuple, flags: flags.syn, payload: Buffer.from(marker.toLowerCase()) });
    send(runner, address, ip(source, address, protocols.tcp, syn));
    await gateway.expect({ verdict: "deny", source: { port: flow.source_port }, destination: { ip: address } }, mark);
    assert.deepEqual(await lab.sink.find(marker), []);
    await open.kill("SIGKILL");
  });

  test(`T7: nor to a new connection with another name, IPv${v}`, async () => {
    const marker = lab.marker();
    const { mark } = gateway;
    const script = `
      const [, host, name] = process.argv;
      const { connect } = require("net"), tls = require("tls");
      const hello = (socket, servername, then) => tls.connect({ socket, servername, rejectUnauthorized: false })
        .on("error", (error) => { console.log(error.code); process.exit(); }).on("secureConnect", then);
      const first = connect({ host, port: 443 });
      hello(first, "allowed.example", () => {
        const { localPort } = first;
        console.log("allowed", localPort);
        first.on("close", () => hello(connect({ host, port: 443, localPort }), name, () => { console.log("through"); }));
        first.resetAndDestroy();
      });
      setTimeout(() => process.exit(), 5000);`;
    const { stdout } = await lab.runner(1).exec(process.execPath, ["-e", script, address, `${marker}.evil.example`]);
    assert.match(stdout, /^allowed \d+\n/);
    assert.doesNotMatch(stdout, /through/);
    const port = Number(/\d+/.exec(stdout)?.[0]);
    await gateway.expect({ verdict: "deny", source: { port }, destination: { name: /evil\.example$/ } }, mark);
    assert.deepEqual(await lab.sink.find(marker), []);
  });
}

test("N6: even an allowed hello one byte per segment is not let through unread; it ends when its time is over", async () => {
  for (const [i, { address, marker }] of slow.entries()) {
    await gateway.expect({ verdict: "deny", reason: "timeout", destination: { ip: address, port: 443 } }, "", 20_000);
    assert.equal((await dribbled[i]!).stdout, "");
    assert.deepEqual(await lab.sink.find(marker), []);
  }
});

test("N7: a client that says nothing on a port with a tls rule is cut off, and what it says then goes nowhere", async () => {
  for (const [i, { address, silent: marker }] of slow.entries()) {
    const event = { verdict: "deny", reason: "timeout", destination: { ip: address, port: 2525 } };
    await gateway.expect(event, "", 45_000);
    silent[i]!.write(marker);
    const { code } = await silent[i]!.exited;
    assert.notEqual(code, 0);
    assert.deepEqual(await lab.sink.find(marker), []);
  }
});

test("the gateway is well afterwards, and the chain holds", async () => {
  const status = await gateway.status();
  assert.equal(status.state, "enforcing", status.problems.join("; "));
  assert.equal(status.data_path.failures, 0);
  assert.equal((await gateway.ask("logs verify")).code, 0);
});
