/**
 * N2, N9 over QUIC with real clients, a real server and Initials made by hand: an allowed flow is a pair of ports, and whoever
 * holds its socket may begin another connection on it, to another tenant of the same address. Scored at the far end.
 */
import assert from "node:assert/strict";
import type { Socket } from "node:dgram";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { inNamespace } from "../../src/kernel/namespace.ts";
import { anyAddress, boundTo, listenUdp } from "../../src/kernel/sockets.ts";
import { Lab } from "../lab/lab.ts";
import { requireTools } from "../lab/tools.ts";
import { ascii, buildHello, bytes, serverNames } from "../wire/hello.ts";
import { cryptoFrame, datagram, padded, sealInitial, type InitialParts } from "../wire/initial.ts";
import { RunningGateway } from "./start.ts";

const policy = `version: 1
rules:
  - { name: http/3, to: [quic4.example, quic6.example], protocol: quic }
  - { name: shared, to: allowed.example, protocol: quic }
  - { name: opaque, to: "203.0.113.66:443", protocol: udp }
  - { name: opaque6, to: "[2001:db8:200::66]:443", protocol: udp }
default: { mode: enforce }
`;

let lab: Lab;
let gateway: RunningGateway;

before(async () => {
  requireTools(["gtlsclient", "dig"]);
  lab = await Lab.create({ quic: true });
  for (const n of [10, 66]) {
    for (const address of [`203.0.113.${n}`, `2001:db8:200::${n}`]) {
      await lab.internet.listen({ kind: "udp-echo", port: 443, address });
    }
  }
  gateway = await RunningGateway.start(lab, { policy });
});
after(async () => {
  for (const socket of sockets) socket.close();
  await RunningGateway.killAll();
  await lab?.close();
});

const sockets: Socket[] = [];
let ids = 0;
const newId = () => Uint8Array.from([7, 7, 7, 7, 7, 7, 7, ++ids]);

const hello = (name: string) => buildHello({ extensions: [serverNames(name)] });

/** An Initial whose id and token show the marker in the clear: what arrives is found, whoever reads it. */
function initial(name: string, marker: string, parts: InitialParts = {}): Uint8Array {
  const frames = padded(cryptoFrame(0, hello(name)), 1150);
  return datagram(sealInitial(frames, { dcid: newId(), token: ascii(marker), ...parts }));
}

/** A runner's socket, and what came back to it. */
class Port {
  readonly socket: Socket;
  readonly to: string;
  answers = 0;

  private constructor(socket: Socket, to: string) {
    this.socket = socket;
    this.to = to;
    socket.on("message", () => this.answers++);
    socket.on("error", () => {});
  }

  static async open(v: 4 | 6, n: number): Promise<Port> {
    const fd = inNamespace(lab.runner(1).namespace, () => listenUdp(anyAddress(v), 0));
    assert.ok(boundTo(fd).port > 0);
    const socket = createSocket(v === 4 ? "udp4" : "udp6");
    const listening = once(socket, "listening");
    socket.bind({ fd });
    await listening;
    sockets.push(socket);
    return new Port(socket, v === 4 ? `203.0.113.${n}` : `2001:db8:200::${n}`);
  }

  /** Sends; true when the far end, which echoes, has answered. */
  async say(payload: Uint8Array, patienceMs = 400): Promise<boolean> {
    const before = this.answers;
    this.socket.send(payload, 443, this.to);
    const end = performance.now() + patienceMs;
    while (this.answers === before && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 5));
    return this.answers > before;
  }
}

/** For what must happen, on a busy machine, ms. */
const patient = 30_000;
const short = (marker: string) => bytes(0x41, ascii(marker), new Uint8Array(40));

for (const v of [4, 6] as const) {
  describe(`over IPv${v}`, () => {
    const dig = (name: string) => lab.runner(1).exec("dig", ["+short", name, v === 4 ? "A" : "AAAA"]);

    test("N2: a second connection on an allowed flow's ports, to another tenant, does not get a byte through", async () => {
      await dig("allowed.example");
      const [first, second, later, split, data] = Array.from({ length: 5 }, () => lab.marker());
      const port = await Port.open(v, 10);
      const { mark } = gateway;
      assert.equal(await port.say(initial("allowed.example", first!), patient), true);
      assert.equal(await port.say(initial("evil.example", second!)), false);
      await gateway.expect(
        { verdict: "deny", reason: "default", stage: "name", destination: { name: "evil.example", name_from: "sni" } },
        mark,
        patient,
      );
      const message = hello("evil.example");
      const dcid = newId();
      for (const [number, from, to] of [
        [0, 0, 60],
        [1, 60, message.length],
      ] as const) {
        const frames = padded(cryptoFrame(from, message.subarray(from, to)), 1150);
        assert.equal(await port.say(datagram(sealInitial(frames, { dcid, number, token: ascii(split!) }))), false);
      }
      assert.equal(await port.say(initial("evil.example", later!, { version: 2 })), false);
      assert.equal(await port.say(short(data!), patient), true, "the first connection goes on");
      for (const marker of [first!, data!]) assert.equal(await lab.sink.saw(marker), true);
      for (const marker of [second!, later!, split!]) assert.equal(await lab.sink.saw(marker), false);
    });

    test("N9: another hello in place of the judged one, another version, early data alone: none arrives", async () => {
      await dig("allowed.example");
      const port = await Port.open(v, 10);
      const dcid = newId();
      const { mark } = gateway;
      assert.equal(await port.say(initial("allowed.example", lab.marker(), { dcid }), patient), true);
      const [replaced, version, early] = Array.from({ length: 3 }, () => lab.marker());
      assert.equal(await port.say(initial("evil.example", replaced!, { dcid, number: 1 })), false);
      await gateway.expect({ verdict: "deny", reason: "overlap", stage: "name" }, mark, patient);
      const id = newId();
      const long = (first: number, code: number[], text: string) =>
        datagram(bytes(first, code, id.length, id, 0, 0x40, text.length + 20, ascii(text), new Uint8Array(20)));
      assert.equal(await port.say(long(0xc0, [0xff, 0, 0, 29], version!)), false);
      await gateway.expect({ verdict: "deny", reason: "not_protocol", stage: "name" }, mark, patient);
      assert.equal(await port.say(long(0xd0, [0, 0, 0, 1], early!)), false);
      for (const marker of [replaced!, version!, early!]) assert.equal(await lab.sink.saw(marker), false);
    });

    test("N9: a connection that moves to another port is refused there and goes on where it was", async () => {
      await dig("allowed.example");
      const [old, moved] = [await Port.open(v, 10), await Port.open(v, 10)];
      assert.equal(await old.say(initial("allowed.example", lab.marker()), patient), true);
      const [from, back] = [lab.marker(), lab.marker()];
      assert.equal(await moved.say(short(from)), false);
      assert.equal(await old.say(short(back), patient), true);
      assert.equal(await lab.sink.saw(from), false);
    });

    test("a udp rule asks for no name, first or later", async () => {
      const port = await Port.open(v, 66);
      for (let i = 0; i < 2; i++) {
        const marker = lab.marker();
        assert.equal(await port.say(initial("evil.example", marker), patient), true);
        assert.equal(await lab.sink.saw(marker), true);
      }
    });

    test("a real client works, with a small request and with an upload whose datagrams its kernel joins", async () => {
      const name = `quic${v}.example`;
      const data = v === 4 ? "203.0.113.92" : "2001:db8:200::92";
      await lab.internet.dns.set(name, { records: [{ type: v === 4 ? "A" : "AAAA", data }] });
      const { mark } = gateway;
      const body = `${lab.runner(1).home}/body`;
      await lab.runner(1).exec("sh", ["-c", `head -c 3000000 /dev/zero > ${body}`]);
      for (const args of [[], ["-m", "POST", "-d", body]]) {
        const all = ["--exit-on-all-streams-close", ...args, name, "443", `https://${name}/`];
        const { stderr } = await lab.runner(1).exec("gtlsclient", all, { timeoutMs: 60_000 });
        assert.ok(stderr.includes("[:status: 200]"), `${args.join(" ")}: ${stderr.slice(-2000)}`);
      }
      assert.deepEqual(gateway.recorded({ verdict: "deny", destination: { name } }, mark), []);
    });
  });
}

test("T8: a flow let go under a rule that asks for no name is read under a policy that does", async () => {
  const wide = policy.replace("rules:", 'rules:\n  - { name: any, to: "203.0.113.10:443", protocol: udp }');
  await gateway.replacePolicy(wide);
  const port = await Port.open(4, 10);
  const [before, after, data] = [lab.marker(), lab.marker(), lab.marker()];
  assert.equal(await port.say(initial("evil.example", before), patient), true);
  await gateway.replacePolicy(policy);
  assert.equal(await port.say(initial("evil.example", after)), false);
  assert.equal(await port.say(short(data), patient), true);
  assert.equal(await lab.sink.saw(after), false);
});

test("after a restart of the gateway a live flow's second connection is judged like any other", async () => {
  await lab.runner(1).exec("dig", ["+short", "allowed.example", "A"]);
  const port = await Port.open(4, 10);
  assert.equal(await port.say(initial("allowed.example", lab.marker()), patient), true);
  await gateway.keeps("bindings.json", "allowed.example");
  await gateway.crash();
  const state = gateway.state.slice(gateway.state.lastIndexOf("/") + 1);
  gateway = await RunningGateway.start(lab, { policy, state });
  const [evil, data, good] = [lab.marker(), lab.marker(), lab.marker()];
  assert.equal(await port.say(initial("evil.example", evil)), false);
  assert.equal(await port.say(short(data), patient), true);
  assert.equal(await port.say(initial("allowed.example", good), patient), true);
  assert.equal(await lab.sink.saw(evil), false);
  assert.equal(await lab.sink.saw(good), true);
});
