/** What the kernel counts per NFQUEUE, losses above all. Called by `nfqueue.ts` and by whoever shows the state. */
import { readFileSync } from "node:fs";

/** What the kernel counted for one queue. */
export interface QueueStatistics {
  queue: number;
  /** Netlink port of the listener. */
  port: number;
  /** Packets waiting for a verdict. */
  waiting: number;
  /** Dropped because `maxLength` packets were waiting. */
  queueDropped: number;
  /** Dropped because our receive buffer was full. */
  userDropped: number;
  /** Packets queued so far. */
  sequence: number;
}

/** The kernel's counters for every bound queue of this thread's network namespace. */
export function queueStatistics(): QueueStatistics[] {
  let text: string;
  try {
    text = readFileSync("/proc/thread-self/net/netfilter/nfnetlink_queue", "latin1");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  return parseQueueStatistics(text);
}

/** Parses `/proc/net/netfilter/nfnetlink_queue`; lines that are not in its format are left out. */
export function parseQueueStatistics(text: string): QueueStatistics[] {
  const rows: QueueStatistics[] = [];
  for (const line of text.split("\n")) {
    const fields = line.trim().split(/\s+/).map(Number);
    if (fields.length < 8 || fields.some((field) => !Number.isFinite(field))) continue;
    const [queue, port, waiting, , , queueDropped, userDropped, sequence] = fields as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    rows.push({ queue, port, waiting, queueDropped, userDropped, sequence });
  }
  return rows;
}
