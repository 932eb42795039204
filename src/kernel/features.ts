/**
 * Whether this process, this system and this kernel can enforce: asked before anything is set up, so that a "no" comes with
 * its reason and nothing was touched. The ruleset itself is proved by applying it; what can be asked beforehand is here.
 */
import { readFileSync } from "node:fs";
import { SallyportError } from "../errors.ts";
import { attempt } from "./commands.ts";

/** Bit numbers of capability.h. */
const needed = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_SYS_ADMIN: 21 } as const;

const tools = [
  ["iptables-restore", ["--version"]],
  ["ip6tables-restore", ["--version"]],
  ["ip", ["-V"]],
] as const;

/** Throws NOT_ROOT, MISSING_CAPABILITY, MISSING_TOOL or KERNEL_FEATURE. */
export function checkHost(): void {
  if (process.getuid?.() !== 0) throw new SallyportError("NOT_ROOT", "Setting up enforcement needs root.");
  checkCapabilities(readFileSync("/proc/self/status", "utf8"));
  for (const [tool, args] of tools) {
    const finished = attempt(tool, args);
    if (finished.status !== 0) throw new SallyportError("MISSING_TOOL", `${tool} does not run: ${finished.stderr.trim()}`, { tool });
    if (tool !== "ip" && !finished.stdout.includes("nf_tables")) {
      throw new SallyportError(
        "MISSING_TOOL",
        `${tool} uses the legacy back end; select the nf_tables one (update-alternatives --set iptables /usr/sbin/iptables-nft).`,
        { tool },
      );
    }
  }
}

/** Reads the effective set from /proc/PID/status text. Throws MISSING_CAPABILITY naming what is absent. */
export function checkCapabilities(status: string): void {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
  const absent = Object.entries(needed).filter(([, bit]) => (effective & (1n << BigInt(bit))) === 0n);
  if (absent.length === 0) return;
  const names = absent.map(([name]) => name);
  throw new SallyportError("MISSING_CAPABILITY", `This process lacks ${names.join(", ")}.`, { names });
}
