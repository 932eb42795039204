/** What the lab needs on the host, checked before anything is made so that the failure says what to install. */
import { accessSync, constants } from "node:fs";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { SallyportError } from "../../src/errors.ts";

/** Tool to the Debian/Ubuntu package that has it; `packages.txt` lists the same packages. */
const packages = {
  ip: "iproute2",
  iptables: "iptables",
  nft: "nftables",
  conntrack: "conntrack",
  tcpdump: "tcpdump",
  tshark: "tshark",
  crun: "crun",
  dockerd: "docker.io",
  curl: "curl",
  openssl: "openssl",
  dig: "bind9-dnsutils",
  git: "git",
  socat: "socat",
  ncat: "ncat",
  ping: "iputils-ping",
  mount: "mount",
  "mkfs.ext4": "e2fsprogs",
  nsenter: "util-linux",
  setpriv: "util-linux",
  sudo: "sudo",
  gtlsclient: "ngtcp2-client",
  gtlsserver: "ngtcp2-server",
} as const;

export type Tool = keyof typeof packages;

/** What `Lab.create` itself runs. */
export const labTools: readonly Tool[] = ["ip", "tcpdump", "openssl", "mount", "setpriv"];

/** True when the tool is on the PATH. */
export function hasTool(tool: string): boolean {
  return (process.env["PATH"] ?? "").split(":").some((directory) => {
    try {
      accessSync(join(directory, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Throws NOT_ROOT or MISSING_TOOL, the latter with the `apt-get` line that installs everything missing. */
export function requireTools(tools: readonly Tool[] = labTools): void {
  if (process.getuid?.() !== 0)
    throw new SallyportError("NOT_ROOT", "The lab makes network namespaces: it needs root.");
  const missing = tools.filter((tool) => !hasTool(tool));
  if (missing.length === 0) return;
  const wanted = [...new Set(missing.map((tool) => packages[tool]))].join(" ");
  throw new SallyportError("MISSING_TOOL", `The lab needs ${missing.join(", ")}: apt-get install ${wanted}`, {
    missing,
  });
}

/** Runs a command of the lab itself to its end; rejects with its standard error when it fails. */
export function runTool(command: string, args: string[], input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${command} ${args.join(" ")}: ${stderr.trim() || error.message}`));
    });
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}
