/** The enforcer of a job: around this machine, with what the order says, told what the job wants to hear of. */
import type { SigningKey } from "../audit/signature.ts";
import type { AttributionOptions } from "../datapath/attribution.ts";
import { Enforcer } from "../enforcer/enforcer.ts";
import type { EnforcerOptions } from "../enforcer/options.ts";
import type { PolicyInForce } from "../enforcer/policy-source.ts";
import { findUplinks } from "../kernel/devices.ts";
import type { OwnerLookup } from "../process/owner.ts";
import type { ProcessTable, TableBeginning } from "../process/table.ts";
import { bindingsFromHosts, textOf } from "../run/resolv.ts";
import { describeEarlier } from "./earlier.ts";
import type { JobMeans } from "./job-means.ts";
import type { EarlierConnection } from "./job-report.ts";
import type { AgentOrder } from "./order.ts";
import { withPermits } from "./permits.ts";
import { placesIn } from "./places.ts";
import { cgroupOf } from "./predecessor.ts";
import { machineResolvers } from "./resolvers.ts";
import { noticedPrograms } from "./watchers.ts";

/** NFQUEUE number and DNS ports that nothing else on a runner is known to use. */
const queueBase = 7_153;
const dnsPort = 21_053;
/** How long descriptor tables may be searched for the asker of one DNS question, ms. */
const askerSearchMs = 20;

type Heard = Required<Pick<EnforcerOptions, "onNoticed" | "onEvent" | "onFatal">>;

interface JobEnforcerMeans extends Pick<JobMeans, "spare" | "lap">, Heard {
  policy: PolicyInForce;
  processes: ProcessTable;
  who: AttributionOptions;
  /** For the DNS firewall's table. */
  beginning: TableBeginning | undefined;
  /** Connections from before are added here. */
  earlier: EarlierConnection[];
  key: SigningKey | null;
}

/** What the data path tells whose packets are whose with, from what this thread has. */
export function whoOf(
  { secrets }: AgentOrder,
  { worker, notes }: ProcessTable,
  { calls }: OwnerLookup,
): AttributionOptions {
  return { worker, secrets, notes, calls, notice: noticedPrograms };
}

/** Enforces when it resolves; rejects as {@link Enforcer.start}. */
export async function jobEnforcer(order: AgentOrder, means: JobEnforcerMeans): Promise<Enforcer> {
  const { policy, processes, who, beginning, earlier, key, ...rest } = means;
  const isMonitor = policy.loaded.policy.default.mode === "monitor";
  return await Enforcer.start({
    ...rest,
    namespace: null,
    stand: {
      kind: "machine",
      uplinks: findUplinks(),
      cgroup: cgroupOf(process.pid),
      keep: (flow) => {
        const connection = describeEarlier(flow, processes, isMonitor);
        earlier.push(connection);
        return connection.runner;
      },
    },
    who,
    askers: { searchFor: askerSearchMs, ...(beginning === undefined ? {} : { beginning }) },
    queueBase,
    queues: 1,
    dnsPort,
    dnsDeny: "nxdomain",
    upstreams: machineResolvers(),
    policy: withPermits(policy, order.control_plane),
    state: placesIn(order.state).record,
    signingKey: key,
    retention: { keepMs: null, keepBytes: null },
    fixed: bindingsFromHosts(textOf("/etc/hosts")),
  });
}
