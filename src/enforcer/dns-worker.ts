/**
 * The DNS firewall's thread: its sockets, its cache, its own compilation of the policy. An event loop with nothing else in it, so that
 * a question waits for nobody but the questions before it and the data path's threads, which must know the addresses of an answer
 * before it leaves (docs/adr/0013-dns-in-a-thread.md).
 *
 * If this thread dies its sockets are closed and nobody resolves anything: fail closed. The main thread tells, and gives up.
 */
import { type MessagePort, parentPort } from "node:worker_threads";
import type { Attribution } from "../datapath/attribution.ts";
import { within } from "../datapath/next-policy.ts";
import { DnsFirewall } from "../dns/firewall.ts";
import type { DnsFirewallOptions } from "../dns/types.ts";
import { Conntrack } from "../kernel/conntrack.ts";
import { inNamespace } from "../kernel/namespace.ts";
import { hurriedly } from "../kernel/priority.ts";
import { compile } from "../policy/compile.ts";
import type { Engine } from "../policy/decision.ts";
import { IncomingPolicy } from "../policy/incoming.ts";
import { Askers } from "./askers.ts";
import type { AskersOptions, DnsOrder, DnsSetup, FromDns, ToDns } from "./dns-messages.ts";
import { DnsTold } from "./dns-told.ts";
import { adopt, type Listeners } from "./listeners.ts";
import { AnsweringAddresses, originalServers } from "./original-server.ts";
import { QueueLinks } from "./queue-links.ts";

/** Refusals are counted in windows of a second; processes that nobody asks about are taken in, and a sign of life given, this often, ms. */
const tickMs = 250;
/** How long a policy is compiled before questions have their turn, ms. */
const sliceMs = 2;

class DnsWorker {
  readonly #setup: DnsSetup;
  readonly #port: MessagePort;
  readonly #who: Attribution | null;
  readonly #conntrack: Conntrack;
  readonly #links = new QueueLinks();
  readonly #told: DnsTold;
  readonly #firewall: DnsFirewall;
  #ticking: NodeJS.Timeout | undefined;
  #engine: Engine;
  /** The next policy, as far as it has come; and compiled. */
  readonly #incoming = new IncomingPolicy();
  #prepared: Engine | null = null;
  #listeners: Listeners | null = null;
  #posted = 0;

  constructor(setup: DnsSetup, who: Attribution | null) {
    this.#setup = setup;
    this.#port = setup.port;
    this.#who = who;
    this.#engine = compile(setup.policy.policy, setup.policy.at);
    this.#conntrack = this.#within(() => new Conntrack());
    this.#told = new DnsTold({
      engine: () => this.#engine,
      tell: (told, bindings) => {
        this.#posted = (this.#posted + told.bodies.lines + told.names.length) | 0;
        this.#post({ kind: "told", told, bindings });
      },
      untaken: () => (this.#posted - Atomics.load(setup.taken, 0)) | 0,
    });
    this.#firewall = new DnsFirewall(this.#options());
  }

  run(): void {
    this.#ticking = setInterval(() => this.#tick(), tickMs);
    this.#port.on("message", (message: ToDns) => this.#received(message));
  }

  #options(): DnsFirewallOptions {
    const { upstreams, deny, isMachine } = this.#setup;
    const answering = new AnsweringAddresses((fn) => this.#within(fn));
    // A machine's own addresses are servers' as well: its resolvers', and those of its containers' networks.
    const own = () => (isMachine ? new Set<string>() : (this.#listeners?.addresses ?? new Set<string>()));
    const askers = this.#who === null ? null : new Askers(this.#who.find);
    return {
      policy: () => this.#engine,
      upstreams,
      deny,
      bind: async (bindings) => {
        await this.#links.bind(bindings);
        this.#told.bound(bindings);
      },
      originalServers: (transport, queries) => {
        const asked = queries.map(({ client, local }) => ({ client, local: answering.of(local, client) }));
        return originalServers(this.#conntrack, own(), transport, asked);
      },
      ...(askers === null ? {} : { askerOf: (...asked) => askers.of(...asked) }),
      oneSender: isMachine,
      record: (event) => this.#told.record(event),
      release: (send) => this.#told.release(send),
      hasRoom: () => this.#told.isHeard,
      now: () => Date.now(),
    };
  }

  #within<T>(fn: () => T): T {
    const { namespace } = this.#setup;
    return namespace === null ? fn() : inNamespace(namespace, fn);
  }

  #tick(): void {
    Atomics.add(this.#setup.beats, 0, 1);
    this.#told.tick(Date.now());
    this.#who?.drain();
    this.#who?.tick();
  }

  #received(message: ToDns): void {
    if (message.kind === "link") return this.#links.add(message.link, this.#firewall.bindings());
    this.#obey(message).then(
      () => {
        // Before the word that it is done: what was answered under a policy is told before the next one is in force.
        this.#told.flush();
        const standing = { stats: this.#firewall.stats(), times: this.#firewall.answerTimes() };
        this.#post({ kind: "done", sequence: message.sequence, standing });
      },
      (error: unknown) => this.#post({ kind: "refused", sequence: message.sequence, message: String(error) }),
    );
  }

  async #obey(order: DnsOrder): Promise<void> {
    switch (order.kind) {
      case "serve":
        for (const link of order.links) this.#links.add(link, []);
        this.#listeners = await adopt(order.sockets);
        for (const { link, udp, tcp } of this.#listeners.pairs) {
          this.#firewall.listenUdp(udp, link);
          this.#firewall.listenTcp(tcp, link);
        }
        break;
      case "prepare":
        this.#incoming.add(order.part);
        if (this.#incoming.isWhole) this.#prepared = await compileAside(this.#incoming);
        break;
      case "commit":
        this.#told.flush();
        this.#engine = this.#prepared ?? this.#engine;
        this.#prepared = null;
        break;
      case "tell":
        this.#told.tick(Number.POSITIVE_INFINITY);
        break;
      case "look":
        break;
      case "close":
        await this.#close();
        break;
    }
  }

  async #close(): Promise<void> {
    this.#listeners?.close();
    await this.#firewall.close();
    // Not before: until then somebody waits for it, as long as it lives.
    clearInterval(this.#ticking);
    this.#told.tick(Number.POSITIVE_INFINITY);
    this.#links.close();
    this.#conntrack.close();
    this.#who?.close();
  }

  #post(message: FromDns): void {
    this.#port.postMessage(message);
  }
}

/** A few milliseconds at a time: questions are answered in between. */
async function compileAside(incoming: IncomingPolicy): Promise<Engine> {
  for (;;) {
    const engine = hurriedly(() => incoming.work(within(sliceMs)));
    if (engine !== null) return engine;
    if (!incoming.isWhole) throw new TypeError("another policy came before this one was compiled");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** With a process table of the thread's own. Only where it is asked for: a gateway has no use for it, and starts faster without. */
async function attribution({ searchFor, calls, ...asked }: AskersOptions): Promise<Attribution> {
  const [{ Attribution }, { ProcessTable }] = await Promise.all([
    import("../datapath/attribution.ts"),
    import("../process/table.ts"),
  ]);
  const { worker, secrets, notes = null, beginning } = asked;
  const begun = beginning === undefined ? {} : { beginning };
  const table = new ProcessTable({ ...(worker === null ? {} : { worker }), secrets, notes, ...begun });
  return new Attribution(table, { searchFor, witness: calls ?? true });
}

// Not `workerData`: a thread is started before it is known what for, so that its modules are loaded by then.
parentPort!.once("message", async (setup: DnsSetup | null) => {
  if (setup === null) return;
  new DnsWorker(setup, setup.askers === null ? null : await attribution(setup.askers)).run();
  parentPort!.postMessage("ready");
});
