/**
 * Queries of sources that are only watched. The client's bytes go to the server they were addressed to and that server's
 * bytes come back, both unchanged but for the ID; on the side the query is judged as enforcement would judge it, and the
 * answer's addresses are bound. Only a rule that is itself in enforce mode refuses here.
 */
import type { Address } from "../address/ip.ts";
import type { Decision, Engine } from "../policy/decision.ts";
import type { Reason } from "../policy/reason.ts";
import { decode } from "../wire/dns/message.ts";
import { foldCase } from "../wire/dns/name.ts";
import { isDefect, type Message, Rcode, type ResourceRecord } from "../wire/dns/types.ts";
import { admit, maxTtl, readAnswer } from "./answer.ts";
import { aliasNames, type Aliases } from "./aliases.ts";
import type { Binder } from "./binder.ts";
import { judge } from "./judge.ts";
import type { Ledger } from "./ledger.ts";
import { dnsEvent } from "./observe.ts";
import type { NotPlain, PlainQuery } from "./query.ts";
import { blocked, reply } from "./reply.ts";
import type { Client, DnsFirewallOptions, Endpoint } from "./types.ts";
import type { Upstreams } from "./upstream.ts";

/** A query that goes on, and what is said of it when its answer comes. */
export interface Passed {
  client: Client;
  engine: Engine;
  server: Endpoint;
  asked: NotPlain | PlainQuery | null;
  /** Whom the answer's addresses are for: see {@link judge}. */
  host: string | null;
  verdict: "allow" | "would_deny";
  reason: Reason;
  decision: Decision | null;
  started: number;
}

export interface MonitoredParts {
  options: DnsFirewallOptions;
  upstreams: Upstreams;
  ledger: Ledger;
  aliases: Aliases;
  binder: Binder;
}

export class Monitored {
  private readonly options: DnsFirewallOptions;
  private readonly upstreams: Upstreams;
  private readonly ledger: Ledger;
  private readonly aliases: Aliases;
  private readonly binder: Binder;

  constructor(parts: MonitoredParts) {
    this.options = parts.options;
    this.upstreams = parts.upstreams;
    this.ledger = parts.ledger;
    this.aliases = parts.aliases;
    this.binder = parts.binder;
  }

  /** Judges a query: the bytes of a refusal, or what to pass on. */
  judge(client: Client, bytes: Uint8Array, engine: Engine): { refusal: Uint8Array } | { passed: Passed } {
    const started = this.options.now();
    const { source } = client;
    const denyRcode = this.options.deny === "nxdomain" ? Rcode.NXDOMAIN : Rcode.REFUSED;
    const namesOf = (address: Address) => this.ledger.names(address, source, started);
    const aliasOf = (name: string) => this.aliases.hostOf(name, source, started);
    const judgement = judge({ engine, source, denyRcode, namesOf, aliasOf }, bytes);
    const passed = (rest: Pick<Passed, "asked" | "host" | "verdict" | "reason" | "decision">) => ({
      passed: { client, engine, server: client.server ?? this.upstreams.preferred, started, ...rest },
    });
    switch (judgement.kind) {
      case "ignore":
        return passed({ asked: null, host: null, verdict: "would_deny", reason: "query_malformed", decision: null });
      case "refuse": {
        const { asked, reason, decision, rcode } = judgement;
        // Without a decision nothing but the default's own strictness is in the way, and the default only watches.
        const host = asked.plain ? asked.host : null;
        if (decision === null) return passed({ asked, host, verdict: "would_deny", reason, decision });
        const seen = { engine, client, asked, verdict: "deny", reason, decision, rcode, duration: 0 } as const;
        this.options.record(dnsEvent(seen));
        const extended = blocked(reason, decision.rule);
        return { refusal: reply(asked, client.transport, { rcode, extended }) };
      }
      case "reverse":
      case "forward": {
        const { asked, decision } = judgement;
        const verdict = decision.answer === "allow" ? "allow" : "would_deny";
        const host = judgement.kind === "forward" ? judgement.host : null;
        return passed({ asked, host, verdict, reason: decision.reason, decision });
      }
      default:
        return judgement satisfies never;
    }
  }

  /**
   * Binds what the answer says and records the query; resolves when the answer may leave. `answer` null: none came.
   * A failure to bind rejects.
   */
  async observe(passed: Passed, answer: Uint8Array | null): Promise<void> {
    const message = answer === null ? null : decode(answer);
    const read = message === null || isDefect(message) ? null : message;
    const records = read === null ? null : answeredRecords(passed.asked, read);
    try {
      if (records !== null) await this.bind(passed, records);
    } finally {
      const ttls = records?.map((record) => record.ttl) ?? [];
      this.options.record(
        dnsEvent({
          ...passed,
          client: { ...passed.client, server: passed.server },
          ...(read === null ? {} : { rcode: read.header.rcode }),
          ...(records === null ? {} : { records }),
          ...(ttls.length === 0 ? {} : { ttl: Math.min(...ttls) }),
          duration: this.options.now() - passed.started,
        }),
      );
    }
  }

  private async bind(passed: Passed, records: readonly ResourceRecord[]): Promise<void> {
    const { client, server, host } = passed;
    if (host === null) return;
    const ttl = Math.min(maxTtl, ...records.map((record) => record.ttl));
    const trusted = this.upstreams.includes(server);
    // A server that the client chose could name anything as an alias.
    if (trusted) this.aliases.remember(aliasNames(records), host, ttl, client.source, this.options.now());
    const { addresses } = admit(records, () => true);
    if (addresses.length > 0) await this.binder.bind(host, addresses, ttl, client.source, trusted);
  }
}

/** The alias chain and records that answer the question; null where the message does not answer it. */
function answeredRecords(asked: Passed["asked"], message: Message): ResourceRecord[] | null {
  const question = message.questions[0];
  if (asked === null || asked.question === null || question === undefined || !message.header.response) return null;
  const name = foldCase(asked.question.name);
  const same = question.type === asked.question.type && question.class === asked.question.class;
  if (!same || foldCase(question.name) !== name) return null;
  const answer = readAnswer(name, question.type, message);
  return answer === null ? null : [...answer.chain, ...answer.records];
}
