/**
 * The names and addresses that every lab's internet has; `test/lab/README.md` shows them as a table. Tests refer to
 * names through here or spell them out; a test that needs another name adds it at run time.
 */
import { reverseName } from "./reverse-name.ts";
import type { Zone, ZoneEntry } from "./zone.ts";

/** Resolvers: the one the gateway and the runners are given, and a public one that a job may try to reach by itself. */
export const resolverAddresses = {
  provider: ["203.0.113.53", "2001:db8:200::53"],
  public: ["203.0.113.54", "2001:db8:200::54"],
} as const;

/** An address that only the attacker has, and one shared by several customers of a CDN. */
export const attackerAddress = { v4: "203.0.113.66", v6: "2001:db8:200::66" } as const;
export const sharedAddress = { v4: "203.0.113.10", v6: "2001:db8:200::10" } as const;

/** Nothing answers here and nothing refuses: packets vanish. */
export const silentAddress = { v4: "203.0.113.250", v6: "2001:db8:200::250" } as const;

function host(v4: string[], v6: string[], ttl = 60): ZoneEntry {
  return {
    records: [
      ...v4.map((data) => ({ type: "A" as const, data, ttl })),
      ...v6.map((data) => ({ type: "AAAA" as const, data, ttl })),
    ],
  };
}

/** A host at 203.0.113.n and 2001:db8:200::n. */
function numbered(n: number): ZoneEntry {
  return host([`203.0.113.${n}`], [`2001:db8:200::${n}`]);
}

/**
 * An ECHConfigList (RFC 9849) with one X25519 key for the public name `cover.example`. The key is a constant nobody
 * holds the other half of: the record is there to be stripped, not to be used.
 */
export const echConfigList = Buffer.concat([
  Buffer.from("0040fe0d003c0100200020", "hex"),
  Buffer.from("5a".repeat(32), "hex"),
  Buffer.from("000400010001000d", "hex"),
  Buffer.from("cover.example", "latin1"),
  Buffer.from("0000", "hex"),
]);

const longText = Array.from({ length: 20 }, (_, i) => `${String(i).padStart(2, "0")}:${"lab".repeat(80)}`);

const hosts: Zone = {
  "allowed.example": numbered(10),
  "shared.example": numbered(10),
  "evil.example": {
    records: [
      { type: "A", data: attackerAddress.v4 },
      { type: "AAAA", data: attackerAddress.v6 },
      { type: "TXT", data: ["v=evil"] },
    ],
  },
  "only.example": numbered(11),
  "cdn.example": { records: [{ type: "CNAME", data: "www.cdn.example" }] },
  "www.cdn.example": { records: [{ type: "CNAME", data: "edge.cdn.example" }] },
  "edge.cdn.example": numbered(20),
  "loop.example": { records: [{ type: "CNAME", data: "loop2.example" }] },
  "loop2.example": { records: [{ type: "CNAME", data: "loop.example" }] },
  "rotating.example": {
    ...host(
      ["203.0.113.40", "203.0.113.41", "203.0.113.42"],
      ["2001:db8:200::40", "2001:db8:200::41", "2001:db8:200::42"],
      5,
    ),
    rotate: "one",
  },
  "private.example": host(["10.0.0.5"], ["fd00::5"]),
  "metadata.example": host(["169.254.169.254"], ["fd00:ec2::254"]),
  "loopback.example": host(["127.0.0.1"], ["::1"]),
  "mapped.example": { records: [{ type: "AAAA", data: "::ffff:10.0.0.5" }] },
  "v4only.example": host(["203.0.113.44"], []),
  "v6only.example": host([], ["2001:db8:200::46"]),
  "neighbour.example": host(["198.51.100.130"], ["2001:db8:100::130"]),
  "big.example": { records: [{ type: "TXT", data: longText }, ...numbered(43).records] },
  "https.example": {
    records: [
      ...numbered(30).records,
      {
        type: "HTTPS",
        ttl: 60,
        data: {
          priority: 1,
          target: ".",
          alpn: ["h2", "http/1.1"],
          ipv4hint: ["203.0.113.30"],
          ech: echConfigList.toString("base64"),
          ipv6hint: ["2001:db8:200::30"],
        },
      },
    ],
  },
  "proxy.example": numbered(31),
  "silent.example": host([silentAddress.v4], [silentAddress.v6]),
  "ssh.example": numbered(22),
  "plain.example": numbered(80),
  "tcp.example": numbered(90),
  "udp.example": numbered(91),
  "quic.example": numbered(92),
  "registry.npm.example": numbered(50),
  "git.example": numbered(51),
  "pypi.example": numbered(52),
  "v4.pypi.example": host(["203.0.113.52"], []),
  "v6.pypi.example": host([], ["2001:db8:200::52"]),
  "apt.example": numbered(55),
  "git-ssh.example": numbered(56),
  "resolver.example": host(["203.0.113.54"], ["2001:db8:200::54"]),
  "mail.example": {
    records: [
      ...numbered(25).records,
      { type: "MX", data: { preference: 10, exchange: "mail.example" } },
      { type: "TXT", data: ["v=spf1 -all"] },
    ],
  },
  "_https._tcp.srv.example": {
    records: [{ type: "SRV", data: { priority: 0, weight: 5, port: 443, target: "allowed.example" } }],
  },
  "*.wild.example": numbered(60),
  "slow-dns.example": { ...numbered(61), delayMs: 500 },
  "lossy-dns.example": { ...numbered(62), drop: 1 },
  "dead-dns.example": { records: [], drop: true },
  "servfail.example": { records: [], rcode: "SERVFAIL" },
  "truncated.example": { ...numbered(63), truncate: true },
};

/** The default zone: the hosts above, and PTR records for those that are alone on their address. */
export function defaultZone(): Zone {
  const zone: Zone = structuredClone(hosts);
  for (const [name, entry] of Object.entries(hosts)) {
    if (name.startsWith("*")) continue;
    for (const record of entry.records) {
      if (record.type !== "A" && record.type !== "AAAA") continue;
      zone[reverseName(record.data)] ??= { records: [{ type: "PTR", data: name }] };
    }
  }
  return zone;
}
