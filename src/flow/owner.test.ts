/**
 * Rules that ask for a process: the owner is asked for once, while the first packet waits, and what was known then holds for the
 * flow's life: for its name, for each later request, for a new policy. Where nobody wants to know, nobody is asked.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ProcessFacts } from "../policy/decision.ts";
import { SYN } from "../wire/ip/packet.ts";
import type { FlowEnds, Owner } from "./owner.ts";
import { captureHello } from "./testing/hellos.ts";
import { ascii, ip, tcp } from "./testing/packets.ts";
import { enforced } from "./testing/policies.ts";
import { Client, datagram, policy, Scene, shared } from "./testing/scene.ts";

const steps = `
rules:
  - { name: not the tests, from: { process: { step: test } }, to: shared.example, action: deny }
  - { name: setup, from: { process: { step: setup } }, to: [allowed.example, "web.example:80", "other.example:80"] }
  - { name: opaque, from: { process: { exe: /usr/bin/dig } }, to: 198.51.100.0/24, protocol: udp, ports: [5353] }
  - { name: ping, from: { process: { exe: /usr/bin/ping } }, to: 198.51.100.0/24, protocol: icmp }
  - { name: everybody, to: shared.example }
default: { mode: enforce }
`;
const nobody: ProcessFacts = { step: null, action: null, exe: null, runner: false };
const hello = await captureHello("allowed.example");
const get = (host: string) => ascii(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);

/** A scene whose table of processes is `of`, by source port; and what it was asked. */
function stand(of: Map<number, Partial<ProcessFacts>>, text = steps, always = false): { on: Scene; asked: FlowEnds[] } {
  const asked: FlowEnds[] = [];
  const find = (flow: FlowEnds): Owner | null => {
    const { source, sourcePort, destination, destinationPort, transport, protocol } = flow;
    asked.push({ source, sourcePort, destination, destinationPort, transport, protocol });
    const known = of.get(sourcePort);
    return known === undefined ? null : { process: { ...nobody, ...known }, detail: `pid of ${sourcePort}` };
  };
  const on = new Scene(text, { answersSeen: false, owners: { find, always } });
  for (const name of ["allowed.example", "web.example", "other.example"]) on.bind(name);
  return { on, asked };
}

const told = ({ reports }: Scene) =>
  reports.map(({ decision, owner }) => [
    decision.verdict,
    decision.rule?.name ?? decision.reason,
    owner?.detail ?? null,
  ]);

describe("a rule for a process", () => {
  test("lets that process through and refuses another at the SYN, by the same name and address", () => {
    const { on, asked } = stand(
      new Map([
        [1, { step: "setup" }],
        [2, { step: "build" }],
      ]),
    );
    const setup = new Client(on, { sourcePort: 1 }).open();
    assert.equal(setup.segment(0, hello), "pending");
    assert.equal(new Client(on, { sourcePort: 2 }).syn(), "refuse");
    assert.equal(new Client(on, { sourcePort: 3 }).syn(), "refuse");
    assert.deepEqual(told(on), [
      ["allow", "setup", "pid of 1"],
      ["deny", "default", "pid of 2"],
      ["deny", "default", null],
    ]);
    // Once a flow: at its SYN, and not again for its hello.
    assert.deepEqual(
      asked.map(({ sourcePort }) => sourcePort),
      [1, 2, 3],
    );
    assert.deepEqual(asked[0], { ...shared, sourcePort: 1, transport: "tcp", protocol: 6 });
  });

  test("a denial for a step holds for whoever is not known, and for no other step", () => {
    const { on } = stand(
      new Map([
        [1, { step: "build" }],
        [2, { step: "test" }],
        [3, {}],
      ]),
    );
    on.bind("shared.example");
    const shows = async (sourcePort: number) => {
      const client = new Client(on, { sourcePort });
      const opened = client.syn();
      return opened === "refuse" ? opened : client.segment(0, await captureHello("shared.example"));
    };
    return Promise.all([1, 2, 3, 4].map(shows)).then((verdicts) =>
      assert.deepEqual(verdicts, ["pending", "refuse", "refuse", "refuse"]),
    );
  });

  test("is asked about UDP and ICMP, too", () => {
    const { on } = stand(
      new Map([
        [1, { exe: "/usr/bin/dig" }],
        [0, { exe: "/usr/bin/ping" }],
      ]),
    );
    const tuple = { ...shared, destinationPort: 5353 };
    assert.equal(datagram(on, ascii("?"), { ...tuple, sourcePort: 1 }), "allow");
    assert.equal(datagram(on, ascii("?"), { ...tuple, sourcePort: 2 }), "refuse");
    assert.equal(on.judge(ip(shared, 1, Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0))), "allow");
    assert.deepEqual(told(on), [
      ["allow", "opaque", "pid of 1"],
      ["deny", "default", null],
      ["allow", "ping", "pid of 0"],
    ]);
  });

  test("is held to for each request of a plain-HTTP connection, by the process that began it", () => {
    const processes = new Map([[1, { step: "setup" }]]);
    const { on, asked } = stand(processes);
    const client = new Client(on, { sourcePort: 1, destinationPort: 80 }).open();
    const first = get("web.example");
    assert.equal(client.segment(0, first), "pending");
    // The process has ended; its flow is still its.
    processes.clear();
    assert.equal(client.segment(first.length, get("other.example")), "pending");
    assert.equal(client.segment(first.length + get("other.example").length, get("evil.example")), "refuse");
    assert.equal(asked.length, 1);
    assert.deepEqual(told(on), [
      ["allow", "setup", "pid of 1"],
      ["deny", "host_changed", "pid of 1"],
    ]);
  });

  test("judges a repeated SYN, and the next connection on the same ports, by who is there then", () => {
    const processes = new Map<number, Partial<ProcessFacts>>([[1, { step: "setup" }]]);
    const { on } = stand(processes);
    new Client(on, { sourcePort: 1 }).syn();
    on.pass(100_000);
    processes.set(1, { step: "build" });
    on.marks.clear();
    assert.equal(new Client(on, { sourcePort: 1, initial: 99 }).syn(), "refuse");
  });
});

describe("a new policy", () => {
  test("judges an undecided flow again with the process that it began with", () => {
    const processes = new Map([
      [1, { step: "setup" }],
      [2, { step: "build" }],
    ]);
    const { on, asked } = stand(processes);
    const first = new Client(on, { sourcePort: 1 }).open();
    processes.clear();
    on.flows.setPolicy(policy(steps.replace("name: setup,", "name: same,")), on.now);
    assert.equal(first.segment(0, hello), "pending");
    on.flows.setPolicy(policy(steps.replace("step: setup", "step: build")), on.now);
    assert.equal(on.resets.length, 2);
    assert.equal(asked.length, 1);
  });

  test("that is the first to ask for a process finds whose the undecided flows are", () => {
    const { on, asked } = stand(
      new Map([
        [1, { step: "setup" }],
        [2, { step: "build" }],
      ]),
      enforced,
    );
    const clients = [1, 2].map((sourcePort) => new Client(on, { sourcePort }).open());
    assert.equal(asked.length, 0);
    on.flows.setPolicy(policy(steps), on.now);
    assert.deepEqual(
      asked.map(({ sourcePort }) => sourcePort),
      [1, 2],
    );
    assert.equal(clients[0]!.segment(0, hello), "pending");
    assert.deepEqual(told(on), [
      ["deny", "policy_changed", "pid of 2"],
      ["allow", "setup", "pid of 1"],
    ]);
  });
});

describe("nobody is asked", () => {
  const packets = (on: Scene) => {
    new Client(on, { sourcePort: 1 }).open().segment(0, hello);
    new Client(on, { sourcePort: 2, destination: shared.source }).syn();
  };

  test("under a policy that asks for no process, unless the events want to say it", () => {
    const quiet = stand(new Map([[1, {}]]), enforced);
    packets(quiet.on);
    assert.deepEqual(quiet.asked, []);
    assert.deepEqual(
      quiet.on.reports.map(({ owner }) => owner),
      [null, null],
    );
    const telling = stand(new Map([[1, {}]]), enforced, true);
    packets(telling.on);
    assert.deepEqual(
      telling.asked.map(({ sourcePort }) => sourcePort),
      [1, 2],
    );
    assert.deepEqual(
      telling.on.reports.map(({ owner }) => owner?.detail ?? null),
      ["pid of 1", null],
    );
  });

  test("about packets whose headers are not believed: a denial for some process holds for them", () => {
    const { on, asked } = stand(
      new Map([[1, { step: "build" }]]),
      steps.replace("mode: enforce", "mode: monitor"),
      true,
    );
    const syn = tcp({ ...shared, sourcePort: 1 }, { seq: 1, flags: SYN, payload: ascii("x") });
    assert.equal(on.judge(syn, { invalid: true }), "refuse");
    assert.deepEqual(asked, []);
  });
});
