/**
 * Recorded traffic against another policy: what would have been refused, what would have been let through, which rules decided
 * nothing. It looks at what was recorded and at nothing else: `policy diff` looks at everything that could be.
 *
 * What is replayed is a flow's facts (`contact.ts`), through the engine that decides packets. Decisions that rest on what packets
 * did (overlaps, time-outs, limits) cannot be replayed. But such a one that only watched is a refusal for the same reason
 * wherever the candidate enforces: no rule has a say in it. The others are counted.
 */
import { formatAddress, parseAddress } from "../address/ip.ts";
import type { Address } from "../address/ip.ts";
import type { Event } from "../audit/event.ts";
import { lostBefore } from "../audit/spool-status.ts";
import { compile } from "../policy/compile.ts";
import type { Decision, NameFacts } from "../policy/decision.ts";
import type { LoadedPolicy } from "../policy/load.ts";
import type { Rule } from "../policy/model.ts";
import type { Problem } from "../policy/problem.ts";
import type { Reason } from "../policy/reason.ts";
import { type Contact, contactOf } from "./contact.ts";
import { orderOf } from "./evidence.ts";
import { Memory } from "./memory.ts";
import { acceptKey } from "./accept.ts";
import { passes } from "./replay.ts";
import type { Input, RunTeller } from "./runs.ts";

/**
 * `denied`: passed, and would be refused. `allowed`: was refused, and would pass. `uncovered`: passes, but only because the
 * default monitors: it would be refused once that enforces. `covered`: passed only so, and is now allowed by a rule.
 */
export type ChangeKind = "denied" | "allowed" | "uncovered" | "covered";

export interface Side {
  verdict: Decision["verdict"];
  reason: Reason;
  /** Null: the default. */
  rule: string | null;
}

/** Connections of one source to one destination that change in the same way. */
export interface Change {
  kind: ChangeKind;
  /** The candidate's source; null: in none. */
  source: string | null;
  endpoint: string;
  protocol: Contact["protocol"];
  /** As recorded, and by the candidate. */
  before: Side;
  after: Side;
  /** Jobs, or addresses where no job is known. */
  used_by: string[];
  connections: number;
  first_seen: string;
  last_seen: string;
}

/** A rule of the candidate that decided no recorded flow. */
export interface IdleRule {
  rule: string;
  line: number;
  /** Flows that it matches, but earlier rules decide: their names. Empty: no flow matches it. */
  shadowed_by: string[];
}

export interface PlanReport {
  schema: "sallyport.plan/1";
  policy: { file: string; hash: string };
  at: string;
  events: number;
  /** Connections asked about, and such that could not be: counted floods, decisions about packets. */
  connections: number;
  /** Runs that these belong to. */
  runs: number;
  not_replayed: number;
  /** Events that the record says it lost: nobody knows what they were. */
  lost: number;
  /** Lines of the record that are no events. */
  skipped: number;
  first: string | null;
  last: string | null;
  changes: Change[];
  /** Changes beyond the bound of what is listed, in connections. */
  beyond: number;
  idle: IdleRule[];
  /** Rules that ask for a process, which the record does not say: replayed as where nobody knows it. */
  needs_process: string[];
  warnings: readonly Problem[];
}

/** What the policy alone decides: the same facts, the same answer. */
const byPolicy: ReadonlySet<Reason> = new Set<Reason>([
  ...(["rule", "default", "no_name", "name_mismatch", "missing_name", "ech", "private_address"] as const),
  ...(["not_protocol", "protocol_denied"] as const),
]);

const mostChanges = 20_000;
const mostUsers = 5;
/** Distinct flows kept to ask idle rules about. */
const mostFlows = 5_000;

export interface PlanOptions {
  candidate: LoadedPolicy;
  at: Date;
  /** Only this source of the candidate; undefined: all. */
  source?: string | undefined;
}

export class Planner {
  readonly #options: PlanOptions;
  readonly #teller: RunTeller;
  readonly #memory = new Memory();
  readonly #changes = new Map<string, Change>();
  readonly #flows = new Map<string, NameFacts>();
  readonly #decided = new Set<string>();
  readonly #runs = new Set<string>();
  #events = 0;
  #connections = 0;
  #notReplayed = 0;
  #lost = 0;
  #skipped = 0;
  #beyond = 0;
  #first: string | null = null;
  #last: string | null = null;

  constructor(teller: RunTeller, options: PlanOptions) {
    this.#teller = teller;
    this.#options = options;
  }

  add(event: Event, input: Input): void {
    this.#events++;
    this.#lost += lostBefore(event);
    this.#memory.add(event);
    const mark = this.#teller.of(event, input);
    if (event.kind !== "connection") return;
    const contact = contactOf(event, this.#memory);
    const { engine } = this.#options.candidate;
    const address = contact?.facts.source ?? addressOf(event.source?.ip);
    // A flood without an address may be anybody's.
    const source = address === null ? undefined : engine.group(address);
    if (this.#options.source !== undefined && source !== undefined && source !== this.#options.source) return;
    if (contact === null || source === undefined) {
      this.#notReplayed += event.count ?? 1;
      return;
    }
    const after = this.#after(contact, source);
    if (after === null) {
      this.#notReplayed += contact.count;
      return;
    }
    this.#connections += contact.count;
    if (mark !== null) this.#runs.add(mark.key);
    if (this.#first === null || contact.first < this.#first) this.#first = contact.first;
    if (this.#last === null || contact.last > this.#last) this.#last = contact.last;
    const kind = kindOf(contact.verdict, after.verdict);
    if (kind !== null) this.#note(kind, source, contact, after, mark?.who ?? formatAddress(contact.facts.source));
  }

  /** The candidate's decision; null: nobody can say. */
  #after(contact: Contact, source: string | null): Side | null {
    const { engine, policy } = this.#options.candidate;
    if (byPolicy.has(contact.reason)) {
      this.#remember(contact.facts);
      const { verdict, reason, rule } = passes(engine, contact.facts);
      return { verdict, reason, rule: rule?.name ?? null };
    }
    const { mode, enforceFor } = policy.default;
    const enforces = mode === "enforce" || enforceFor.some(({ name }) => name === source);
    // `closed`: nothing was said, so nothing is missed.
    if (!enforces || contact.verdict !== "would_deny" || contact.reason === "closed") return null;
    return { verdict: "deny", reason: contact.reason, rule: null };
  }

  /** A line of the record that is no event. */
  skip(): void {
    this.#skipped++;
  }

  finish(): PlanReport {
    const { candidate, at } = this.#options;
    const order = ["denied", "uncovered", "allowed", "covered"];
    return {
      schema: "sallyport.plan/1",
      policy: { file: candidate.policy.file, hash: candidate.policy.hash },
      at: at.toISOString(),
      events: this.#events,
      connections: this.#connections,
      runs: this.#runs.size,
      not_replayed: this.#notReplayed,
      lost: this.#lost,
      skipped: this.#skipped,
      first: this.#first,
      last: this.#last,
      changes: [...this.#changes.values()].toSorted(
        (a, b) =>
          order.indexOf(a.kind) - order.indexOf(b.kind) ||
          orderOf(a.source, b.source) ||
          orderOf(a.endpoint, b.endpoint) ||
          orderOf(a.protocol, b.protocol) ||
          orderOf(JSON.stringify([a.before, a.after]), JSON.stringify([b.before, b.after])),
      ),
      beyond: this.#beyond,
      idle: this.#options.source === undefined ? this.#idle() : [],
      needs_process: candidate.policy.rules
        .filter(({ from }) => from?.some(({ process }) => process !== null))
        .map(({ name }) => name),
      warnings: candidate.warnings,
    };
  }

  #note(kind: ChangeKind, source: string | null, contact: Contact, after: Side, who: string): void {
    const { facts, name, protocol, count, first, last } = contact;
    const before = { verdict: contact.verdict, reason: contact.reason, rule: contact.rule };
    const endpoint = acceptKey({ host: name ?? formatAddress(facts.destination), port: facts.port });
    const key = JSON.stringify([kind, source, endpoint, protocol, before, after]);
    let change = this.#changes.get(key);
    if (change === undefined) {
      if (this.#changes.size >= mostChanges) {
        this.#beyond += count;
        return;
      }
      change = {
        ...{ kind, source, endpoint, protocol, before, after, used_by: [], connections: 0 },
        ...{ first_seen: first, last_seen: last },
      };
      this.#changes.set(key, change);
    }
    change.connections += count;
    if (first < change.first_seen) change.first_seen = first;
    if (last > change.last_seen) change.last_seen = last;
    if (change.used_by.length < mostUsers && !change.used_by.includes(who)) change.used_by.push(who);
  }

  /** Rules are told by the complete flow: a refusal that comes early names none of those that only watch. */
  #remember(facts: NameFacts): void {
    const { rule, monitored } = this.#options.candidate.engine.name(facts);
    if (rule !== null) this.#decided.add(rule.name);
    for (const each of monitored) this.#decided.add(each.name);
    const { source, destination, port, application, name, names, ech } = facts;
    const key = JSON.stringify([source, name ?? names[0] ?? destination, port, application, ech]);
    if (this.#flows.size < mostFlows) this.#flows.set(key, facts);
  }

  /** Rules that decided nothing, and who decided what they match. */
  #idle(): IdleRule[] {
    const { policy, engine } = this.#options.candidate;
    return policy.rules
      .filter(({ name }) => !this.#decided.has(name))
      .map((rule) => {
        const alone = compile({ ...policy, rules: [{ ...rule, mode: "enforce", expires: null }] as Rule[] }, 0);
        const shadows = new Set<string>();
        for (const facts of this.#flows.values()) {
          if (alone.name(facts).rule === null) continue;
          shadows.add(engine.name(facts).rule?.name ?? "the default");
        }
        return { rule: rule.name, line: rule.line, shadowed_by: [...shadows].toSorted(orderOf) };
      });
  }
}

function addressOf(text: unknown): Address | null {
  return typeof text === "string" ? parseAddress(text) : null;
}

function kindOf(before: Decision["verdict"], after: Decision["verdict"]): ChangeKind | null {
  if (before === "deny") return after === "deny" ? null : "allowed";
  if (after === "deny") return "denied";
  if (after === "would_deny") return "uncovered";
  return before === "would_deny" ? "covered" : null;
}
