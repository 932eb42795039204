/** What the kernel has counted of some live connections: asked one by one while they are few, else with one look at its table. */
import type { Ledger } from "../datapath/ledger.ts";
import type { LiveFlow } from "../datapath/messages.ts";
import type { UploadCounters } from "../flow/uploads.ts";
import type { Conntrack, Flow } from "../kernel/conntrack.ts";

/** One question costs about what a few entries of a dump do; the table can hold many more entries than are asked about. */
const askedSingly = 256;

export function uploadCounters(
  flows: ReadonlySet<LiveFlow>,
  ledger: Ledger,
  conntrack: Conntrack,
): Map<LiveFlow, UploadCounters> {
  const found = new Map<LiveFlow, UploadCounters>();
  // Ports and ids of ICMP are the kernel's own here; only a dump has them.
  const single = flows.size <= askedSingly && [...flows].every(({ protocol }) => protocol === 6 || protocol === 17);
  if (single) {
    for (const flow of flows) {
      const entry = conntrack.lookup(flow, "original");
      if (entry !== null) found.set(flow, countersOf(entry));
    }
    return found;
  }
  conntrack.each({}, (entry) => {
    const live = ledger.get({ ...entry.original, protocol: entry.protocol });
    if (live !== undefined && flows.has(live)) found.set(live, countersOf(entry));
  });
  return found;
}

function countersOf({ protocol, counters }: Flow): UploadCounters {
  const { original, reply } = counters;
  return { protocol, bytesUp: original.bytes, packetsUp: original.packets, bytesDown: reply.bytes };
}
