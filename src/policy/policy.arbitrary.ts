/** Random policies and flows for property tests, from pools so small that rules and flows meet all the time. */
import fc from "fast-check";
import { isCidrDefect, parseCidr } from "../address/cidr.ts";
import type { Cidr } from "../address/cidr.ts";
import { parseAddress } from "../address/ip.ts";
import type { Address } from "../address/ip.ts";
import type { Application, ConnectFacts, NameFacts, Protocol, Transport } from "./decision.ts";
import { isEndpointDefect, parseEndpoint } from "./endpoint.ts";
import type { Endpoint, Policy, Rule, Source } from "./model.ts";
import { showsName } from "./protocol.ts";

export const names = [
  "a.example",
  "b.example",
  "x.a.example",
  "xy.a.example",
  "c.x.a.example",
  "sa1.blob.example",
  "sa7.blob.example",
  "sa12.blob.example",
  "1.n.example",
  "2.n.example",
  "example",
  "other.test",
  "cdn.cloudfront.net",
];

const endpoints: readonly Endpoint[] = [
  ...["a.example", "b.example", "x.a.example", "1.n.example", "sa7.blob.example", "other.test", "example"],
  ...["cdn.cloudfront.net", "*.cloudfront.net"],
  ...["*.a.example", "*.example", "**.example", "**.a.example", "**", "x*.a.example", "*y.a.example", "*.x.a.example"],
  ...["sa{0-9}.blob.example", "sa{1,10-20}.blob.example", "sa*.blob.example", "{1-2}.n.example", "*.{0-9}.example"],
  ...["203.0.113.0/24", "203.0.113.5", "198.51.100.0/24", "10.0.0.0/8", "0.0.0.0/0", "169.254.169.254"],
  ...["2001:db8::/32", "::/0", "2001:db8::1/128", "::ffff:0:0/96"].map((text) => `[${text}]`),
].map((text) => {
  const parsed = parseEndpoint(text);
  if (isEndpointDefect(parsed)) throw new TypeError(parsed.message);
  return parsed.endpoint;
});

const ordinary = addresses("203.0.113.5", "203.0.113.9", "198.51.100.1", "192.0.2.77", "2001:db8::1", "2001:db8::2");
const special = addresses("10.0.0.1", "169.254.169.254", "127.0.0.1", "::ffff:10.0.0.1", "fd00:ec2::254");
const destination = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...ordinary) },
  { weight: 1, arbitrary: fc.constantFrom(...special) },
);

const sourceAddresses = addresses("10.20.1.1", "10.20.1.2", "10.20.2.1", "192.0.2.9", "2001:db8:1::1", "172.16.0.1");

const ports = [443, 80, 22, 8443, 53];
const protocols: readonly Protocol[] = ["tls", "http", "ssh", "tcp", "udp", "quic", "icmp"];

function addresses(...texts: string[]): Address[] {
  return texts.map((text) => parseAddress(text)!);
}

function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (isCidrDefect(parsed)) throw new TypeError(parsed.message);
  return parsed;
}

function source(name: string, declared: boolean, ...subnets: string[]): Source {
  return { name, declared, subnets: subnets.map(cidr), line: 1, column: 1 };
}

const declared = [
  source("one", true, "10.20.1.0/24"),
  source("wide", true, "10.20.0.0/16", "2001:db8:1::/48"),
  source("mixed", true, "192.0.2.0/24", "10.20.1.1"),
];
const inline = [source("10.20.1.2", false, "10.20.1.2"), source("0.0.0.0/0", false, "0.0.0.0/0")];

/** The time at which the policies of {@link policies} are evaluated. */
export const now = Date.UTC(2030, 0, 1);
const times = fc.option(fc.constantFrom(now - 1, now, now + 1), { nil: null, freq: 3 });

const service = fc
  .record({
    port: fc.option(fc.constantFrom(443, 443, ...ports), { nil: null, freq: 3 }),
    protocol: fc.constantFrom("tls", "tcp", ...protocols),
  })
  .map(({ port, protocol }) => ({ port: protocol === "icmp" ? null : port, protocol }));

const rules = fc
  .array(
    fc.record({
      tier: fc.constant(2 as const),
      action: fc.constantFrom("allow" as const, "allow" as const, "deny" as const),
      mode: fc.constantFrom("enforce" as const, "enforce" as const, "monitor" as const),
      monitorUntil: times,
      expires: fc.option(fc.constantFrom(now - 1, now, now + 1), { nil: null, freq: 1 }),
      ech: fc.constantFrom(null, null, "allow" as const, "deny" as const, "deny" as const),
      from: fc.option(fc.uniqueArray(fc.constantFrom(...declared, ...inline), { minLength: 1, maxLength: 2 }), {
        nil: null,
        freq: 2,
      }),
      targets: fc.array(
        fc.record({
          endpoint: fc.constantFrom(...endpoints),
          services: fc.array(service, { minLength: 1, maxLength: 2 }),
        }),
        { minLength: 1, maxLength: 2 },
      ),
    }),
    { maxLength: 9 },
  )
  .map((list): Rule[] =>
    list.map((rule, i) => ({
      ...rule,
      expires: rule.expires === null || i % 3 > 0 ? null : rule.expires,
      name: `rule ${i}`,
      uploadLimit: null,
      reason: null,
      owner: null,
      line: i + 1,
      column: 1,
    })),
  );

/** Policies of up to nine rules. */
export const policies: fc.Arbitrary<Policy> = fc.record({
  hash: fc.constant("0".repeat(64)),
  file: fc.constant("random.yaml"),
  sources: fc.constant(declared),
  rules,
  default: fc.record({
    mode: fc.constantFrom("monitor" as const, "enforce" as const),
    enforceFor: fc.subarray(declared),
  }),
});

/** What is known at a flow's first packet. */
export const connects: fc.Arbitrary<ConnectFacts> = fc.record({
  source: fc.constantFrom(...sourceAddresses),
  destination,
  local: fc.nat({ max: 9 }).map((n) => n === 9),
  transport: fc.constantFrom<Transport>("tcp", "tcp", "tcp", "tcp", "tcp", "udp", "udp", "udp", "icmp", "other"),
  port: fc.constantFrom(443, 443, 443, ...ports, 9999),
  names: fc.uniqueArray(fc.constantFrom(...names), { maxLength: 3 }),
});

/** What is known once the first bytes are read; a name only where the application shows one. */
export const flows: fc.Arbitrary<NameFacts> = fc
  .record({
    facts: connects,
    application: fc.constantFrom<Application>("tls", "tls", "http", "ssh", "quic", "quic", "other"),
    pick: fc.nat({ max: 40 }),
    sealed: fc.boolean(),
  })
  .map(({ facts, application, pick, sealed }) => {
    const shown = pick < 10 ? (facts.names[pick % 3] ?? null) : pick < 13 ? null : names[pick % names.length]!;
    const ech = sealed && (application === "tls" || application === "quic");
    return { ...facts, application, name: showsName(application) ? shown : null, ech };
  });

/** Sources and names for DNS questions, and pairs for `cidrAllows`. */
export const sources = fc.constantFrom(...sourceAddresses);
export const targets = destination;
export const dnsNames = fc.constantFrom(...names, "nobody.asked", "deep.c.x.a.example");
