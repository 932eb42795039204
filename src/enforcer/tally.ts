/**
 * What was recorded since the start, counted for the metrics. Every label is a word of ours or a name in the policy, never
 * something a job chose: the number of series is bounded by the policies that were in force, and by a cap.
 */
import type { EventBody } from "../audit/event.ts";
import type { Sample } from "../metrics/exposition.ts";

/** Most rules told apart: policies that are replaced all day must not grow the page without end. */
const mostRules = 5_000;

interface Counted {
  labels: Record<string, string>;
  count: number;
}

export class Tally {
  readonly #connections = new Map<string, Counted>();
  readonly #refusals = new Map<string, Counted>();
  readonly #detections = new Map<string, Counted>();
  readonly #kinds = new Map<string, Counted>();
  /** Of finished connections. */
  readonly ended = { flows: 0, bytesUp: 0, bytesDown: 0 };

  /** Connections by verdict, rule and tier. */
  get connections(): Sample[] {
    return samples(this.#connections);
  }

  /** What was refused, or would have been, by kind, verdict and reason. */
  get refusals(): Sample[] {
    return samples(this.#refusals);
  }

  get detections(): Sample[] {
    return samples(this.#detections);
  }

  /** Events by kind; one that stands for many is one. */
  get kinds(): Sample[] {
    return samples(this.#kinds);
  }

  /** Takes an event as it is recorded; an aggregated one counts for all it stands for. */
  count(event: EventBody): void {
    const times = event.count ?? 1;
    add(this.#kinds, { kind: event.kind }, 1);
    if (event.kind === "flow_end") {
      this.ended.flows += times;
      this.ended.bytesUp += event.bytes?.up ?? 0;
      this.ended.bytesDown += event.bytes?.down ?? 0;
    } else if (event.kind === "detection") add(this.#detections, { type: event.detection?.type ?? "" }, 1);
    else if (event.kind === "connection" || event.kind === "dns") this.#judged(event, times);
  }

  #judged(event: EventBody, times: number): void {
    const { kind, verdict = "deny", reason = "" } = event;
    if (verdict !== "allow") add(this.#refusals, { kind, verdict, reason }, times);
    // Packets that the kernel refused unread are no connections; they have counters of their own.
    if (kind !== "connection" || event.data !== undefined) return;
    const name = event.rule?.name ?? "";
    const tier = event.rule === undefined ? "" : String(event.rule.tier);
    const labels = { verdict, rule: name, tier };
    const known = this.#connections.size < mostRules || this.#connections.has(keyOf(labels));
    add(this.#connections, known ? labels : { verdict, rule: "", tier: "other" }, times);
  }
}

function add(map: Map<string, Counted>, labels: Record<string, string>, times: number): void {
  const key = keyOf(labels);
  const known = map.get(key);
  if (known === undefined) map.set(key, { labels, count: times });
  else known.count += times;
}

function keyOf(labels: Record<string, string>): string {
  return Object.values(labels).join("\0");
}

function samples(map: ReadonlyMap<string, Counted>): Sample[] {
  return [...map.values()].map(({ labels, count }) => [labels, count]);
}
