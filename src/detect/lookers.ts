/** Who looks at another process, and whether that means anything. Pure. */

/** What is known of who looked. */
export interface Bystander {
  /** Null: not a program of the machine's own. */
  exe: string | null;
  /** Of a step or a container. */
  isOfJob: boolean;
}

const memory = new Set(["mem", "process_vm_readv", "process_vm_writev", "ptrace"]);
/** They read the environment or the maps of every process that there is, each time. */
const listers = /^\/(?:usr\/)?s?bin\/(?:ps|top|htop|pgrep|pkill|pidof|pidwait|w|lsof|fuser|pmap|needrestart|procps)$/;

/** `memory` shows secrets, whoever does it. `environment` tells of them, and is read by harmless programs as well. */
export function lookKind(way: string): "memory" | "environment" {
  return memory.has(way) ? "memory" : "environment";
}

/** Whether to read about processes is what this program is for; and who is not of the job does it for the machine. */
export function isLister({ exe, isOfJob }: Bystander): boolean {
  return !isOfJob || (exe !== null && listers.test(exe));
}
