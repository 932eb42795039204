/** What cannot be promised on this machine, whatever is configured: said in every report, so that nobody takes it for granted. */
import { readFileSync } from "node:fs";
import { DatagramLock } from "../kernel/datagram-lock.ts";
import { MachineRuleset } from "../kernel/machine-ruleset.ts";
import type { Enforcer } from "../enforcer/enforcer.ts";
import type { ProcessTable } from "../process/table.ts";
import type { AgentOrder } from "./order.ts";
import { openRootSockets } from "./root-access.ts";

/** Sentences, the gravest first. `mayBecomeRoot`: by sudo, which was left to the user. */
export function limitsOf(
  { user, worker }: AgentOrder,
  enforcer: Enforcer,
  { processes, mayBecomeRoot }: { processes: ProcessTable; mayBecomeRoot: boolean },
): string[] {
  const limits: string[] = [];
  if (user.uid === 0)
    limits.push(
      "the job runs as root, which can take any firewall on its own machine away: that is noticed, not prevented",
    );
  else {
    if (mayBecomeRoot) {
      limits.push(
        `${user.name} may use sudo, and root can take any firewall on its own machine away: that is noticed, not prevented (disable-sudo)`,
      );
    }
    const sockets = openRootSockets(user.uid, groupsOf(worker));
    if (sockets.length > 0) {
      limits.push(
        `${user.name} may use ${sockets.join(" and ")}, which is as good as root (disable-sudo-and-containers)`,
      );
    }
  }
  if (processes.worker === null)
    limits.push("no worker of GitHub's runner was found: connections have a process but no step");
  else if (processes.unnoted !== null)
    limits.push(
      `a step whose first process is over within milliseconds may have no name, and then no rule for a step allows it: ${processes.unnoted}`,
    );
  const unlocked = DatagramLock.refused();
  if (unlocked !== null)
    limits.push(`a UDP flow that is allowed for one process is open to another that gets the same ports: ${unlocked}`);
  if (enforcer.ruleset instanceof MachineRuleset && !enforcer.ruleset.guardsEgress)
    limits.push(
      "this kernel has no egress hook: frames from packet sockets leave unseen, which takes root or CAP_NET_RAW",
    );
  limits.push(
    "what is sent to an allowed destination is not read, and a few bits can always be hidden in what is allowed",
  );
  return limits;
}

/** The groups that a process has now; what the user database says does not change them. */
function groupsOf(pid: number | null): number[] {
  try {
    const status = readFileSync(`/proc/${pid ?? "self"}/status`, "utf8");
    const [, groups] = /^Groups:\s*(.*)$/m.exec(status) ?? [];
    const [, gid] = /^Gid:\s*(\d+)/m.exec(status) ?? [];
    return [...(groups ?? "").trim().split(/\s+/), gid ?? ""].filter((each) => each !== "").map(Number);
  } catch {
    return [];
  }
}
