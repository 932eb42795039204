/** What the machine that a probe runs on says about itself. */
import { getServers } from "node:dns";
import { networkInterfaces } from "node:os";

/** The first resolver of the machine; IPv4 where there is one. */
export function systemResolver(): string | null {
  const servers = getServers().map((each) => each.replace(/^\[(.*)\](:\d+)?$/, "$1"));
  return servers.find((each) => !each.includes(":")) ?? servers[0] ?? null;
}

/** Whether the machine has an IPv6 address that leads anywhere. */
export function hasGlobalV6(): boolean {
  return Object.values(networkInterfaces()).some((all) =>
    all?.some((each) => each.family === "IPv6" && !each.internal && !each.address.startsWith("fe80:")),
  );
}
