/** Ended connections, gathered to be told in one message. */
import type { Flow } from "../kernel/conntrack.ts";
import { flowKey } from "./flow-kind.ts";
import type { EndedCounts, EndedFlows } from "./messages.ts";

export class EndedBatch {
  #keys: string[] = [];
  #counts: number[] = [];

  get size(): number {
    return this.#keys.length;
  }

  add({ original, protocol, counters }: Pick<Flow, "original" | "protocol" | "counters">): void {
    this.#keys.push(flowKey({ ...original, protocol }));
    const { original: up, reply: down } = counters;
    this.#counts.push(up.bytes, down.bytes, up.packets, down.packets);
  }

  take(): EndedFlows {
    const ended = { keys: this.#keys, counts: Float64Array.from(this.#counts) };
    this.#keys = [];
    this.#counts = [];
    return ended;
  }
}

/** What a batch counts of its connection `i`. */
export function countsAt({ counts }: EndedFlows, i: number): EndedCounts {
  const at = 4 * i;
  return {
    bytesUp: counts[at]!,
    bytesDown: counts[at + 1]!,
    packetsUp: counts[at + 2]!,
    packetsDown: counts[at + 3]!,
  };
}
