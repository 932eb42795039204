/**
 * Whether this process, this system and this kernel can enforce: asked before anything is set up, so that a "no" comes with
 * its reason and nothing was touched. `checkHost` asks what is cheap to ask, at every start; `checkKernel` tries everything
 * in a namespace of its own, for a diagnosis. Called by the gateway, by runs and by the command line.
 */
import { readFileSync } from "node:fs";
import { SallyportError } from "../errors.ts";
import { attempt, executable } from "./commands.ts";
import { Conntrack } from "./conntrack.ts";
import { addNamespace, deleteNamespace, inNamespace, namespacePrefix } from "./namespace.ts";
import { QueueSocket } from "./nfqueue.ts";
import { RawSender } from "./raw.ts";
import { Ruleset } from "./ruleset.ts";

/** Bit numbers of capability.h. */
const needed = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_SYS_ADMIN: 21 } as const;

/** What runs each, where its name says enough: other programs are asked what they are. */
const tools = [
  ["iptables-restore", ["--version"], /\/xtables-nft-multi$/],
  ["ip6tables-restore", ["--version"], /\/xtables-nft-multi$/],
  ["ip", ["-V"], /\/ip$/],
] as const;

/** Throws NOT_ROOT, MISSING_CAPABILITY, MISSING_TOOL or KERNEL_FEATURE. */
export function checkHost(): void {
  if (process.getuid?.() !== 0) throw new SallyportError("NOT_ROOT", "Setting up enforcement needs root.");
  checkCapabilities(readFileSync("/proc/self/status", "utf8"));
  for (const [tool, args, program] of tools) {
    if (program.test(executable(tool) ?? "")) continue;
    const finished = attempt(tool, args);
    if (finished.status !== 0)
      throw new SallyportError("MISSING_TOOL", `${tool} does not run: ${finished.stderr.trim()}`, { tool });
    if (tool !== "ip" && !finished.stdout.includes("nf_tables")) {
      throw new SallyportError(
        "MISSING_TOOL",
        `${tool} uses the legacy back end; select the nf_tables one (update-alternatives --set iptables /usr/sbin/iptables-nft).`,
        { tool },
      );
    }
  }
}

/**
 * Tries what the data path needs of the kernel in a namespace made for it: the whole ruleset, an NFQUEUE, the conntrack
 * table and raw sockets. Takes some 200 ms and leaves nothing. Throws KERNEL_FEATURE saying what is missing.
 */
export function checkKernel(): void {
  const name = `${namespacePrefix}check-${process.pid}`;
  addNamespace(name);
  try {
    inNamespace(name, () => {
      new Ruleset({
        inside: ["in0"],
        outside: null,
        queueBase: 0,
        queueCount: 2,
        dnsPort: 53,
        masquerade: true,
      }).apply();
      for (const open of [() => QueueSocket.open(0), () => new Conntrack(), () => new RawSender()]) open().close();
    });
  } catch (error) {
    if (error instanceof SallyportError && error.code === "MISSING_TOOL") throw error;
    const text = `This kernel cannot enforce: ${(error as Error).message}`;
    throw new SallyportError("KERNEL_FEATURE", text, {}, error);
  } finally {
    deleteNamespace(name);
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
