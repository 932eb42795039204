/** One job under an agent: what is started for it, looked at while it runs, and told whenever somebody asks. */
import { existsSync, renameSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import { loadSigningKey } from "../audit/key.ts";
import type { SigningKey } from "../audit/signature.ts";
import type { Enforcer } from "../enforcer/enforcer.ts";
import { loadText } from "../enforcer/policy-source.ts";
import { decisionsOf } from "../enforcer/status.ts";
import { SallyportError } from "../errors.ts";
import { OwnerLookup } from "../process/owner.ts";
import { ProcessTable } from "../process/table.ts";
import type { SelfTestResult } from "../simulate/self-test.ts";
import { answerAt } from "./answers.ts";
import { type EarlierConnection, type JobFacts, makeReport } from "./job-report.ts";
import { limitsOf } from "./machine-limits.ts";
import { jobEnforcer, whoOf } from "./job-enforcer.ts";
import type { JobMeans, JobRest } from "./job-means.ts";
import { observe, type ObserverThread } from "./observer-thread.ts";
import type { AgentAnswer, AgentOrder } from "./order.ts";
import { OwnFiles } from "./own-files.ts";
import { type Places, placesIn } from "./places.ts";
import { makeReceipt, receiptEvent, receiptText, sha256 } from "./receipt.ts";
import { copyRecord } from "./record-copy.ts";
import { PostGuard } from "./post-guard.ts";
import { Questions } from "./questions.ts";
import { giveBackSudo, takeRootAccess } from "./root-access.ts";
import { sarifOf } from "./sarif.ts";
import { machineChecks } from "./machine-checks.ts";
import { TamperWatch } from "./tamper-watch.ts";
import { verdictOf } from "./verdict.ts";
import { Watchers } from "./watchers.ts";

/** How often all is looked at, ms. */
const lookMs = 2_000;
/** How soon it is heard at the latest how a process ended: the runner is still sending its logs then. */
const hearMs = 100;

type Started = Omit<Extract<AgentAnswer, { ready: true }>, "ready" | "parts">;

export class Job {
  readonly started: Started;
  readonly #order: AgentOrder;
  readonly #summarise: JobMeans["summarise"];
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
  readonly #observer: ObserverThread;
  /** What did not hold at some time, in words: it stays said when it is well again. */
  readonly #failed = new Set<string>();
  #looking: NodeJS.Timeout | null = null;
  #hearing: NodeJS.Timeout | null = null;
  readonly #questions: Questions;
  readonly #guard: PostGuard;
  #answers: Server | null = null;
  #isLost = false;
  #isOver = false;

  /** Enforces when it resolves. Throws what cannot be had; what was set up is taken back then. */
  static async start(order: AgentOrder, { spare, word, selfTest, summarise, lap }: JobMeans): Promise<Job> {
    let guard: PostGuard | null = null;
    const processes = new ProcessTable({
      onExec: (record) => guard?.executed(record),
      onMet: (record) => guard?.met(record),
      onEnd: (pid, status) => guard?.ended(pid, status),
      ...(order.worker === null ? {} : { worker: order.worker }),
      secrets: order.secrets,
      // The data path's, the observer's and the DNS firewall's.
      others: 3,
      types: word.types,
    });
    const [begun, observed, asked] = processes.beginnings;
    lap("processes");
    const earlier: EarlierConnection[] = [];
    const who = whoOf(order, processes, new OwnerLookup(processes));
    spare.prepare(who, begun);
    lap("calls");
    const policy = loadText(order.policy.text, order.policy.file);
    const key = order.sign_key === undefined ? null : loadSigningKey(order.sign_key);
    lap("policy");
    let job: Job | null = null;
    let early: string | null = null;
    const observing = observe(
      order,
      { processes, beginning: observed, types: word.types, spare },
      {
        record: (event) => (job === null ? undefined : job.#enforcer.record(event)),
        onFailure: (message) => void (job === null ? (early ??= message) : job.#failed.add(message)),
      },
    );
    const enforcer = await observing.beside(
      jobEnforcer(order, {
        ...{ policy, processes, who, beginning: asked, earlier, key, spare, lap },
        onNoticed: (noticed) => {
          if (job !== null) job.#watchers.noticed(noticed);
        },
        onEvent: (event) => {
          if (job !== null) job.#observer.see(event);
        },
        onFatal: (message) => {
          early ??= message;
          if (job !== null) job.#lost(message);
        },
      }),
    );
    let files: OwnFiles | null = null;
    try {
      // Beside all that follows, which lets nothing out or in.
      const testing = order.self_test && enforcer.policy.loaded.policy.default.mode === "enforce" ? selfTest() : null;
      testing?.catch(() => {});
      const measures = takeRootAccess(order.root, order.user);
      lap("root's access");
      files = new OwnFiles(order.own, order.workspace);
      lap("own files");
      const observer = await observing.started;
      lap("observer");
      job = new Job(order, enforcer, processes, files, {
        ...{ earlier, measures, key, summarise, observer, mayBecomeRoot: word.may_become_root },
      });
      if (early !== null) job.#lost(early);
      files.onMoved((path) => job!.#moved(path));
      guard = job.#guard;
      lap("limits");
      await job.#begin(testing, lap);
      return job;
    } catch (error) {
      files?.release();
      giveBackSudo(order.root);
      await observing.stop();
      // Rules that were there keep in what the job before has left running: they stay, with nobody behind them.
      await enforcer.stop(enforcer.found === "absent" ? "clean" : "closed");
      processes.close();
      throw error;
    }
  }

  private constructor(order: AgentOrder, enforcer: Enforcer, processes: ProcessTable, files: OwnFiles, rest: JobRest) {
    const { earlier, measures, key, summarise, observer, mayBecomeRoot } = rest;
    this.#order = order;
    this.#summarise = summarise;
    this.#places = placesIn(order.state);
    this.#enforcer = enforcer;
    this.#processes = processes;
    this.#questions = new Questions(processes);
    this.#guard = this.#phases();
    this.#files = files;
    this.#key = key;
    const { engine, policy } = enforcer.policy.loaded;
    this.#observer = observer;
    const limits = [...limitsOf(order, enforcer, { processes, mayBecomeRoot }), ...observer.limits];
    this.#facts = {
      job: order.job,
      mode: policy.default.mode,
      policy: { hash: engine.hash, file: order.policy.file, from: order.policy.from },
      limits,
      earlier,
    };
    this.#watch = new TamperWatch(
      machineChecks(order, enforcer, files, (message) => this.#lost(message)),
      ({ check, message }) => {
        enforcer.record({ kind: "tamper", message, data: { check } });
      },
    );
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
    for (const timer of [this.#looking, this.#hearing]) if (timer !== null) clearInterval(timer);
    this.#answers?.close();
    this.#answers?.closeAllConnections();
    await this.#observer.stop();
    await this.#enforcer.stop("closed");
    this.#processes.close();
  }

  async #begin(testing: Promise<SelfTestResult> | null, lap: JobMeans["lap"]): Promise<void> {
    if (testing !== null) {
      const { held, checks } = await testing;
      if (!held) {
        const leaks = checks.filter((check) => !check.held).map(({ name, why }) => `${name}: ${why}`);
        throw new SallyportError("ENFORCEMENT_LOST", `The self-test found a way out.\n${leaks.join("\n")}`, { checks });
      }
      await this.#enforcer.recorder.flush();
      this.#first = this.#enforcer.recorder.status().seq + 1;
      this.#before = decisionsOf(this.#enforcer);
      this.started.measures.push(`self-test: ${checks.length} ways out tried, all refused`);
      lap("self-test");
    }
    this.#answers = await answerAt(this.#places.socket, {
      status: () => {
        this.#questions.status();
        return this.#status();
      },
      finish: () => this.#finish(),
    });
    this.#looking = setInterval(() => this.#look(), lookMs);
    this.#hearing = setInterval(() => this.#processes.drain(), hearMs);
    // When the word is out: the rules were read a moment ago, and the job waits for it.
    setImmediate(() => this.#look());
    lap("answers");
  }

  #look(): void {
    const now = Date.now();
    this.#processes.drain();
    this.#guard.look((pid) => existsSync(`/proc/${pid}`));
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
    this.#look();
    // A runner clears its folders when the job is over; its number may be another process's by now.
    if (this.#isOver) return;
    this.#endJob("own files", `${path} was moved away, and the action with it`);
  }

  /** What no job survives as a green one. */
  #endJob(check: string, why: string): void {
    const { worker } = this.#order;
    const message = `${why}: the runner's worker is ended`;
    if (this.#failed.has(message)) return;
    this.#failed.add(message);
    this.#enforcer.record({ kind: "tamper", message, data: { check, worker } });
    if (worker !== null && existsSync(`/proc/${worker}`)) process.kill(worker, "SIGKILL");
  }

  /** Looks after our own phases. */
  #phases(): PostGuard {
    const { worker, step } = this.#order;
    const onLie = (message: string) => {
      if (!this.#isOver) this.#endJob("post", message);
    };
    return new PostGuard({ worker, step, asked: () => this.#questions.asked, onLie });
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
    await this.#observer.finish();
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
    const { reasons } = verdictOf(report, await this.#status(), { failOn: this.#order.summary.fail_on });
    this.#questions.report(reasons);
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

/** Whole or not at all. */
function write(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o644 });
  renameSync(`${path}.new`, path);
}
