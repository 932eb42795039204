/** Connections that are older than the agent, as the report tells them: whose each is, and whether it goes on. */
import { formatAddress } from "../address/ip.ts";
import type { EarlierFlow } from "../enforcer/earlier-flows.ts";
import { byLikelihood, makerOf, search } from "../process/holders.ts";
import type { ProcessRecord } from "../process/record.ts";
import type { ProcessTable } from "../process/table.ts";
import type { EarlierConnection } from "./job-report.ts";

/** Only the runner's own goes on where the job is enforced; all do where it is watched. */
export function describeEarlier(flow: EarlierFlow, processes: ProcessTable, isMonitor: boolean): EarlierConnection {
  const owner = flow.socket === null ? null : holderOf(flow.socket, processes);
  const runner = owner !== null && processes.isRunner(owner);
  return {
    ip: formatAddress(flow.destination),
    port: flow.destinationPort,
    protocol: flow.protocol === 6 ? "tcp" : "udp",
    exe: owner?.exe ?? null,
    runner,
    kept: runner || isMonitor,
  };
}

const searchMs = 200;

/** The process that has a socket which is older than we are. */
function holderOf({ inode, uid }: { inode: number; uid: number }, processes: ProcessTable): ProcessRecord | null {
  const { holders } = search(inode, byLikelihood(processes.newestFirst(), uid, null), searchMs);
  return makerOf(holders) ?? holders[0] ?? null;
}
