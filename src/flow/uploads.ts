/**
 * How much each source has sent under each rule with an `upload_limit` (threat T9): over all its connections, so that cutting an
 * upload into many does not help, and in a window that slides, so that an hour's end does not give twice the budget. A machine
 * chooses its IPv6 addresses freely inside its /64, which therefore counts as one. Time is an argument; nobody is ended here.
 */
import type { Address } from "../address/ip.ts";
import { limits } from "./limits.ts";

/** The window is made of steps of this length, ms, and the one that is not over. */
const stepMs = 300_000;
const steps = limits.uploadWindowMs / stepMs + 1;
/** How many accounts are looked at for one to forget where there is no room. */
const mostCompared = 64;

/** The kernel's counters of one connection, headers included. */
export interface UploadCounters {
  /** IP protocol number. */
  protocol: number;
  bytesUp: number;
  packetsUp: number;
  bytesDown: number;
}

/**
 * What of a connection's bytes the client sent, without IP and transport headers. A fiftieth of what came back is taken for
 * acknowledgements and window updates of protocols (TCP's options, QUIC, HTTP/2): a download must not use up the budget.
 */
export function sentBytes(isIpv6: boolean, { protocol, bytesUp, packetsUp, bytesDown }: UploadCounters): number {
  const transport = protocol === 6 ? 20 : protocol === 17 || protocol === 1 || protocol === 58 ? 8 : 0;
  const header = (isIpv6 ? 40 : 20) + transport;
  return Math.max(0, bytesUp - packetsUp * header - Math.floor(bytesDown / 50));
}

/** Whose budget a source's bytes are taken from: its own, or its /64's. */
export function budgetHolder(source: Address): string {
  return source.length === 4 ? source : source.slice(0, 8);
}

/** One rule's budget of one holder. */
export interface Budget<T> {
  readonly rule: string;
  readonly holder: string;
  /** What was last added for, as its caller gave it. */
  last: T;
}

interface Account<T> extends Budget<T> {
  /** Bytes in each step, by its number modulo their count. */
  readonly sent: number[];
  /** Number of the latest step written to. */
  step: number;
}

export class UploadAccounts<T> {
  readonly #accounts = new Map<string, Account<T>>();

  get size(): number {
    return this.#accounts.size;
  }

  /** Adds bytes that were sent at `now` (ms since the epoch). */
  add(rule: string, source: Address, bytes: number, now: number, last: T): Budget<T> {
    const holder = budgetHolder(source);
    const key = `${holder.length} ${holder}${rule}`;
    let account = this.#accounts.get(key);
    if (account === undefined) {
      if (this.#accounts.size >= limits.uploadAccounts) this.#makeRoom(now);
      account = { rule, holder, last, sent: Array.from({ length: steps }, () => 0), step: stepOf(now) };
    } else this.#accounts.delete(key);
    // Last in the order: whoever has not sent for longest is forgotten first.
    this.#accounts.set(key, account);
    advance(account, now);
    account.sent[account.step % steps]! += bytes;
    account.last = last;
    return account;
  }

  /** Bytes sent in the last hour, or a little more of it: up to a step. */
  sent(budget: Budget<T>, now: number): number {
    const account = budget as Account<T>;
    advance(account, now);
    return account.sent.reduce((sum, bytes) => sum + bytes, 0);
  }

  budgets(): Iterable<Budget<T>> {
    return this.#accounts.values();
  }

  /** Forgets those of rules that `isKept` does not want. */
  keep(isKept: (rule: string) => boolean): void {
    for (const [key, { rule }] of this.#accounts) if (!isKept(rule)) this.#accounts.delete(key);
  }

  /** Forgets what has run out, and where nothing has, the least used of those that are oldest. */
  #makeRoom(now: number): void {
    let least: string | null = null;
    let fewest = Number.POSITIVE_INFINITY;
    let compared = 0;
    for (const [key, account] of this.#accounts) {
      const sent = this.sent(account, now);
      if (sent < fewest) [least, fewest] = [key, sent];
      if (sent === 0 || ++compared === mostCompared) break;
    }
    if (least !== null) this.#accounts.delete(least);
  }
}

function stepOf(now: number): number {
  return Math.floor(now / stepMs);
}

/** Clears the steps that have left the window. A clock that goes back changes nothing. */
function advance<T>(account: Account<T>, now: number): void {
  const step = stepOf(now);
  if (step <= account.step) return;
  const gone = Math.min(steps, step - account.step);
  for (let i = 1; i <= gone; i++) account.sent[(account.step + i) % steps] = 0;
  account.step = step;
}
