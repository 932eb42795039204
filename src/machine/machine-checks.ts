/**
 * What must stay as it is on the machine beside our own files (threat R3): the rules, the kernel's settings under them, our cgroup,
 * and what was taken from the job's user. A difference is told and fails the job; and what keeps traffic policed is put back at once,
 * because a job that is red an hour later has sent what it wanted by then.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import type { Enforcer } from "../enforcer/enforcer.ts";
import { statOf } from "../process/read.ts";
import type { AgentOrder } from "./order.ts";
import type { OwnFiles } from "./own-files.ts";
import { type Places, placesIn } from "./places.ts";
import { rootSockets, sudoersFile, takeRootAccess } from "./root-access.ts";
import type { TamperCheck } from "./tamper-watch.ts";

/** `lost` hears what could not be put back. */
export function machineChecks(
  order: AgentOrder,
  enforcer: Enforcer,
  files: OwnFiles,
  lost: (message: string) => void,
): TamperCheck[] {
  const putBack = (what: string, restore: () => void): string => {
    try {
      restore();
      return "was put back";
    } catch (error) {
      lost(`${what} cannot be put back: ${(error as Error).message}`);
      return "cannot be put back";
    }
  };
  return [
    {
      name: "ruleset",
      look: () => {
        const ruleset = enforcer.within(() => enforcer.ruleset.state());
        const settings = enforcer.host.changed();
        const found = [...(ruleset === "present" ? [] : [`the firewall's rules were ${ruleset}`]), ...settings];
        if (found.length === 0) return [];
        const outcome = putBack("the firewall", () => enforcer.putBack());
        return found.map((each) => `${each}: ${outcome}`);
      },
    },
    {
      name: "membership",
      look: () =>
        enforcer.machine?.cgroup.members().includes(process.pid) === false
          ? ["the agent was moved out of its cgroup"]
          : [],
    },
    { name: "root access", look: () => rootAccessChanges(order, putBack) },
    { name: "cgroup", look: () => strangers(enforcer.machine?.cgroup.members() ?? []) },
    { name: "own files", look: () => files.changes(false) },
    { name: "program", look: () => programChanges(placesIn(order.state)) },
  ];
}

/** Who else is in our cgroup, whose packets nobody looks at. Programs that we run at the moment are not strangers. */
function strangers(members: readonly number[]): string[] {
  return members
    .filter((pid) => pid !== process.pid && statOf(pid)?.parent !== process.pid && existsSync(`/proc/${pid}`))
    .map((pid) => `process ${pid} joined the agent's cgroup`);
}

function programChanges({ program, record }: Places): string[] {
  return [program, record].flatMap((folder) => {
    const { uid, mode } = statSync(folder);
    return uid === 0 && (mode & 0o022) === 0 ? [] : [`${folder} is no longer root's alone to write`];
  });
}

/** What {@link takeRootAccess} did and is undone. */
function rootAccessChanges(
  { root, user, worker }: AgentOrder,
  putBack: (what: string, restore: () => void) => string,
): string[] {
  // When the job is over there is nobody to keep from root: what an administrator gives back stays given back.
  if (worker !== null && !existsSync(`/proc/${worker}`)) return [];
  if (root === "kept") return [];
  const found: string[] = [];
  if (existsSync("/etc/sudoers")) {
    const text = existsSync(sudoersFile) ? readFileSync(sudoersFile, "utf8") : "";
    if (!text.includes(`${user.name} ALL=(ALL:ALL) !ALL`)) found.push(`${sudoersFile} was changed`);
  }
  if (root === "no-sudo-no-containers") {
    for (const socket of rootSockets) {
      if (!existsSync(socket)) continue;
      const { uid, mode } = statSync(socket);
      if (uid !== 0 || (mode & 0o077) !== 0) found.push(`${socket} was opened`);
    }
  }
  if (found.length === 0) return [];
  const outcome = putBack("root's access", () => void takeRootAccess(root, user));
  return found.map((each) => `${each}: ${outcome}`);
}
