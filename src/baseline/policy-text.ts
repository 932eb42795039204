/** The proposal as a policy file: sorted, the same bytes for the same content, and quoted so that it reads back as it was meant. */
import { formatCidr } from "../address/cidr.ts";
import { formatAddress } from "../address/ip.ts";
import type { Address } from "../address/ip.ts";
import type { Mode } from "../policy/decision.ts";
import type { Source } from "../policy/model.ts";
import { usualProtocol } from "../policy/question.ts";
import { yamlText } from "../policy/wording.ts";

/** What one source may reach. */
export interface Clause {
  /** Null: whoever is in no declared source. */
  source: string | null;
  /** Where it was seen; empty: everybody. */
  addresses: readonly Address[];
  entries: readonly { host: string; port: number; protocol: string; fold: string | null; ech: boolean }[];
}

export interface PolicyTextOptions {
  mode: Mode;
  sources: readonly Source[];
  /** There is no declared source at all: rules are for everybody. */
  isAlone: boolean;
  /** A first line that says where it comes from; null: none. */
  heading: string | null;
  /** Comment lines below it. */
  notes?: readonly string[];
}

/** The policy's YAML. */
export function policyText(clauses: readonly Clause[], options: PolicyTextOptions): string {
  const { mode, sources, isAlone, heading, notes = [] } = options;
  const lines = [...(heading === null ? [] : [`# ${heading}`]), ...notes, "version: 1"];
  const named = clauses.filter(({ source }) => source !== null);
  if (named.length > 0) {
    lines.push("", "sources:");
    for (const { source, addresses } of named) {
      const declared = sources.find(({ name }) => name === source);
      const subnets = declared?.subnets?.map(formatCidr) ?? sortedAddresses(addresses);
      lines.push(`  ${yamlText(source!)}: { subnets: [${subnets.map(yamlText).join(", ")}] }`);
    }
  }
  // A wider source's rule would leave a narrower one's nothing to decide, if it came first.
  const size = ({ source }: Clause) => sizeOf(sources.find(({ name }) => name === source)?.subnets ?? null);
  const ordered = clauses.toSorted((a, b) => size(a) - size(b));
  const rules = ordered.flatMap((clause, i) => ruleLines(clause, isAlone, i));
  if (rules.length > 0) lines.push("", "rules:", ...rules);
  lines.push("", "default:", `  mode: ${mode}`, "");
  return lines.join("\n");
}

/** Addresses held, each counted as often as it is written. */
function sizeOf(subnets: Source["subnets"]): number {
  return (subnets ?? []).reduce((sum, { address, length }) => sum + 2 ** (address.length * 8 - length), 0);
}

/** What an opaque rule takes in as well comes before it. */
const ruleOrder = ["ech ", "ech tls", "ech quic", "", "http", "ssh", "tls", "quic", "icmp", "tcp", "udp"];

/** A star has no front below it, so this is the only reason of its rule. */
const echReason = "accepted with Encrypted Client Hello, which can be meant for any tenant of the front";

function ruleLines({ source, addresses, entries }: Clause, isAlone: boolean, index: number): string[] {
  // What lets sealed hellos through stands alone and first: the choice is for the whole rule.
  const byRule = Map.groupBy(entries, ({ port, protocol, ech }) => {
    const written = usualProtocol(port) === protocol ? "" : protocol;
    return ech ? `ech ${written}` : written;
  });
  const who =
    source === null ? (isAlone ? null : "no declared source") : source.length > 150 ? `source ${index}` : source;
  return [...byRule]
    .toSorted(([a], [b]) => ruleOrder.indexOf(a) - ruleOrder.indexOf(b))
    .flatMap(([key, group]) => {
      const ech = key.startsWith("ech ");
      const protocol = ech ? key.slice("ech ".length) : key;
      const stars = group.some(({ fold }) => fold === "star");
      const name = [
        who === null ? "seen while monitoring" : `seen from ${who}`,
        ...(protocol === "" ? [] : [`(${protocol})`]),
        ...(ech ? ["(Encrypted Client Hello)"] : []),
      ].join(" ");
      return [
        `  - name: ${yamlText(name)}`,
        ...fromLines(source, addresses, isAlone),
        ...(protocol === "" ? [] : [`    protocol: ${protocol}`]),
        ...(ech ? ["    ech: allow", `    reason: ${echReason}`] : []),
        ...(stars ? ["    reason: names of one zone that change from run to run"] : []),
        "    to:",
        ...endpointsOf(group, protocol).map((text) => `      - ${yamlText(text)}`),
      ];
    });
}

function fromLines(source: string | null, addresses: readonly Address[], isAlone: boolean): string[] {
  if (source !== null) return [`    from: ${yamlText(source)}`];
  return isAlone ? [] : [`    from: [${sortedAddresses(addresses).map(yamlText).join(", ")}]`];
}

/** Each host once, with all its ports. A port goes without saying only where its protocol does. */
function endpointsOf(entries: Clause["entries"], protocol: string): string[] {
  const hosts = Map.groupBy(entries, ({ host }) => host);
  return [...hosts].map(([host, group]) => {
    const ports = protocol === "icmp" ? [] : group.map(({ port }) => port);
    return hostText(host, ports, protocol === "");
  });
}

/** `host:80,443`, `203.0.113.7/32:5432`, `[2001:db8::7/128]:443`; `host` alone where `isPlain` and 443 is the only port. */
export function hostText(host: string, ports: readonly number[], isPlain: boolean): string {
  const sorted = [...new Set(ports)].toSorted((a, b) => a - b).join(",");
  const isV6 = host.includes(":");
  if (sorted === "" || (sorted === "443" && isPlain && !isV6)) return host;
  return `${isV6 ? `[${host}]` : host}:${sorted}`;
}

function sortedAddresses(addresses: readonly Address[]): string[] {
  return addresses.toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1)).map(formatAddress);
}
