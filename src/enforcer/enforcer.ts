/**
 * One thing to start: the data path, the DNS firewall, the record and the live policy, on interfaces that somebody names.
 * It knows where it stands only by its options; `gateway` and `run` place it.
 *
 * It starts closed: queues and sockets first, then the ruleset, and only then does the kernel forward. Whatever fails
 * before that leaves nothing behind. What fails later leaves the ruleset, without a listener: refused, not open.
 */
import type { EventBody } from "../audit/event.ts";
import { lockState, type StateLock } from "../audit/lock.ts";
import type { Recorder } from "../audit/recorder.ts";
import { DataPath } from "../datapath/pool.ts";
import type { Exporter } from "../export/exporter.ts";
import { AddressBook, type Binding } from "../flow/book.ts";
import { inNamespace } from "../kernel/namespace.ts";
import type { RulesetState } from "../kernel/ruleset.ts";
import { AroundMachine, guardDevices, guardFor } from "./around-machine.ts";
import { Denials } from "./denials.ts";
import { dnsSetup } from "./dns-setup.ts";
import { DnsThread } from "./dns-thread.ts";
import { EarlyLinks } from "./early-links.ts";
import { inForceEvent, startedEvent } from "./events.ts";
import { HostSettings } from "./host.ts";
import { Journal } from "./journal.ts";
import { Keeper } from "./keeper.ts";
import { closeSockets, type Opened, openFor } from "./listeners.ts";
import { LiveFlows } from "./live-flows.ts";
import { holds, loadFile, loadText, type PolicyInForce } from "./policy-source.ts";
import { type EnforcerOptions, placeOf, whereOf } from "./options.ts";
import { RecordRetention } from "./retention.ts";
import { applied, appliedAside, type PlacedRuleset, rulesetFor, type Survey, surveyAside } from "./rules-for.ts";
import { type ConfigurationView, type FlowView, type Status, statusOf, viewFlows } from "./status.ts";

const housekeepingMs = 1_000;
const notKept = "what a restart needs cannot be written to the state directory";

export class Enforcer {
  readonly options: EnforcerOptions;
  readonly since = new Date();
  readonly book: AddressBook;
  live!: LiveFlows;
  ruleset!: PlacedRuleset;
  /** Null between links. */
  machine: AroundMachine | null = null;
  policy: PolicyInForce;
  policySince = new Date();
  rejected: { at: string; message: string } | null = null;
  /** False after a change that broke off: one thread may judge by another policy than the others. */
  #isSettled = true;
  dataPath!: DataPath;
  dns!: DnsThread;
  journal!: Journal;
  denials!: Denials;
  #retention!: RecordRetention;
  /** Set by whoever starts one. */
  exporter: Exporter | null = null;
  /** The configuration besides the policy, where there is one; set by whoever starts one. */
  configuration: (() => ConfigurationView) | null = null;
  readonly problems = new Set<string>();
  #lock: StateLock | null = null;
  readonly host: HostSettings;
  readonly #keeper: Keeper;
  #housekeeping: NodeJS.Timeout | null = null;
  #change: Promise<unknown> = Promise.resolve();
  #stopped = false;
  /** Opened, and nobody's yet; null: there are none. */
  #unserved: readonly Opened[] | null = null;
  /** The ruleset as this process found it; null before it was touched. */
  found: RulesetState | null = null;

  private constructor(options: EnforcerOptions) {
    this.options = options;
    this.policy = options.policy;
    this.host = new HostSettings(options.state, options.namespace);
    this.#keeper = new Keeper(options.state);
    this.book = new AddressBook({ oneSource: options.stand.kind === "machine" });
  }

  /** Enforces when it resolves. Rejects with a SallyportError; what it had set up is taken back then. */
  static async start(options: EnforcerOptions): Promise<Enforcer> {
    const enforcer = new Enforcer(options);
    try {
      await enforcer.#start();
    } catch (error) {
      await enforcer.#undo();
      throw error;
    }
    return enforcer;
  }

  /** Sets up, also again, what somebody took away: what was opened meanwhile has no verdict, and gets one. Throws as a start does. */
  putBack(): void {
    this.within(() => this.#applyRuleset());
    this.host.track(); // Now: where nobody tracked before, there was nothing to set.
  }

  /** Runs `fn` where the interfaces are. */
  within<T>(fn: () => T): T {
    return this.options.namespace === null ? fn() : inNamespace(this.options.namespace, fn);
  }

  get recorder(): Recorder {
    return this.journal.recorder;
  }

  record(event: EventBody): void {
    this.journal.record(event);
  }

  /**
   * Puts a policy text in force: when this resolves no new connection is judged by the old one, and live connections that
   * the new one refuses are ended. Rejects with POLICY_INVALID and changes nothing when the text does not load.
   */
  async setPolicy(text: string, file: string): Promise<{ ended: number }> {
    return this.#inTurn(() => this.#setPolicy(() => loadText(text, file), file));
  }

  /** The same of a policy file; rejects with POLICY_UNREADABLE too. Null with `ifChanged` where what the file holds is in force. */
  async reloadPolicy(file: string, ifChanged = false): Promise<{ ended: number } | null> {
    const isInForce = () => this.#isSettled && this.rejected === null && holds(file, this.policy.text);
    return this.#inTurn(async () => (ifChanged && isInForce() ? null : this.#setPolicy(() => loadFile(file), file)));
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const changed = this.#change.then(change);
    this.#change = changed.catch(() => {});
    return changed;
  }

  async status(): Promise<Status> {
    this.denials.tick(Date.now());
    return statusOf(this);
  }

  flows(): FlowView[] {
    return viewFlows(this.live);
  }

  /**
   * Stops. `closed` leaves the ruleset in place without a listener: established connections go on, new ones are refused.
   * `clean` leaves the host as it was. `gone` is for interfaces that are about to be taken away with all that is on them:
   * closed until then, and each live connection is recorded as ended with its counts so far.
   */
  async stop(leave: "closed" | "clean" | "gone"): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    if (this.#housekeeping !== null) clearInterval(this.#housekeeping);
    await this.dns.tellAll();
    this.denials.tick(Number.POSITIVE_INFINITY);
    this.record({ kind: "lifecycle", message: "stopped", data: { leave } });
    if (leave === "clean") {
      // Forwarding first: between the two nobody is policed.
      this.host.restore();
      this.within(() => this.ruleset.remove());
    }
    await this.dns.close();
    this.denials.tick(Number.POSITIVE_INFINITY);
    this.denials.close();
    await this.dataPath.stop();
    this.journal.detections.tick(Number.POSITIVE_INFINITY);
    if (leave === "gone") {
      // After the threads have told the last they settled.
      this.live.endAll(Date.now());
      this.host.forget();
    }
    await this.#keeper.keep(this.book, this.live.ledger, Date.now(), true).catch(() => {});
    this.live?.close();
    await this.recorder.close();
    // A pass that waited for the disk has its answer now.
    await this.#retention.stop();
    if (leave === "clean") this.machine?.close();
    this.#lock?.release();
  }

  async #start(): Promise<void> {
    const { options } = this;
    const { stand, namespace, queueBase, queues, state, retention, sinks = () => [], lap = () => {} } = options;
    this.#lock = lockState(options.state);
    if (stand.kind === "machine") this.machine = this.within(() => new AroundMachine(stand));
    this.ruleset = this.#newRuleset(true);
    this.journal = await Journal.open({
      ...(options.spare === undefined ? {} : { startThread: options.spare.take.bind(options.spare) }),
      recorder: { ...options.segments, directory: options.state, key: options.signingKey },
      onEvent: options.onEvent,
      group: (source) => this.policy.loaded.engine.group(source),
      onMachine: () => this.machine !== null,
    });
    this.#retention = new RecordRetention(state, retention, this.recorder, this.problems, sinks);
    for (const binding of [...options.fixed, ...this.#keeper.bindings(Date.now())]) this.book.bind(binding);
    const sockets = this.within(() => {
      this.live = new LiveFlows({
        book: this.book,
        engine: () => this.policy.loaded.engine,
        policy: () => this.policy.loaded.policy,
        overdrawn: (entries) => void this.dataPath.setOverdrawn(entries),
        record: (event) => this.record(event),
        recordEnd: (text, ended) => this.journal.ended(text, ended),
        sockets: this.machine?.sockets ?? null,
      });
      return openFor(stand, options.dnsPort);
    });
    this.#unserved = sockets;
    lap("cgroup, record, sockets");
    const surveyed = surveyAside(this.ruleset, options);
    const links = new EarlyLinks((link) => this.dns.link(link));
    const dns = DnsThread.start({
      ...dnsSetup(options, this.policy),
      onTold: (told) => this.journal.told(told),
      onBound: (bindings) => this.#bound(bindings),
      onFailure: (message) => this.#failed(message, true),
    }).then((thread) => (this.dns = thread));
    const dataPath = DataPath.start({
      ...{ namespace, queueBase, queues },
      oneSource: stand.kind === "machine",
      who: options.who ?? null,
      policy: { policy: this.policy.loaded.policy, at: this.policy.at },
      bindings: () => [...this.book.entries(Date.now())],
      onLink: (link) => links.add(link),
      ...(options.spare === undefined ? {} : { spare: options.spare }),
      recorded: this.recorder.progress,
      onTold: (told) => {
        // A name's answer is in the record before the connection that followed it.
        this.dns?.takeTold();
        this.journal.told(told);
        this.live.begun(told.flows, Date.now());
      },
      ...(options.onNoticed === undefined ? {} : { onNoticed: options.onNoticed }),
      onEnded: (ended, lost) => this.live.ended(ended, lost, Date.now()),
      onFailure: (message, fatal) => this.#failed(message, fatal),
    }).then((path) => (this.dataPath = path));
    // Each to its end: what is still starting while the rest is undone would stay.
    for (const each of await Promise.allSettled([dns, dataPath])) if (each.status === "rejected") throw each.reason;
    this.denials = new Denials({
      ...placeOf(options, () => this.policy.loaded.engine.enforces),
      within: (fn) => this.within(fn),
      record: (event) => this.record(event),
    });
    this.#unserved = null;
    await this.dns.serve(sockets, links.serving());
    const survey = await surveyed;
    this.found = survey?.state ?? this.within(() => this.ruleset.state());
    if (this.machine !== null) await this.#aroundMachine(this.machine, survey);
    else {
      this.within(() => this.#applyRuleset());
      this.host.forward();
    }
    lap("rules");
    this.#adoptFlows();
    this.#housekeeping = setInterval(() => this.#housekeep(), housekeepingMs);
    this.record(startedEvent(this.policy.loaded.engine, whereOf(options)));
  }

  #newRuleset(unread: boolean): PlacedRuleset {
    return this.within(() => rulesetFor(this.options, unread, this.machine?.cgroup.path ?? null));
  }

  /** Nothing is forwarded that was not before; and nothing is in the middle when the rules come. */
  async #aroundMachine(machine: AroundMachine, survey: Survey | null): Promise<void> {
    const { live, book, policy } = this;
    const earlier = { live, book, engine: policy.loaded.engine, record: this.record.bind(this) };
    this.host.track();
    this.within(() => machine.settleEarlier(earlier, Date.now()));
    this.options.lap?.("connections from before");
    if (survey === null) return this.putBack();
    this.ruleset = await appliedAside(survey, () => this.#newRuleset(false));
    this.host.track();
  }

  /** Without the kernel's bpf match bare ACKs and QUIC's data come to user space as well: slower, not laxer. */
  #applyRuleset(): void {
    this.ruleset = applied(this.ruleset, () => this.#newRuleset(false));
  }

  /** Every data-path thread knows them; this book is for those that start later, and for a restart. */
  #bound(bindings: readonly Binding[]): void {
    this.#keeper.bindingsChanged();
    for (const binding of bindings) this.book.bind(binding);
  }

  async #setPolicy(load: () => PolicyInForce, file: string): Promise<{ ended: number }> {
    let next: PolicyInForce;
    try {
      next = load();
    } catch (error) {
      this.rejected = { at: new Date().toISOString(), message: (error as Error).message };
      this.record({ kind: "policy", message: "rejected", data: { file, error: (error as Error).message } });
      throw error;
    }
    const before = this.policy.loaded.engine.hash;
    const closed = this.live.closed();
    const policy = { policy: next.loaded.policy, at: next.at };
    this.#isSettled = false;
    await this.dns.prepare(policy);
    await this.dataPath.setPolicy(policy);
    await this.dns.commit();
    [this.policy, this.policySince, this.rejected] = [next, new Date(), null];
    this.within(() => guardFor(this.ruleset, next.loaded.engine));
    const ended = this.live.endRefused(closed, Date.now());
    this.record(inForceEvent({ file, before, policy: next.loaded.engine.hash, ended }));
    this.#isSettled = true;
    return { ended };
  }

  /** Connections from before this process (threat T8). */
  #adoptFlows(): void {
    const now = Date.now();
    const { kept, ended } = this.live.adopt(this.#keeper.flows(now), now);
    if (kept + ended > 0) this.record({ kind: "lifecycle", message: "took over", data: { kept, ended } });
  }

  #failed(message: string, fatal: boolean): void {
    this.journal.record({ kind: "lifecycle", message: "failure", data: { message, fatal } });
    // While it stops it is only recorded: nobody needs to give up what ends.
    if (!fatal || this.#stopped) return;
    this.problems.add(message);
    this.options.onFatal?.(message);
  }

  #housekeep(): void {
    const now = Date.now();
    this.book.sweep(now);
    this.journal.detections.tick(now);
    this.denials.tick(now);
    this.#retention.tick(now);
    if (this.machine !== null) this.within(() => guardDevices(this.ruleset, this.problems));
    this.#keeper.keep(this.book, this.live.ledger, now).then(
      () => this.problems.delete(notKept),
      () => this.problems.add(notKept),
    );
  }

  /** Takes back what a failed start had set up. */
  async #undo(): Promise<void> {
    this.#stopped = true;
    // A ruleset that was there before belongs to an enforcer that ran here: it stays, closed. Forwarding first, as above.
    try {
      if (this.found === "absent") this.host.restore();
      if (this.found === "absent") this.within(() => this.ruleset.remove());
    } finally {
      // A thread that went on would keep the process alive, with nobody to serve.
      closeSockets(this.#unserved ?? []);
      await this.dns?.close();
      await this.dataPath?.stop();
      this.live?.close();
      this.denials?.close();
      await this.journal?.recorder.close();
      if (this.found === null || this.found === "absent") this.machine?.close();
      this.#lock?.release();
    }
  }
}
