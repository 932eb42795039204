/**
 * What was refused without anybody having looked at it: more packets than a source or its network may send to be judged, a full
 * queue, a full socket of the DNS firewall, fragments that make no datagram. The kernel drops those and only counts them. Every
 * denied attempt is counted in the record (invariant 4), so each look at the kernel's counters becomes an event with how many
 * there were. Whose they were the kernel does not say, only where they were lost.
 */
import { existsSync } from "node:fs";
import { formatTime } from "../audit/clock.ts";
import type { EventBody } from "../audit/event.ts";
import { hookCounts } from "../kernel/machine-hooks.ts";
import { queueStatistics } from "../kernel/nfqueue.ts";
import { overChain } from "../kernel/rates.ts";
import { reassemblyFailures } from "../kernel/reassembly.ts";
import { RuleCounters } from "../kernel/rule-counters.ts";
import { udpDrops } from "../kernel/socket-drops.ts";
import type { Reason } from "../policy/reason.ts";

export interface Place {
  /** The inside interfaces; none on a machine. */
  inside: readonly string[];
  queueBase: number;
  queues: number;
  dnsPorts: readonly number[];
  /** On a machine: whether packets of packet sockets are dropped, and not only counted. Null between links. */
  dropsUnmarked: (() => boolean) | null;
}

/** Refused unread since this process enforces. */
export interface UnjudgedCounts {
  /** By the bounds on rates. */
  over_rate: number;
  /** Because a queue of the data path was full. */
  kernel_drops: number;
  /** Because a socket of the DNS firewall was full. */
  dns_drops: number;
  /** Datagrams that could not be put together from their fragments. */
  fragment_drops: number;
  /** On a machine: packets that packet sockets put on an uplink; only counted where nothing is enforced. */
  packet_sockets: number;
  /** On a machine: packets that were about to leave although nobody had decided that they may. */
  undecided_drops: number;
}

/** How long losses are a problem of the status after they were last seen, ms. */
const recentMs = 10_000;

type Kind = keyof UnjudgedCounts;

/** A kernel counter: it grows, or begins anew where its owner does. */
interface Reading {
  kind: Kind;
  id: string;
  count: number;
  data: Record<string, unknown>;
}

export class Unjudged {
  readonly counts: UnjudgedCounts = {
    over_rate: 0,
    kernel_drops: 0,
    dns_drops: 0,
    fragment_drops: 0,
    packet_sockets: 0,
    undecided_drops: 0,
  };
  readonly #place: Place;
  readonly #counters = new RuleCounters();
  readonly #families: (4 | 6)[] = existsSync("/proc/sys/net/ipv6") ? [4, 6] : [4];
  readonly #before = new Map<string, number>();
  readonly #timedOut = new Map<4 | 6, number>();
  #lookedAt = Date.now();
  #lostAt = Number.NEGATIVE_INFINITY;

  /**
   * Opens a socket in this thread's network namespace: make it, and look, where the ruleset is. Look only once the ruleset is
   * applied, which sets its counters to zero; queues and sockets are this process's own.
   */
  constructor(place: Place) {
    this.#place = place;
    // Counted since the namespace was made, which may be long before us.
    for (const { id, count } of this.#fragmentReadings()) this.#before.set(id, count);
  }

  /** What the kernel counted since the last look, as events. */
  look(now: number): EventBody[] {
    const events: EventBody[] = [];
    const [first, last] = [this.#lookedAt, now].map((ms) => formatTime(ms * 1000)) as [string, string];
    this.#lookedAt = now;
    for (const { kind, id, count, data } of this.#readings()) {
      const before = this.#before.get(id) ?? 0;
      this.#before.set(id, count);
      const more = count >= before ? count - before : count;
      if (more === 0) continue;
      this.counts[kind] += more;
      if (mayBeAnybodys[kind]) this.#lostAt = now;
      const dropped = kind !== "packet_sockets" || this.#place.dropsUnmarked?.() === true;
      events.push({
        kind: kind === "dns_drops" ? "dns" : "connection",
        verdict: dropped ? "deny" : "would_deny",
        enforced: dropped,
        reason: reasons[kind],
        count: more,
        first,
        last,
        message: messages[kind],
        data,
      });
    }
    return events;
  }

  /** In words, where losses that may be anybody's were seen a moment ago. */
  problem(now: number): string | null {
    if (now - this.#lostAt > recentMs) return null;
    return "packets came faster than they could be judged: some were refused unread, whoever sent them";
  }

  close(): void {
    this.#counters.close();
  }

  #readings(): Reading[] {
    const { inside, queueBase, queues, dnsPorts, dropsUnmarked } = this.#place;
    const readings: Reading[] = [];
    for (const family of this.#families) {
      for (const [i, count] of this.#counters.read(family, "mangle", overChain).entries()) {
        readings.push({ kind: "over_rate", id: `over ${family} ${i}`, count, data: { interface: inside[i] ?? null } });
      }
    }
    for (const { queue, port, queueDropped, userDropped } of queueStatistics()) {
      if (queue < queueBase || queue >= queueBase + queues) continue;
      // A thread that was started again has another port, and its counters begin anew.
      readings.push({
        kind: "kernel_drops",
        id: `queue ${queue} ${port}`,
        count: queueDropped + userDropped,
        data: { queue },
      });
    }
    for (const port of dnsPorts) {
      for (const [id, count] of udpDrops(port)) {
        readings.push({ kind: "dns_drops", id: `socket ${id}`, count, data: { socket: id } });
      }
    }
    if (dropsUnmarked !== null) readings.push(...hookReadings());
    return [...readings, ...this.#fragmentReadings()];
  }

  #fragmentReadings(): Reading[] {
    return [...reassemblyFailures()].map(([family, { failed, timedOut }]) => {
      const before = this.#timedOut.get(family) ?? 0;
      this.#timedOut.set(family, timedOut);
      const data = { where: "reassembly", family, timed_out: timedOut - before };
      return { kind: "fragment_drops", id: `reassembly ${family}`, count: failed, data };
    });
  }
}

function hookReadings(): Reading[] {
  const { unstated, unmarked } = hookCounts();
  return [
    { kind: "undecided_drops", id: "end", count: unstated, data: {} },
    ...[...unmarked].map(([device, count]): Reading => {
      return { kind: "packet_sockets", id: `egress ${device}`, count, data: { interface: device } };
    }),
  ];
}

const reasons: Record<Kind, Reason> = {
  over_rate: "over_limit",
  kernel_drops: "over_limit",
  dns_drops: "over_limit",
  fragment_drops: "fragment",
  packet_sockets: "packet_socket",
  undecided_drops: "mid_stream",
};

/** Whether a loss can hit packets that nobody objects to. */
const mayBeAnybodys: Record<Kind, boolean> = {
  over_rate: false,
  kernel_drops: true,
  dns_drops: true,
  fragment_drops: false,
  packet_sockets: false,
  undecided_drops: false,
};

const messages: Record<Kind, string> = {
  over_rate: "More packets than a source or its network may send to be judged: refused unread.",
  kernel_drops: "More packets than the data path can judge: refused unread.",
  dns_drops: "More DNS queries than can be answered: refused unread.",
  fragment_drops: "Fragments that are missing others or overlap: dropped unread, in monitor mode too.",
  packet_sockets: "Packets that a process put on the network device itself, past the rules.",
  undecided_drops:
    "Packets that were about to leave the machine undecided, by another's rules or by a change of routes.",
};
