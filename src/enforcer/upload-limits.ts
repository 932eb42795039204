/**
 * Holds rules to their `upload_limit` (threat T9: an allowed connection used as a tunnel). The kernel counts each connection's
 * bytes; while some connection under such a rule lives they are read several times a second, and once more when it has ended.
 * Whoever has used up a budget loses the connections under that rule, the data path refuses new ones, and it is told once as a
 * detection. What leaves between two looks leaves: the bound is the limit and what the line carries in that time.
 */
import type { EventBody } from "../audit/event.ts";
import type { EndedCounts, LiveFlow } from "../datapath/messages.ts";
import type { OverdrawnEntry } from "../flow/overdrawn.ts";
import { budgetHolder, sentBytes, UploadAccounts, type Budget, type UploadCounters } from "../flow/uploads.ts";
import type { Engine, Mode, Tier } from "../policy/decision.ts";
import { appliesAt, modeAt, type Policy } from "../policy/model.ts";
import { rulesOver } from "./rules-over.ts";
import { uploadDetectionEvent, uploadLimitEvent, type UploadUse } from "./events.ts";

/** Between two looks, ms: as little as costs the main thread a twentieth of its time at most. */
const shortestMs = 50;
const longestMs = 1_000;
const costFactor = 20;

export interface UploadLimitsOptions {
  policy: () => Policy;
  engine: () => Engine;
  now: () => number;
  /** The kernel's counters of these connections; those it has forgotten are left out. */
  counters: (flows: ReadonlySet<LiveFlow>) => Map<LiveFlow, UploadCounters>;
  /** Still the connection that its addresses and ports stand for. */
  isLive: (flow: LiveFlow) => boolean;
  /** Ends a connection, both ways. */
  end: (flow: LiveFlow) => void;
  /** Has the data path refuse what these have no budget left for. */
  tell: (overdrawn: readonly OverdrawnEntry[]) => void;
  record: (event: EventBody) => void;
}

interface Limit {
  bytes: number;
  mode: Mode;
  tier: Tier;
}

interface Watched {
  /** Those with a limit that it is under: the one that let it through, and monitor rules before. */
  readonly rules: readonly string[];
  /** Its bytes that are in accounts; null until it is known where to begin. */
  sent: number | null;
}

interface Use {
  flow: LiveFlow;
  counters: UploadCounters;
}

export class UploadLimits {
  readonly #options: UploadLimitsOptions;
  readonly #accounts = new UploadAccounts<Use>();
  /** Live connections under a limit. */
  readonly #watched = new Map<LiveFlow, Watched>();
  /** Used up, by rule and holder: no connection under it is to live on. */
  readonly #overdrawn = new Map<string, Budget<Use>>();
  #limits = new Map<string, Limit>();
  #timer: NodeJS.Timeout | null = null;
  /** When the timer goes off, on the monotonic clock. */
  #due = 0;
  #closed = false;

  constructor(options: UploadLimitsOptions) {
    this.#options = options;
    this.#readPolicy();
  }

  /** Some rule has one: without any there is nobody to watch. */
  get hasLimits(): boolean {
    return this.#limits.size > 0;
  }

  /** A connection was let through. */
  begun(flow: LiveFlow): void {
    this.#watch(flow, [...(flow.rule === null ? [] : [flow.rule]), ...flow.monitored], 0);
  }

  /** A connection that outlived another process of ours: what it has sent counts as if it were sent now. */
  adopted(flow: LiveFlow): void {
    if (this.#limits.size > 0) this.#watch(flow, rulesOver(flow, this.#options.engine()), 0);
  }

  /** The kernel has forgotten a connection. */
  ended(flow: LiveFlow, counters: EndedCounts): void {
    const watched = this.#watched.get(flow);
    if (watched === undefined) return;
    this.#watched.delete(flow);
    this.#count(flow, watched, { ...counters, protocol: flow.protocol });
    this.#settle();
  }

  /**
   * Another policy is in force. Rules of the same name go on counting; what lives and comes under a limit only now counts from
   * here on.
   */
  policyChanged(live: Iterable<LiveFlow>): void {
    this.#readPolicy();
    this.#accounts.keep((rule) => this.#limits.has(rule));
    const before = new Map(this.#watched);
    this.#watched.clear();
    const engine = this.#options.engine();
    if (this.#limits.size > 0)
      for (const flow of live) this.#watch(flow, rulesOver(flow, engine), before.get(flow)?.sent ?? null);
    this.look();
    // A limit that came down may be used up already, by connections that have ended.
    for (const budget of this.#accounts.budgets()) this.#check(budget);
    this.#liftPassed();
  }

  /** Reads the counters and acts on them. Called by its own timer; tests call it too. */
  look(): void {
    // Its ports are another connection's by now, whose end is all that the kernel will tell.
    for (const flow of this.#watched.keys()) if (!this.#options.isLive(flow)) this.#watched.delete(flow);
    if (this.#watched.size > 0) {
      const found = this.#options.counters(new Set(this.#watched.keys()));
      for (const [flow, counters] of found) {
        const watched = this.#watched.get(flow);
        if (watched !== undefined) this.#count(flow, watched, counters);
      }
    }
    this.#settle();
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #readPolicy(): void {
    const now = this.#options.now();
    this.#limits = new Map(
      this.#options
        .policy()
        .rules.filter((rule) => rule.uploadLimit !== null && appliesAt(rule, now))
        .map((rule) => [rule.name, { bytes: rule.uploadLimit!, mode: modeAt(rule, now), tier: rule.tier }]),
    );
  }

  #watch(flow: LiveFlow, names: readonly string[], sent: number | null): void {
    const rules = names.filter((name) => this.#limits.has(name));
    if (rules.length === 0) return;
    this.#watched.set(flow, { rules, sent });
    this.#schedule(shortestMs);
  }

  #count(flow: LiveFlow, watched: Watched, counters: UploadCounters): void {
    const sent = sentBytes(flow.source.length === 16, counters);
    if (watched.sent !== null && sent <= watched.sent) return;
    const before = watched.sent;
    watched.sent = sent;
    if (before === null) return;
    for (const rule of watched.rules) {
      const budget = this.#accounts.add(rule, flow.source, sent - before, this.#options.now(), { flow, counters });
      this.#check(budget);
    }
  }

  /** Notes a budget that is used up, and tells it once. */
  #check(budget: Budget<Use>): void {
    const key = keyOf(budget.rule, budget.holder);
    if (this.#overdrawn.has(key)) return;
    const limit = this.#limits.get(budget.rule)!;
    const sent = this.#accounts.sent(budget, this.#options.now());
    if (sent < limit.bytes) return;
    this.#overdrawn.set(key, budget);
    this.#tell();
    const { flow } = budget.last;
    let ended = 0;
    for (const [each, { rules }] of [...this.#watched]) {
      if (!rules.includes(budget.rule) || budgetHolder(each.source) !== budget.holder) continue;
      if (this.#refuse(each, budget, limit)) ended++;
    }
    const use = this.#useOf(budget, limit, flow);
    this.#options.record(uploadDetectionEvent(flow, use, ended, this.#options.engine()));
  }

  #useOf(budget: Budget<Use>, limit: Limit, flow: LiveFlow): UploadUse {
    const { bytesUp: up, bytesDown: down } = budget.last.counters;
    return {
      rule: budget.rule,
      tier: limit.tier,
      mode: limit.mode,
      enforced: this.#isEnforced(limit, flow),
      limit: limit.bytes,
      sent: this.#accounts.sent(budget, this.#options.now()),
      bytes: { up, down },
    };
  }

  /** Ends a connection and tells it; true where it is ended and not only told. */
  #refuse(flow: LiveFlow, budget: Budget<Use>, limit: Limit): boolean {
    const use = this.#useOf(budget, limit, flow);
    if (use.enforced) this.#options.end(flow);
    this.#options.record(uploadLimitEvent(flow, use, this.#options.engine()));
    // What it goes on sending meets the kernel's refusal and does not leave.
    if (use.enforced) this.#watched.delete(flow);
    return use.enforced;
  }

  /** An allow rule never refuses what would pass without it: monitor mode, of the rule or the default, only tells. */
  #isEnforced(limit: Limit, flow: LiveFlow): boolean {
    return limit.mode === "enforce" && this.#options.engine().enforcedFor(flow.source);
  }

  /** Connections that slipped in while the data path had not heard yet, and budgets that are free again. */
  #settle(): void {
    for (const [flow, { rules }] of this.#overdrawn.size === 0 ? [] : [...this.#watched]) {
      for (const rule of rules) {
        const budget = this.#overdrawn.get(keyOf(rule, budgetHolder(flow.source)));
        const limit = this.#limits.get(rule);
        if (budget === undefined || limit === undefined || !this.#isEnforced(limit, flow)) continue;
        this.#refuse(flow, budget, limit);
        break;
      }
    }
    this.#liftPassed();
  }

  #liftPassed(): void {
    const now = this.#options.now();
    const before = this.#overdrawn.size;
    for (const [key, budget] of this.#overdrawn) {
      const limit = this.#limits.get(budget.rule);
      if (limit === undefined || this.#accounts.sent(budget, now) < limit.bytes) this.#overdrawn.delete(key);
    }
    if (this.#overdrawn.size !== before) this.#tell();
    if (this.#overdrawn.size > 0) this.#schedule(longestMs);
  }

  #tell(): void {
    this.#options.tell([...this.#overdrawn.values()].map(({ rule, holder }) => [rule, holder]));
  }

  #schedule(ms: number): void {
    const due = performance.now() + ms;
    if (this.#closed || (this.#timer !== null && this.#due <= due)) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      const start = performance.now();
      this.look();
      const cost = (performance.now() - start) * costFactor;
      if (this.#watched.size > 0) this.#schedule(Math.min(longestMs, Math.max(shortestMs, cost)));
    }, ms).unref();
  }
}

function keyOf(rule: string, holder: string): string {
  return `${rule}\0${holder}`;
}
