/** What the machine that a probe runs on says about itself. */
import { getServers } from "node:dns";

/** The first resolver of the machine; IPv4 where there is one. */
export function systemResolver(): string | null {
  const servers = getServers().map((each) => each.replace(/^\[(.*)\](:\d+)?$/, "$1"));
  return servers.find((each) => !each.includes(":")) ?? servers[0] ?? null;
}
