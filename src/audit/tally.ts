/**
 * What was recorded since the start, counted for the metrics. Every label is a word of ours or a name in the policy, never
 * something a job chose: the number of series is bounded by the policies that were in force, and by a cap. Threads count what they
 * make and hand over sums.
 */
import type { EventBody } from "./event.ts";
import type { Sample } from "../metrics/exposition.ts";

/** Most rules told apart: policies that are replaced all day must not grow the page without end. */
const mostRules = 5_000;

interface Counted {
  labels: Record<string, string>;
  count: number;
}

/** Sums, as plain data. */
export interface TallySums {
  connections: Sample[];
  refusals: Sample[];
  detections: Sample[];
  kinds: Sample[];
  ended: { flows: number; bytesUp: number; bytesDown: number };
}

const parts = ["connections", "refusals", "detections", "kinds"] as const;

export class Tally {
  readonly #counted = {
    connections: new Map<string, Counted>(),
    refusals: new Map<string, Counted>(),
    detections: new Map<string, Counted>(),
    kinds: new Map<string, Counted>(),
  };
  /** Of finished connections. */
  readonly ended = { flows: 0, bytesUp: 0, bytesDown: 0 };

  /** Connections by verdict, rule and tier. */
  get connections(): Sample[] {
    return samples(this.#counted.connections);
  }

  /** What was refused, or would have been, by kind, verdict and reason. */
  get refusals(): Sample[] {
    return samples(this.#counted.refusals);
  }

  get detections(): Sample[] {
    return samples(this.#counted.detections);
  }

  /** Events by kind; one that stands for many is one. */
  get kinds(): Sample[] {
    return samples(this.#counted.kinds);
  }

  /** Takes an event as it is recorded; an aggregated one counts for all it stands for. */
  count(event: EventBody): void {
    const times = event.count ?? 1;
    this.#add("kinds", event.kind, { kind: event.kind }, 1);
    if (event.kind === "flow_end") this.#end(times, event.bytes?.up ?? 0, event.bytes?.down ?? 0);
    else if (event.kind === "detection") {
      const type = event.detection?.type ?? "";
      this.#add("detections", type, { type }, 1);
    } else if (event.kind === "connection" || event.kind === "dns") this.#judged(event, times);
  }

  /** A connection ended, as {@link count} counts its event. */
  flowEnd(bytesUp: number, bytesDown: number): void {
    this.#add("kinds", "flow_end", { kind: "flow_end" }, 1);
    this.#end(1, bytesUp, bytesDown);
  }

  /** The sums so far; it begins again with none. */
  take(): TallySums {
    const { connections, refusals, detections, kinds, ended } = this;
    const sums = { connections, refusals, detections, kinds, ended: { ...ended } };
    for (const part of parts) this.#counted[part].clear();
    ended.flows = ended.bytesUp = ended.bytesDown = 0;
    return sums;
  }

  /** Adds what another has counted. */
  add(sums: TallySums): void {
    for (const part of parts) {
      for (const [labels, count] of sums[part]) this.#add(part, Object.values(labels).join("\0"), labels, count);
    }
    this.#end(sums.ended.flows, sums.ended.bytesUp, sums.ended.bytesDown);
  }

  #end(flows: number, bytesUp: number, bytesDown: number): void {
    this.ended.flows += flows;
    this.ended.bytesUp += bytesUp;
    this.ended.bytesDown += bytesDown;
  }

  #judged(event: EventBody, times: number): void {
    const { kind, verdict = "deny", reason = "" } = event;
    if (verdict !== "allow") this.#add("refusals", `${kind}\0${verdict}\0${reason}`, { kind, verdict, reason }, times);
    // Packets that the kernel refused unread are no connections; they have counters of their own.
    if (kind !== "connection" || event.data !== undefined) return;
    const rule = event.rule?.name ?? "";
    const tier = event.rule === undefined ? "" : String(event.rule.tier);
    this.#add("connections", `${verdict}\0${rule}\0${tier}`, { verdict, rule, tier }, times);
  }

  #add(part: (typeof parts)[number], key: string, labels: Record<string, string>, times: number): void {
    const map = this.#counted[part];
    const known = map.get(key);
    if (known !== undefined) known.count += times;
    else if (part !== "connections" || map.size < mostRules || labels["tier"] === "other")
      map.set(key, { labels, count: times });
    else {
      const verdict = labels["verdict"] ?? "";
      this.#add(part, `${verdict}\0\0other`, { verdict, rule: "", tier: "other" }, times);
    }
  }
}

function samples(map: ReadonlyMap<string, Counted>): Sample[] {
  return [...map.values()].map(({ labels, count }) => [labels, count]);
}
