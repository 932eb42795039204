/**
 * The DNS firewall's thread, on loopback. It answers while the main thread is busy; no answer leaves before every data-path thread
 * knows its addresses and its event is told; a new policy is in force when it is said, and not before; a thread that dies answers
 * nobody, and is told; for one that hangs nobody waits for ever, and it does not come back.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { BroadcastChannel, MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { ask, dig, exchange, fixed, queryBytes, server } from "../../test/dns/peers.ts";
import { until } from "../../test/support/until.ts";
import { parseAddress } from "../address/ip.ts";
import { bodiesOf } from "../audit/body.ts";
import type { EventBody } from "../audit/event.ts";
import type { ToBook } from "../datapath/messages.ts";
import type { QueueLink } from "../datapath/pool.ts";
import type { SpareThreads } from "../datapath/threads.ts";
import type { Binding } from "../flow/book.ts";
import { boundTo, listenTcp, listenUdp } from "../kernel/sockets.ts";
import { Waiter } from "../kernel/wait.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { formatName } from "../wire/dns/name.ts";
import { Rcode } from "../wire/dns/types.ts";
import { dnsFile, DnsThread, type DnsThreadOptions } from "./dns-thread.ts";

const loopback = parseAddress("127.0.0.1")!;

function policyOf(names: readonly string[]) {
  const text = `version: 1\nrules:\n  - { name: web, to: [${names.join(", ")}] }\ndefault: { mode: enforce }\n`;
  const loaded = loadPolicy(text, "policy.yaml", new Date(0));
  if (isPolicyProblems(loaded)) throw new TypeError(JSON.stringify(loaded.problems));
  return { policy: loaded.policy, at: 0 };
}

/** Stands for a data-path thread: takes bindings when it is told to. */
class Book {
  readonly link: QueueLink;
  readonly bindings: Binding[] = [];
  readonly #port: MessagePort;
  #held: number[] | null = null;

  constructor(t: TestContext) {
    const { port1, port2 } = new MessageChannel();
    const waiter = new Waiter([]);
    this.#port = port1;
    this.link = { port: port2, wake: waiter.wakeDescriptor };
    port1.on("message", ({ sequence, bindings }: ToBook) => {
      this.bindings.push(...bindings);
      if (this.#held === null) port1.postMessage(sequence);
      else this.#held.push(sequence);
    });
    t.after(() => {
      port1.close();
      waiter.close();
    });
  }

  /** Does not confirm from now on. */
  hold(): void {
    this.#held = [];
  }

  confirm(): void {
    for (const sequence of this.#held ?? []) this.#port.postMessage(sequence);
    this.#held = null;
  }

  die(): void {
    this.#port.close();
  }
}

/** The firewall's thread, with a handle to stop it wherever it is: as a defect would that goes round and round. */
class Hanging {
  readonly #held = new Int32Array(new SharedArrayBuffer(8));
  readonly #name = `hang ${randomUUID()}`;

  take(): Worker {
    const program = `
      const { BroadcastChannel, workerData } = require("node:worker_threads");
      new BroadcastChannel(workerData.name).onmessage = () => {
        Atomics.store(workerData.held, 0, 1);
        while (Atomics.load(workerData.held, 1) === 0);
      };
      import(workerData.file);`;
    return new Worker(program, {
      eval: true,
      workerData: { name: this.#name, held: this.#held, file: dnsFile.href },
    });
  }

  /** Resolves when the thread hangs. */
  async hang(): Promise<void> {
    const channel = new BroadcastChannel(this.#name);
    channel.postMessage(null);
    assert.ok(await until(() => Atomics.load(this.#held, 0) === 1, 30_000));
    channel.close();
  }

  letGo(): void {
    Atomics.store(this.#held, 1, 1);
  }
}

/** A thread that can be made to hang, and whose seconds pass when the test says so: no machine is too slow for it. */
async function hangable(t: TestContext) {
  const hanging = new Hanging();
  let look = () => {};
  const every = (given: () => void) => {
    look = given;
    return () => (look = () => {});
  };
  const stood = await stand(t, ["allowed.example"], [new Book(t)], {
    spare: hanging as unknown as SpareThreads,
    every,
  });
  const pass = (seconds: number) => {
    for (let i = 0; i < seconds; i++) look();
  };
  /** There was a sign of life since: what was asked after one was due is answered. */
  const goesOn = async () => {
    await sleep(300);
    for (let i = 0; i < 2; i++) await ask(stood.port, "denied.example");
  };
  /** Hangs, and a sign of life before was seen. */
  const hang = async () => {
    await goesOn();
    await hanging.hang();
    pass(1);
  };
  return { ...stood, hang, pass, goesOn, letGo: () => hanging.letGo() };
}

async function stand(
  t: TestContext,
  names: readonly string[],
  books: readonly Book[],
  more: Pick<DnsThreadOptions, "spare" | "every"> = {},
) {
  const upstream = await server(t, fixed("198.51.100.7"));
  const events: EventBody[] = [];
  const bound: Binding[] = [];
  const failures: string[] = [];
  const udp = listenUdp(loopback, 0);
  const { port } = boundTo(udp);
  const sockets = [{ link: "lo", address: loopback, udp, tcp: listenTcp(loopback, port) }];
  const thread = await DnsThread.start({
    namespace: null,
    policy: policyOf(names),
    upstreams: [upstream.endpoint],
    deny: "nxdomain",
    isMachine: false,
    askers: null,
    ...more,
    onTold: ({ bodies }) => void events.push(...bodiesOf(bodies)),
    onBound: (bindings) => void bound.push(...bindings),
    onFailure: (message) => void failures.push(message),
  });
  t.after(() => thread.close());
  await thread.serve(
    sockets,
    books.map(({ link }) => link),
  );
  return { thread, events, bound, failures, port };
}

const named = (events: readonly EventBody[], name: string) =>
  events.filter(({ destination }) => destination?.name === name);

test("questions are answered while the main thread is busy, over UDP and TCP", async (t) => {
  const { port } = await stand(t, ["allowed.example"], [new Book(t)]);
  assert.match(await dig(port, "allowed.example"), /198\.51\.100\.7/);
  // This thread stands still until dig is done.
  const blocked = (...args: string[]) =>
    execFileSync("dig", ["@127.0.0.1", "-p", String(port), "+tries=1", ...args], { encoding: "utf8" });
  assert.match(blocked("allowed.example"), /198\.51\.100\.7/);
  assert.match(blocked("denied.example"), /NXDOMAIN/);
  assert.match(blocked("+tcp", "allowed.example"), /198\.51\.100\.7/);
});

test("no answer leaves before every data-path thread knows its addresses; one that is gone is not waited for", async (t) => {
  const books = [new Book(t), new Book(t)];
  const { port, bound, events } = await stand(t, ["allowed.example"], books);
  books[1]!.hold();
  let answered = false;
  const asked = ask(port, "allowed.example").finally(() => (answered = true));
  assert.ok(await until(() => books[1]!.bindings.length > 0 || undefined, 10_000));
  // What was asked later is answered first: the answer is held, not late.
  assert.match(await dig(port, "denied.example"), /NXDOMAIN/);
  assert.equal(answered, false);
  assert.deepEqual(bound, []);
  assert.deepEqual(named(events, "allowed.example"), []);
  books[1]!.die();
  assert.equal((await asked).answers.length, 1);
  assert.deepEqual(
    books[0]!.bindings.map(({ name, address }) => [name, address]),
    [["allowed.example", parseAddress("198.51.100.7")]],
  );
});

test("a data-path thread that comes later knows what was handed out, and what is on its way", async (t) => {
  const [first, late] = [new Book(t), new Book(t)];
  const { thread, port } = await stand(t, ["allowed.example", "other.example"], [first]);
  await ask(port, "allowed.example");
  first.hold();
  const asked = ask(port, "other.example");
  assert.ok(await until(() => first.bindings.length === 2 || undefined, 10_000));
  thread.link(late.link);
  assert.ok(await until(() => late.bindings.length === 2 || undefined, 10_000));
  first.confirm();
  await asked;
  assert.deepEqual(late.bindings.map(({ name }) => name).toSorted(), ["allowed.example", "other.example"]);
});

test("what was answered is told before the answer is there, and what was only counted when it is asked for", async (t) => {
  const { thread, port, events, bound } = await stand(t, ["allowed.example"], [new Book(t)]);
  await exchange(port, queryBytes("allowed.example"));
  thread.takeTold();
  assert.equal(named(events, "allowed.example").length, 1);
  assert.equal(bound.length, 1);
  for (let i = 0; i < 40; i++) await ask(port, "denied.example");
  await thread.tellAll();
  const told = named(events, "denied.example");
  assert.equal(
    told.reduce((sum, { count }) => sum + (count ?? 1), 0),
    40,
  );
  assert.ok(told.length < 40, `${told.length} events`);
  const { stats } = await thread.look();
  assert.deepEqual([stats.queries, stats.allowed, stats.denied], [41, 1, 40]);
});

test("a large policy is prepared while the old one answers, and in force when it is said", async (t) => {
  const { thread, port } = await stand(t, ["allowed.example"], [new Book(t)]);
  const rcodeOf = async (name: string) => (await ask(port, name)).header.rcode;
  await rcodeOf("allowed.example");
  const names = Array.from({ length: 5_000 }, (_, i) => `host${i}.large.example`);
  const done = { isReady: false };
  const prepared = thread.prepare(policyOf(names)).then(() => (done.isReady = true));
  let answers = 0;
  for (; !done.isReady; answers++) assert.equal(await rcodeOf("allowed.example"), Rcode.NOERROR);
  await prepared;
  assert.ok(answers >= 3, `${answers} answers meanwhile`);
  assert.equal(await rcodeOf("host4999.large.example"), Rcode.NXDOMAIN, "not before it is said");
  await thread.commit();
  assert.equal(await rcodeOf("allowed.example"), Rcode.NXDOMAIN);
  const { questions, header } = await ask(port, "host4999.large.example");
  assert.equal(header.rcode, Rcode.NOERROR, formatName(questions[0]!.name));
});

test("a thread that dies answers nobody, and it is told; nobody waits for it", async (t) => {
  let worker: Worker | null = null;
  process.once("worker", (begun: Worker) => (worker = begun));
  const { thread, port, failures } = await stand(t, ["allowed.example"], [new Book(t)]);
  const { stats } = await thread.look();
  await worker!.terminate();
  assert.ok(await until(() => failures[0], 10_000));
  assert.match(failures[0]!, /^the DNS firewall's thread died: /);
  await thread.commit();
  assert.deepEqual((await thread.look()).stats, stats);
  assert.equal(await exchange(port, queryBytes("allowed.example"), "127.0.0.1", 300), null);
  assert.match(await dig(port, "+tcp", "allowed.example"), /refused/);
});

test("how a thread stands that hangs is told at once, with the problem; and no longer once it goes on", async (t) => {
  const { thread, failures, hang, pass, goesOn, letGo } = await hangable(t);
  assert.equal(thread.problem, null);
  await goesOn();
  const { stats } = await thread.look();
  await hang();
  const waited = thread.look();
  pass(2);
  assert.deepEqual((await waited).stats, stats);
  assert.match(thread.problem!, /does not answer/);
  assert.deepEqual((await thread.look()).stats, stats, "nobody waits");
  // A machine that stands for half a minute less a second has lost nothing.
  pass(27);
  letGo();
  await goesOn();
  pass(1);
  assert.equal(thread.problem, null);
  assert.notDeepEqual((await thread.look()).stats, stats);
  assert.deepEqual(failures, []);
});

test("a thread that hangs is given up, ended and told: at once where a policy waits for it", async (t) => {
  for (const [seconds, what] of [
    [30, () => Promise.resolve()],
    [10, (thread: DnsThread) => thread.prepare(policyOf(["other.example"]))],
    [10, (thread: DnsThread) => thread.commit()],
    [5, (thread: DnsThread) => thread.tellAll()],
    [5, (thread: DnsThread) => thread.close()],
  ] as const) {
    const { thread, port, failures, hang, pass } = await hangable(t);
    await hang();
    const waited = what(thread);
    pass(seconds - 1);
    assert.deepEqual(failures, []);
    pass(1);
    await waited;
    assert.match(failures[0]!, /died: it hung/);
    assert.equal(failures.length, 1);
    assert.equal(thread.problem, null, "told already");
    await thread.close();
    assert.equal(await exchange(port, queryBytes("allowed.example"), "127.0.0.1", 300), null);
  }
});
