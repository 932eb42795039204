/** The contenders of DNS: each a filtering forwarder at the gateway that questions of the inside are turned to. */
import type { Peer } from "../peer.ts";
import { configure, listening, masquerade } from "../peer.ts";
import { startGateway } from "../sallyport.ts";
import { run, type Stand } from "../../stand/stand.ts";

/** Where the answers come from: the same for everybody (`load/names-server.ts`). */
export const upstream = "203.0.113.57";

/** Zones on everybody's list: of names with a long TTL, and of names whose TTL is 0, which no cache may keep. */
export const hitZone = "hit.example";
export const missZones = Array.from({ length: 40 }, (_, i) => `miss${i}.example`);
const zones = [hitZone, ...missZones];

export type DnsPeer = Pick<Peer, "name" | "needs" | "forwards" | "slow"> & {
  start(stand: Stand): Promise<void>;
  /** Why it cannot answer this kind of question; null where it can. */
  cannot(kind: "hit" | "miss" | "denied"): string | null;
};

/** A server of Debian's, with this configuration. */
function server(
  name: string,
  needs: { tool: string; packages: string[] },
  file: string,
  listed: (zone: string) => string,
  args: (file: string) => string[],
): DnsPeer {
  return {
    name,
    needs,
    forwards: true,
    slow: name !== "unbound",
    cannot: () => null,
    async start(stand) {
      const path = configure(stand, `dns/${file}`, { ALLOWED: zones.map(listed).join("\n"), UPSTREAM: upstream });
      const program = stand.lab.gateway.spawn(needs.tool, args(path));
      await listening(stand, program, 53);
      const match = ["-i", stand.lab.gateway.inside[0]!, "-p", "udp", "--dport", "53"];
      await run(stand.lab.gateway, "iptables", ["-t", "nat", "-A", "PREROUTING", ...match, "-j", "REDIRECT"]);
      await masquerade(stand);
    },
  };
}

export const dnsPeers: readonly DnsPeer[] = [
  {
    name: "forwarding",
    needs: null,
    forwards: true,
    start: masquerade,
    cannot: (kind) => (kind === "miss" ? null : "it has neither a cache nor a list; see misses"),
  },
  {
    name: "sallyport",
    needs: null,
    forwards: false,
    start: (stand) => {
      const to = zones.map((zone) => `"*.${zone}"`).join(", ");
      const policy = `version: 1\nrules:\n  - { name: bench, to: [${to}] }\ndefault: { mode: enforce }\n`;
      return startGateway(stand, policy, upstream);
    },
    cannot: () => null,
  },
  server(
    "unbound",
    { tool: "unbound", packages: ["unbound"] },
    "unbound.conf",
    (zone) => `    local-zone: "${zone}." transparent`,
    (file) => ["-d", "-p", "-c", file],
  ),
  server(
    "dnsmasq",
    { tool: "dnsmasq", packages: ["dnsmasq-base"] },
    "dnsmasq.conf",
    (zone) => `server=/${zone}/${upstream}`,
    (file) => ["--keep-in-foreground", "-C", file],
  ),
  server(
    "dnsdist",
    { tool: "dnsdist", packages: ["dnsdist"] },
    "dnsdist.conf",
    (zone) => `allowed:add(newDNSName('${zone}.'))`,
    (file) => ["--supervised", "--disable-syslog", "-C", file],
  ),
];
