/**
 * How many distinct names may be asked for under one registrable domain in a sliding hour. Under an allowed wildcard every
 * label is a free choice of the asker, and each new name is a message to whoever runs the zone's servers; the budget bounds
 * that channel. Names asked before do not count again. Called for allowed names of policed sources only.
 *
 * Each name is counted twice: for its sender, and for the link it came by, which has the budgets of a few senders
 * together. The sender's budget is what one machine gets. The link's is what makes it hold: a source address is a claim, and
 * a job with raw sockets, or just with `ip address add`, claims as many as it likes. The answers may go astray, but the
 * question has left by then, and the question is the leak. Which interface it came by is the one thing nobody can forge
 * (docs/adr/0006-name-budgets.md). So senders may be forgotten and links never are.
 */
import type { Sender } from "../address/sender.ts";

/** Milliseconds. */
const windowLength = 3_600_000;

/** Names remembered of all senders together; beyond it the least recently active sender is forgotten. */
const maxRemembered = 200_000;

export interface BudgetLimits {
  /** Distinct names of one sender in an hour: under one registrable domain, and in all. */
  namesPerDomain: number;
  namesPerSource: number;
  /** Questions under one registrable domain that no cache answered, of one sender in an hour. */
  questionsPerDomain: number;
  /** A link's budgets, in budgets of one sender. */
  sourcesPerLink: number;
}

export class NameBudget {
  private readonly limits: BudgetLimits;
  private readonly linkLimits: BudgetLimits;
  /** In order of last use. */
  private readonly senders = new Map<string, Names>();
  private readonly links = new Map<string, Names>();
  private remembered = 0;

  constructor(limits: BudgetLimits) {
    this.limits = limits;
    const { namesPerDomain, namesPerSource, questionsPerDomain, sourcesPerLink } = limits;
    this.linkLimits = {
      sourcesPerLink,
      questionsPerDomain: questionsPerDomain * sourcesPerLink,
      namesPerDomain: namesPerDomain * sourcesPerLink,
      namesPerSource: namesPerSource * sourcesPerLink,
    };
  }

  /** Counts `name` under `domain` for a sender on a link; false where it is new to one of them and that budget is spent. */
  admit(link: string, sender: Sender, domain: string, name: string, now: number): boolean {
    let common = this.links.get(link);
    if (common === undefined) this.links.set(link, (common = new Names()));
    const key = `${link}\0${sender}`;
    const own = this.senders.get(key) ?? new Names();
    this.senders.delete(key);
    this.senders.set(key, own);
    const before = own.size;
    const id = keyOf(domain, name);
    const admitted = own.allows(domain, id, now, this.limits) && common.allows(domain, id, now, this.linkLimits);
    if (admitted) {
      own.add(domain, id, now);
      common.add(domain, id, now);
    }
    this.remembered += own.size - before;
    if (own.size === 0) this.senders.delete(key);
    this.forget();
    return admitted;
  }

  /**
   * Counts a question about an admitted name that goes upstream; false where too many did. Without this the names of one
   * budget would be an alphabet: answers with a TTL of 0 are not cached, and the order of the questions is a message.
   */
  send(link: string, sender: Sender, domain: string, now: number): boolean {
    const own = this.senders.get(`${link}\0${sender}`);
    const common = this.links.get(link);
    return (
      own !== undefined &&
      common !== undefined &&
      own.send(domain, now, this.limits.questionsPerDomain) &&
      common.send(domain, now, this.linkLimits.questionsPerDomain)
    );
  }

  /** Bounded by the names, and so by the senders too: each that is remembered has one at least. */
  private forget(): void {
    for (const [key, names] of this.senders) {
      if (this.remembered <= maxRemembered) return;
      this.senders.delete(key);
      this.remembered -= names.size;
    }
  }
}

interface Asked {
  domain: string;
  /** When it was asked last. */
  at: number;
}

interface Domain {
  /** How many names of it were asked within the hour. */
  names: number;
  /** Questions sent upstream in the hour that began then. */
  sent: number;
  since: number;
}

/** Names asked within the hour, and the domains that have any. */
class Names {
  /** By domain and name, in order of when they were asked last whatever their domain, so that every name ends with its hour. */
  private readonly asked = new Map<string, Asked>();
  private readonly domains = new Map<string, Domain>();

  get size(): number {
    return this.asked.size;
  }

  /** Drops what is over an hour old; true where the name, by its {@link keyOf}, is known or there is room for it. */
  allows(domain: string, key: string, now: number, limits: BudgetLimits): boolean {
    this.expire(now);
    if (this.asked.has(key)) return true;
    const { names } = this.domains.get(domain) ?? { names: 0 };
    return names < limits.namesPerDomain && this.size < limits.namesPerSource;
  }

  add(domain: string, key: string, now: number): void {
    let known = this.domains.get(domain);
    if (known === undefined) this.domains.set(domain, (known = { names: 0, sent: 0, since: now }));
    if (!this.asked.delete(key)) known.names++;
    this.asked.set(key, { domain, at: now });
  }

  /** Counts a question sent upstream; false where the hour's are spent. */
  send(domain: string, now: number, most: number): boolean {
    const known = this.domains.get(domain);
    if (known === undefined) return false;
    if (now - known.since >= windowLength) Object.assign(known, { sent: 0, since: now });
    if (known.sent >= most) return false;
    known.sent++;
    return true;
  }

  private expire(now: number): void {
    for (const [key, { domain, at }] of this.asked) {
      if (now - at < windowLength) return;
      this.asked.delete(key);
      const known = this.domains.get(domain)!;
      if (--known.names === 0) this.domains.delete(domain);
    }
  }
}

/** No domain has a NUL in it. */
function keyOf(domain: string, name: string): string {
  return `${domain}\0${name}`;
}
