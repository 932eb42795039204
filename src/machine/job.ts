/** One job under an agent: what is started for it, looked at while it runs, and told whenever somebody asks. */
import { createHash } from "node:crypto";
import { existsSync, renameSync, statSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import { Attribution } from "../datapath/attribution.ts";
import { loadSigningKey } from "../audit/key.ts";
import type { SigningKey } from "../audit/signature.ts";
import { Enforcer } from "../enforcer/enforcer.ts";
import { loadText } from "../enforcer/policy-source.ts";
import { SallyportError } from "../errors.ts";
import { findUplinks } from "../kernel/devices.ts";
import { checkHost } from "../kernel/features.ts";
import { statOf } from "../process/read.ts";
import { ProcessTable } from "../process/table.ts";
import { bindingsFromHosts, textOf } from "../run/resolv.ts";
import { answerAt } from "./answers.ts";
import { type EarlierConnection, type JobFacts, makeReport, type Summarise } from "./job-report.ts";
import { limitsOf } from "./machine-limits.ts";
import { describeEarlier } from "./earlier.ts";
import { Observer } from "./observer.ts";
import type { AgentAnswer, AgentOrder } from "./order.ts";
import { OwnFiles } from "./own-files.ts";
import { withPermits } from "./permits.ts";
import { type Places, placesIn } from "./places.ts";
import { cgroupOf } from "./predecessor.ts";
import { makeReceipt, receiptEvent, receiptText } from "./receipt.ts";
import { copyRecord } from "./record-copy.ts";
import { machineResolvers } from "./resolvers.ts";
import { giveBackSudo, takeRootAccess } from "./root-access.ts";
import { sarifOf } from "./sarif.ts";
import { selfTestOutside } from "./self-test.ts";
import { machineChecks } from "./machine-checks.ts";
import { type TamperCheck, TamperWatch } from "./tamper-watch.ts";
import { noticedPrograms, Watchers } from "./watchers.ts";

/** How often all is looked at, ms. */
const lookMs = 2_000;
/** How long descriptor tables may be searched for the asker of one DNS question, ms. */
const askerSearchMs = 20;
/** NFQUEUE number and DNS ports that nothing else on a runner is known to use. */
const queueBase = 7_153;
const dnsPort = 21_053;

type Started = Omit<Extract<AgentAnswer, { ready: true }>, "ready" | "milliseconds">;

export class Job {
  readonly started: Started;
  readonly #order: AgentOrder;
  readonly #summarise: Summarise;
  readonly #places: Places;
  readonly #enforcer: Enforcer;
  readonly #facts: Pick<JobFacts, "job" | "mode" | "policy" | "limits" | "earlier">;
  /** The first record of the job: what the self-test tried is not among them. */
  #first = 1;
  #before = { allowed: 0, denied: 0, would_deny: 0 };
  readonly #files: OwnFiles;
  readonly #key: SigningKey | null;
  readonly #watch: TamperWatch;
  readonly #watchers: Watchers;
  readonly #processes: ProcessTable;
  readonly #observer: Observer;
  /** What did not hold at some time, in words: it stays said when it is well again. */
  readonly #failed = new Set<string>();
  #looking: NodeJS.Timeout | null = null;
  #answers: Server | null = null;
  #isLost = false;
  #isOver = false;

  /** Enforces when it resolves. Throws what cannot be had; what was set up is taken back then. */
  static async start(order: AgentOrder, summarise: Summarise): Promise<Job> {
    checkHost();
    const processes = new ProcessTable({
      ...(order.worker === null ? {} : { worker: order.worker }),
      secrets: order.secrets,
    });
    const earlier: EarlierConnection[] = [];
    const loaded = loadText(order.policy.text, order.policy.file);
    const policy = withPermits(loaded, order.control_plane);
    const places = placesIn(order.state);
    const attribution = new Attribution(processes, { searchFor: askerSearchMs });
    const key = order.sign_key === undefined ? null : loadSigningKey(order.sign_key);
    let job: Job | null = null;
    let early: string | null = null;
    const isMonitor = loaded.loaded.policy.default.mode === "monitor";
    const enforcer = await Enforcer.start({
      namespace: null,
      stand: {
        kind: "machine",
        uplinks: findUplinks(),
        cgroup: cgroupOf(process.pid),
        keep: (flow) => {
          const connection = describeEarlier(flow, processes, isMonitor);
          earlier.push(connection);
          return connection.runner;
        },
      },
      who: { worker: processes.worker, secrets: order.secrets, notice: noticedPrograms },
      onNoticed: (noticed) => {
        if (job !== null) job.#watchers.noticed(noticed);
      },
      askers: attribution.find,
      queueBase,
      queues: 1,
      dnsPort,
      dnsDeny: "nxdomain",
      upstreams: machineResolvers(),
      policy,
      state: places.record,
      signingKey: key,
      retention: { keepMs: null, keepBytes: null },
      fixed: bindingsFromHosts(textOf("/etc/hosts")),
      onEvent: (event) => {
        if (job !== null) job.#observer.see(event);
      },
      onFatal: (message) => {
        early ??= message;
        if (job !== null) job.#lost(message);
      },
    });
    let files: OwnFiles | null = null;
    try {
      const measures = takeRootAccess(order.root, order.user);
      files = new OwnFiles(order.own, order.workspace);
      job = new Job(order, enforcer, processes, files, { earlier, measures, key, summarise });
      if (early !== null) job.#lost(early);
      files.onMoved((path) => job!.#moved(path));
      await job.#begin();
      return job;
    } catch (error) {
      files?.release();
      giveBackSudo(order.root);
      // Rules that were there keep in what the job before has left running: they stay, with nobody behind them.
      await enforcer.stop(enforcer.found === "absent" ? "clean" : "closed");
      attribution.close();
      throw error;
    }
  }

  private constructor(
    order: AgentOrder,
    enforcer: Enforcer,
    processes: ProcessTable,
    files: OwnFiles,
    rest: { earlier: EarlierConnection[]; measures: string[]; key: SigningKey | null; summarise: Summarise },
  ) {
    const { earlier, measures, key, summarise } = rest;
    this.#order = order;
    this.#summarise = summarise;
    this.#places = placesIn(order.state);
    this.#enforcer = enforcer;
    this.#processes = processes;
    this.#files = files;
    this.#key = key;
    const { engine, policy } = enforcer.policy.loaded;
    const { workspace, file_monitoring } = order;
    const observed = { record: enforcer.record.bind(enforcer), workspace: file_monitoring ? workspace : null };
    this.#observer = new Observer(processes, observed);
    const limits = [...limitsOf(order, enforcer, processes), ...this.#observer.limits];
    this.#facts = {
      job: order.job,
      mode: policy.default.mode,
      policy: { hash: engine.hash, file: order.policy.file, from: order.policy.from },
      limits,
      earlier,
    };
    this.#watch = new TamperWatch(this.#checks(), ({ check, message }) => {
      enforcer.record({ kind: "tamper", message, data: { check } });
    });
    this.#watchers = new Watchers({ order, enforcer, processes, lookNow: () => this.#look() });
    this.started = {
      state: order.state,
      socket: this.#places.socket,
      pid: process.pid,
      degraded: [...files.unprotected],
      limits,
      earlier,
      measures,
    };
  }

  /** Gives the machine to the next job's agent. The rules stay, without anybody who would let a new connection through. */
  async retire(): Promise<void> {
    if (!this.#isOver) this.#over();
    if (this.#looking !== null) clearInterval(this.#looking);
    this.#answers?.close();
    this.#answers?.closeAllConnections();
    await this.#enforcer.stop("closed");
    this.#processes.close();
  }

  async #begin(): Promise<void> {
    if (this.#order.self_test && this.#facts.mode === "enforce") {
      const { held, checks } = await selfTestOutside(this.#places, (pid) =>
        this.#enforcer.machine!.cgroup.release(pid),
      );
      if (!held) {
        const leaks = checks.filter((check) => !check.held).map(({ name, why }) => `${name}: ${why}`);
        throw new SallyportError("ENFORCEMENT_LOST", `The self-test found a way out.\n${leaks.join("\n")}`, { checks });
      }
      await this.#enforcer.recorder.flush();
      this.#first = this.#enforcer.recorder.status().seq + 1;
      this.#before = (await this.#enforcer.status()).decisions;
      this.started.measures.push(`self-test: ${checks.length} ways out tried, all refused`);
    }
    this.#look();
    this.#looking = setInterval(() => this.#look(), lookMs);
    this.#answers = await answerAt(this.#places.socket, { status: () => this.#status(), finish: () => this.#finish() });
  }

  /** What must stay as it is. */
  #checks(): TamperCheck[] {
    const enforcer = this.#enforcer;
    return [
      ...machineChecks(this.#order, enforcer, (message) => this.#lost(message)),
      { name: "cgroup", look: () => strangers(enforcer.machine?.cgroup.members() ?? []) },
      { name: "own files", look: () => this.#files.changes(false) },
      { name: "program", look: () => this.#programChanges() },
    ];
  }

  #programChanges(): string[] {
    const { program, record } = this.#places;
    return [program, record].flatMap((folder) => {
      const { uid, mode } = statSync(folder);
      return uid === 0 && (mode & 0o022) === 0 ? [] : [`${folder} is no longer root's alone to write`];
    });
  }

  #look(): void {
    const now = Date.now();
    this.#processes.drain();
    for (const each of this.#watch.round(now)) this.#failed.add(each);
    this.#watchers.look(now);
    this.#enforcer.status().then(
      ({ problems }) => {
        for (const each of problems) this.#failed.add(each);
      },
      (error: Error) => this.#failed.add(`how enforcement stands cannot be told: ${error.message}`),
    );
    const { worker } = this.#order;
    if (!this.#isOver && worker !== null && !existsSync(`/proc/${worker}`)) this.#over();
  }

  /** The worker is gone, so nobody asks any more. The rules stay; the runner's folders are its own again. */
  #over(): void {
    this.#isOver = true;
    this.#files.release();
    this.#enforcer.record({ kind: "lifecycle", message: "the job is over", data: { worker: this.#order.worker } });
  }

  /**
   * Somebody put another folder where the action's was, and what the runner takes for our `post` would decide over the job: the
   * runner's worker is ended, which no job survives as a green one.
   */
  #moved(path: string): void {
    const { worker } = this.#order;
    this.#look();
    // A runner clears its folders when the job is over; its number may be another process's by now.
    if (this.#isOver) return;
    const message = `${path} was moved away, and the action with it: the runner's worker is ended`;
    if (this.#failed.has(message)) return;
    this.#failed.add(message);
    this.#enforcer.record({ kind: "tamper", message, data: { check: "own files", worker } });
    if (worker !== null && existsSync(`/proc/${worker}`)) process.kill(worker, "SIGKILL");
  }

  #lost(message: string): void {
    this.#isLost = true;
    this.#failed.add(message);
  }

  async #status() {
    const { allowed, denied, would_deny } = (await this.#enforcer.status()).decisions;
    const before = this.#before;
    const problems = [...this.#failed];
    const good = this.#facts.mode === "enforce" ? ("enforcing" as const) : ("monitoring" as const);
    return {
      state: this.#isLost ? ("lost" as const) : good,
      since: this.#enforcer.since.toISOString(),
      problems,
      allowed: allowed - before.allowed,
      denied: denied - before.denied,
      would_deny: would_deny - before.would_deny,
      tampering: this.#watch.rounds.made - this.#watch.rounds.passed,
      report: this.#places.report,
      receipt: this.#places.receipt,
      sarif: this.#places.sarif,
      summary: this.#places.summary,
      record: this.#places.copy,
    };
  }

  async #finish() {
    this.#look();
    for (const each of this.#files.changes(true)) this.#failed.add(each);
    this.#observer.finish();
    await this.#enforcer.recorder.flush();
    const { seq, head, lost, degraded } = this.#enforcer.recorder.status();
    const report = await makeReport(this.#enforcer.options.state, this.#first, this.#enforcer.flows(), {
      ...this.#facts,
      limits: [...new Set([...this.#facts.limits, ...this.#observer.gaps])],
      started: this.#enforcer.since.toISOString(),
      degraded: [...this.#failed, ...(degraded || lost > 0 ? [`the record lacks ${lost} events`] : [])],
      record: { events: seq, head, lost },
    });
    const text = `${JSON.stringify(report, null, 2)}\n`;
    const { made, passed } = this.#watch.rounds;
    const receipt = receiptText(makeReceipt(report, text, { made, passed }), this.#key);
    const sarif = sarifOf(report, this.#order.workflow_file ?? null);
    write(this.#places.report, text);
    write(this.#places.receipt, receipt);
    write(this.#places.sarif, `${JSON.stringify(sarif, null, 1)}\n`);
    const status = await this.#status();
    const summary = `${this.#summarise(report, status, this.#order.summary)}\n`;
    write(this.#places.summary, summary);
    // The receipt names the head it was made at; the record then tells of the receipt, so that neither fits another.
    this.#enforcer.record(receiptEvent(receipt));
    await this.#enforcer.recorder.flush();
    copyRecord(this.#places.record, this.#places.copy);
    const digests = { report: sha256(text), receipt: sha256(receipt), summary: sha256(summary) };
    return { ...(await this.#status()), digests };
  }
}

/** Who else is in our cgroup, whose packets nobody looks at. Programs that we run at the moment are not strangers. */
function strangers(members: readonly number[]): string[] {
  return members
    .filter((pid) => pid !== process.pid && statOf(pid)?.parent !== process.pid && existsSync(`/proc/${pid}`))
    .map((pid) => `process ${pid} joined the agent's cgroup`);
}

/** Whole or not at all. */
function write(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o644 });
  renameSync(`${path}.new`, path);
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
