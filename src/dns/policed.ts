/**
 * Queries of sources that enforcement holds for. A denied name is answered at once and never goes upstream; an allowed one
 * is asked in our own words, its answer rebuilt from what can be vouched for, and its addresses bound to the name in
 * every worker before the client hears them.
 */
import type { Address } from "../address/ip.ts";
import { specialClass } from "../address/special.ts";
import { registrableDomain } from "../address/suffix.ts";
import type { Decision, Engine } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import { fromHostName, type WireName } from "../wire/dns/name.ts";
import { Class, ExtendedError, Rcode, type ResourceRecord, Type } from "../wire/dns/types.ts";
import { admit, maxTtl } from "./answer.ts";
import { aliasNames, type Aliases } from "./aliases.ts";
import type { Binder } from "./binder.ts";
import type { NameBudget } from "./budget.ts";
import { type Judgement, judge } from "./judge.ts";
import type { Ledger } from "./ledger.ts";
import { dnsEvent } from "./observe.ts";
import { type NotPlain, type PlainQuery, readQuery } from "./query.ts";
import { blocked, reply, type ReplyParts } from "./reply.ts";
import type { Resolution, Resolver } from "./resolver.ts";
import type { Client, DnsFirewallOptions } from "./types.ts";

/** Seconds a reverse answer may be cached: bindings come and go. */
const reverseTtl = 30;

export interface PolicedParts {
  options: DnsFirewallOptions;
  resolver: Resolver;
  budget: NameBudget;
  ledger: Ledger;
  aliases: Aliases;
  binder: Binder;
}

/** One query on its way to one answer. */
interface Case {
  client: Client;
  engine: Engine;
  asked: NotPlain | PlainQuery;
  started: number;
}

interface Outcome extends ReplyParts {
  verdict: "allow" | "deny" | "would_deny";
  reason: Reason;
  decision: Decision | null;
  ttl?: number;
}

type Forward = Judgement & { kind: "forward" };

export class Policed {
  private readonly options: DnsFirewallOptions;
  private readonly resolver: Resolver;
  private readonly budget: NameBudget;
  private readonly ledger: Ledger;
  private readonly aliases: Aliases;
  private readonly binder: Binder;

  constructor(parts: PolicedParts) {
    this.options = parts.options;
    this.resolver = parts.resolver;
    this.budget = parts.budget;
    this.ledger = parts.ledger;
    this.aliases = parts.aliases;
    this.binder = parts.binder;
  }

  /** The answer's bytes, or null where none is due. Rejects only where the record does. */
  async answer(client: Client, bytes: Uint8Array, engine: Engine): Promise<Uint8Array | null> {
    const started = this.options.now();
    const judgement = this.judge(client, bytes, engine);
    if (judgement.kind === "ignore") {
      const seen = { engine, client, asked: null, decision: null, duration: 0 } as const;
      this.options.record(dnsEvent({ ...seen, verdict: "deny", reason: "query_malformed" }));
      return null;
    }
    const current: Case = { client, engine, asked: judgement.asked, started };
    switch (judgement.kind) {
      case "refuse":
        return this.finish(current, refusal(judgement.rcode, judgement.reason, judgement.decision));
      case "reverse":
        return this.finish(current, reverse(judgement));
      case "forward":
        return this.forward(current, judgement, bytes);
      default:
        return judgement satisfies never;
    }
  }

  /** What a query that found no place gets: SERVFAIL, so that the client asks again later. */
  overLimit(client: Client, bytes: Uint8Array, engine: Engine): Uint8Array | null {
    const judgement = this.judge(client, bytes, engine);
    if (judgement.kind === "ignore") return null;
    const current: Case = { client, engine, asked: judgement.asked, started: this.options.now() };
    return this.finish(current, refusal(Rcode.SERVFAIL, "over_limit", null));
  }

  /** What a query gets that something of ours failed on: nothing but SERVFAIL, and no event (that may be what failed). */
  failure(client: Client, bytes: Uint8Array): Uint8Array | null {
    const asked = readQuery(bytes);
    return asked === null ? null : reply(asked, client.transport, { rcode: Rcode.SERVFAIL });
  }

  private judge(client: Client, bytes: Uint8Array, engine: Engine): Judgement {
    const { source } = client;
    const namesOf = (address: Address) => this.ledger.names(address, source, this.options.now());
    const aliasOf = (name: string) => this.aliases.hostOf(name, source, this.options.now());
    return judge({ engine, source, denyRcode: this.denyRcode, namesOf, aliasOf }, bytes);
  }

  private get denyRcode(): number {
    return this.options.deny === "nxdomain" ? Rcode.NXDOMAIN : Rcode.REFUSED;
  }

  private async forward(current: Case, judgement: Forward, bytes: Uint8Array): Promise<Uint8Array | null> {
    const { asked } = judgement;
    const { link, sender } = current.client;
    const name = asked.host ?? judgement.host;
    const domain = registrableDomain(name) ?? name;
    // The whole name counts, service labels included: all of it is seen by whoever runs the zone.
    if (!this.budget.admit(link, sender, domain, asked.name, current.started)) {
      return this.finish(current, refusal(Rcode.REFUSED, "query_budget", null));
    }
    const maySend = () => this.budget.send(link, sender, domain, current.started);
    const { type } = asked.question;
    const resolution =
      this.resolver.known(asked.name, type) ?? (await this.resolver.resolve(asked.name, type, maySend));
    for (;;) {
      const engine = this.options.policy();
      if (engine !== current.engine) {
        // The policy changed while the answer was on its way, or waited for the data path: the new one judges it.
        current.engine = engine;
        const again = this.judge(current.client, bytes, engine);
        if (again.kind === "refuse") {
          return this.finish(current, refusal(again.rcode, again.reason, again.decision));
        }
        if (again.kind === "forward") judgement = again;
      }
      const outcome = await this.outcome(current, judgement, resolution);
      // What was bound under the policy of before stays: whoever connects is judged by the names, and by the one in force.
      if (this.options.policy() === engine) return this.finish(current, outcome);
    }
  }

  /** What becomes of what upstream said; when this resolves the data path knows the addresses in it. */
  private async outcome(current: Case, { asked, decision, host }: Forward, resolution: Resolution): Promise<Outcome> {
    const { engine } = current;
    const { source } = current.client;
    if ("failed" in resolution && resolution.failed === "budget") {
      return refusal(Rcode.REFUSED, "query_budget", null);
    }
    if ("failed" in resolution) return upstreamFailed(decision, resolution.failed);
    const { answer, stale } = resolution;
    const ttl = Math.min(resolution.ttl, maxTtl);
    const admitted = admit(answer.records, (address) => permitted(engine, source, address));
    const asksAddress = asked.question.type === Type.A || asked.question.type === Type.AAAA;
    if (asksAddress && admitted.removed.length > 0 && admitted.addresses.length === 0) {
      return refusal(this.denyRcode, "private_address", null);
    }
    this.aliases.remember(aliasNames(answer.chain), host, ttl, source, this.options.now());
    const bound = this.binder.bind(host, admitted.addresses, ttl, source, true);
    if (bound !== null) await bound;
    const records = [...answer.chain, ...admitted.records].map((record) =>
      ownedBy(record, asked.name, asked.question.name, Math.min(record.ttl, ttl)),
    );
    return {
      verdict: decision.verdict,
      reason: decision.reason,
      decision,
      rcode: answer.rcode,
      answers: records,
      ttl,
      extended: stale
        ? { code: ExtendedError.staleAnswer, text: "No upstream answers; this is the last answer." }
        : null,
    };
  }

  private finish(current: Case, outcome: Outcome): Uint8Array {
    const { client, engine, asked } = current;
    const { verdict, reason, decision, rcode, ttl } = outcome;
    this.options.record(
      dnsEvent({
        engine,
        client,
        asked,
        verdict,
        reason,
        decision,
        rcode,
        ...(outcome.answers === undefined ? {} : { records: outcome.answers }),
        ...(ttl === undefined ? {} : { ttl }),
        duration: this.options.now() - current.started,
      }),
    );
    return reply(asked, client.transport, outcome);
  }
}

/** An address a name may hand out to this source: an ordinary one, or one that a CIDR rule names for it. */
export function permitted(engine: Engine, source: Address, address: Address): boolean {
  return specialClass(address) === null || engine.cidrAllows(source, address);
}

function refusal(rcode: number, reason: Reason, decision: Decision | null): Outcome {
  return { verdict: "deny", reason, decision, rcode, extended: blocked(reason, decision?.rule ?? null) };
}

function upstreamFailed(decision: Decision, why: string): Outcome {
  const code = why === "timeout" ? ExtendedError.noReachableAuthority : ExtendedError.networkError;
  return {
    verdict: decision.verdict,
    reason: "upstream_failed",
    decision,
    rcode: Rcode.SERVFAIL,
    extended: { code, text: `upstream_failed: ${why}` },
  };
}

function reverse({ asked, names, decision }: Judgement & { kind: "reverse" }): Outcome {
  const targets = names.map(fromHostName).filter((name): name is WireName => name !== null);
  return {
    verdict: decision.verdict,
    reason: decision.reason,
    decision,
    rcode: Rcode.NOERROR,
    answers: targets.map((target) => ({
      name: asked.question.name,
      type: Type.PTR,
      class: Class.IN,
      ttl: reverseTtl,
      data: { kind: "name", target },
    })),
    ttl: reverseTtl,
  };
}

/** The record as answered: the asked name comes back as the client spelled it (clients compare it). */
function ownedBy(record: ResourceRecord, folded: WireName, spelled: WireName, ttl: number): ResourceRecord {
  return { ...record, name: record.name === folded ? spelled : record.name, ttl };
}
