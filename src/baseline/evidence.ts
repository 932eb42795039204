/**
 * What recorded traffic comes to: for each source its destinations (who used each, how often, since when) and its runs, each the
 * set of destinations it contacted. Fed with events in any number; what is kept is bounded by the number of destinations and runs.
 */
import { formatAddress } from "../address/ip.ts";
import type { Address } from "../address/ip.ts";
import { registrableDomain } from "../address/suffix.ts";
import type { Event } from "../audit/event.ts";
import { lostBefore } from "../audit/spool-status.ts";
import { SallyportError } from "../errors.ts";
import type { Engine, NameFacts } from "../policy/decision.ts";
import { type Contact, contactOf } from "./contact.ts";
import { type Doubt, doubtOf } from "./doubt.ts";
import { Memory } from "./memory.ts";
import type { Input, RunTeller } from "./runs.ts";

/** A destination of one source: a host on a port with what is spoken there, in good standing or with one doubt. */
export interface Seen {
  /** Canonical name, or address. */
  host: string;
  named: boolean;
  /** 0 where there is none. */
  port: number;
  protocol: Contact["protocol"];
  doubt: Doubt | null;
  /** Refused by a rule of the policy in force, or by its default; null: let through. */
  denied: "rule" | "default" | null;
  /** Connections. */
  count: number;
  /** RFC 3339. */
  first: string;
  last: string;
  /** Jobs, or addresses where no job is known, with their connections. */
  users: Map<string, number>;
  addresses: Set<Address>;
  /** One flow of each kind, to ask a policy about. */
  flows: Map<string, NameFacts>;
}

/** One run of one source. */
export interface Run {
  job: string | null;
  /** The workflow run it is a part of; null: not known. */
  batch: string | null;
  /** RFC 3339: the first thing it did. */
  start: string;
  /** What it contacted, or tried to. */
  seen: Set<Seen>;
}

export interface SourceEvidence {
  /** The group; null: all that are in none. */
  name: string | null;
  addresses: Set<Address>;
  /** What was let through. */
  passed: Map<string, Seen>;
  /** What was refused. */
  denied: Map<string, Seen>;
  runs: Map<string, Run>;
  /** The default refused, as of the last event that shows it. */
  enforced: boolean;
  /** RFC 3339: when that event was; null: none. */
  judged: string | null;
  /** Connections to destinations beyond {@link mostDestinations}: a scan, of which no list can be made. */
  beyond: number;
}

export interface Evidence {
  /** In order of name, the one without a name last. */
  sources: SourceEvidence[];
  events: number;
  /** Connections that events only count, without saying where to. */
  uncounted: number;
  /** Events that the record says it lost (a full disk). */
  lost: number;
  /** RFC 3339; null where there was no event. */
  first: string | null;
  last: string | null;
}

/** Of one source, let through or refused. More is a scan. */
export const mostDestinations = 5_000;
const mostUsers = 50;
const mostAddresses = 32;
const mostFlows = 8;

export class Gatherer {
  readonly #teller: RunTeller;
  readonly #group: (contact: Contact) => string | null;
  readonly #engine: Engine | null;
  readonly #memory = new Memory();
  readonly #sources = new Map<string | null, SourceEvidence>();
  /** `address domain` of detections. */
  readonly #detected = new Set<string>();
  #events = 0;
  #uncounted = 0;
  #lost = 0;
  #first: string | null = null;
  #last: string | null = null;

  /**
   * `engine` is of the policy in force: it says which source a contact belongs to, which of them its deny rules are about, and
   * whether what a report calls allowed by a rule is. Null: events say the first, and nobody the others.
   */
  constructor(teller: RunTeller, engine: Engine | null = null) {
    this.#teller = teller;
    this.#engine = engine;
    this.#group = engine === null ? ({ group }) => group : ({ facts }) => engine.group(facts.source);
  }

  add(event: Event, input: Input): void {
    this.#events++;
    this.#lost += lostBefore(event);
    if (this.#first === null || event.time < this.#first) this.#first = event.time;
    if (this.#last === null || event.time > this.#last) this.#last = event.time;
    this.#memory.add(event);
    if (event.kind === "detection") this.#detect(event);
    const mark = this.#teller.of(event, input);
    const contact = contactOf(event, this.#memory);
    if (contact === null) {
      if (event.kind === "connection") this.#uncounted += event.count ?? 1;
      return;
    }
    // Nothing was said: a port check, a cancelled attempt.
    if (contact.reason === "closed") return;
    const source = this.#source(this.#group(contact));
    source.addresses.add(contact.facts.source);
    // The latest in time, whichever place it was read from.
    if (contact.verdict !== "allow" && (source.judged === null || event.time >= source.judged)) {
      source.judged = event.time;
      source.enforced = contact.enforced;
    }
    const isNewRun = mark !== null && !source.runs.has(mark.key);
    if (isNewRun) source.runs.set(mark.key, { job: mark.job, batch: mark.batch, start: event.time, seen: new Set() });
    const seen = this.#seen(source, contact, input);
    if (seen === null) {
      source.beyond += contact.count;
      return;
    }
    note(seen, contact, mark?.who ?? formatAddress(contact.facts.source));
    const run = mark === null ? undefined : source.runs.get(mark.key);
    if (run === undefined) return;
    if (event.time < run.start) run.start = event.time;
    run.seen.add(seen);
  }

  /**
   * Throws USAGE where one address was recorded in two sources: whose it is now, only the policy in force can say. The
   * gatherer is not to be used after that.
   */
  finish(): Evidence {
    const sources = [...this.#sources.values()].toSorted((a, b) => orderOf(a.name, b.name));
    checkApart(sources);
    for (const source of sources) this.#applyDetections(source);
    return {
      sources,
      events: this.#events,
      uncounted: this.#uncounted,
      lost: this.#lost,
      first: this.#first,
      last: this.#last,
    };
  }

  #source(name: string | null): SourceEvidence {
    let source = this.#sources.get(name);
    if (source === undefined) {
      source = {
        name,
        addresses: new Set(),
        passed: new Map(),
        denied: new Map(),
        runs: new Map(),
        enforced: false,
        judged: null,
        beyond: 0,
      };
      this.#sources.set(name, source);
    }
    return source;
  }

  #seen(source: SourceEvidence, contact: Contact, input: Input): Seen | null {
    const denied = contact.verdict !== "deny" ? null : contact.rule === null ? "default" : "rule";
    const doubt = denied === null ? this.#doubt(contact, input) : null;
    const list = denied === null ? source.passed : source.denied;
    const key = `${keyOf(contact)} ${doubt ?? denied ?? ""}`;
    const known = list.get(key);
    if (known !== undefined) return known;
    if (list.size >= mostDestinations) return null;
    const { facts, name, protocol, first, last } = contact;
    const seen: Seen = {
      host: name ?? formatAddress(facts.destination),
      named: name !== null,
      port: facts.port,
      protocol,
      doubt,
      denied,
      count: 0,
      first,
      last,
      users: new Map(),
      addresses: new Set(),
      flows: new Map(),
    };
    list.set(key, seen);
    return seen;
  }

  #doubt(contact: Contact, { kind }: Input): Doubt | null {
    const decision = this.#engine?.name(contact.facts) ?? null;
    const isAllowed = decision?.answer === "allow" && decision.rule !== null;
    const doubt = doubtOf(contact, kind !== "report" || isAllowed);
    if (doubt !== null || decision === null) return doubt;
    // Also one that only watches so far: somebody wrote it to refuse this.
    const rules = [...(decision.rule === null ? [] : [decision.rule]), ...decision.monitored];
    return rules.some(({ action }) => action === "deny") ? "denied_by_policy" : null;
  }

  #detect({ source, destination, detection }: Event): void {
    const domain = typeof detection?.["domain"] === "string" ? detection["domain"] : (destination?.name ?? null);
    if (typeof source?.ip === "string" && typeof domain === "string") this.#detected.add(`${source.ip} ${domain}`);
  }

  /** What a detection names is in doubt, whenever it was seen. */
  #applyDetections(source: SourceEvidence): void {
    if (this.#detected.size === 0) return;
    for (const [key, seen] of [...source.passed]) {
      if (!seen.named || seen.doubt !== null) continue;
      const domain = registrableDomain(seen.host);
      const isNamed = [...source.addresses].some((address) => {
        const from = formatAddress(address);
        return this.#detected.has(`${from} ${seen.host}`) || this.#detected.has(`${from} ${domain}`);
      });
      if (!isNamed) continue;
      source.passed.delete(key);
      seen.doubt = "detection";
      source.passed.set(`${plainKey(seen)} detection`, seen);
    }
  }
}

function checkApart(sources: readonly SourceEvidence[]): void {
  const owners = new Map<Address, string | null>();
  for (const { name, addresses } of sources) {
    for (const address of addresses) {
      const other = owners.get(address);
      if (other === undefined) owners.set(address, name);
      else {
        const text = `${formatAddress(address)} was recorded as ${other ?? "in no source"} and as ${name ?? "in no source"}.`;
        throw new SallyportError("USAGE", `${text} Give the policy in force with --policy: its subnets decide.`);
      }
    }
  }
}

function note(seen: Seen, contact: Contact, who: string): void {
  const { facts, count, first, last } = contact;
  seen.count += count;
  if (first < seen.first) seen.first = first;
  if (last > seen.last) seen.last = last;
  const user = seen.users.size < mostUsers || seen.users.has(who) ? who : "others";
  seen.users.set(user, (seen.users.get(user) ?? 0) + count);
  if (seen.addresses.size < mostAddresses) seen.addresses.add(facts.destination);
  const kind = `${facts.application} ${facts.name} ${facts.names.includes(seen.host)} ${facts.ech}`;
  if (seen.flows.size < mostFlows && !seen.flows.has(kind)) seen.flows.set(kind, facts);
}

function keyOf({ name, facts, protocol }: Contact): string {
  return plainKey({ host: name ?? formatAddress(facts.destination), port: facts.port, protocol });
}

/** What runs are compared by: the doubt may differ from one to the next. */
export function plainKey({ host, port, protocol }: Pick<Seen, "host" | "port" | "protocol">): string {
  return `${host} ${port} ${protocol}`;
}

/** By code unit, so that no locale has a say; null last. */
export function orderOf(a: string | null, b: string | null): number {
  if (a === b) return 0;
  if (a === null || b === null) return a === null ? 1 : -1;
  return a < b ? -1 : 1;
}
