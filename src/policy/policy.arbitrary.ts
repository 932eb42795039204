/** Random policies and flows for property tests, from pools so small that rules and flows meet all the time. */
import fc from "fast-check";
import { isCidrDefect, parseCidr } from "../address/cidr.ts";
import type { Cidr } from "../address/cidr.ts";
import { parseAddress } from "../address/ip.ts";
import type { Address } from "../address/ip.ts";
import type { Application, ConnectFacts, NameFacts, ProcessFacts, Protocol, Transport } from "./decision.ts";
import { isEndpointDefect, parseEndpoint } from "./endpoint.ts";
import type { Endpoint, Policy, Rule, Source } from "./model.ts";
import { parseExe } from "./process.ts";
import type { ExePattern, ProcessTerm } from "./process.ts";
import { showsName } from "./protocol.ts";
import { runnerSource } from "./source.ts";

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
  return { name, declared, subnets: subnets.map(cidr), process: null, line: 1, column: 1 };
}

/** Without subnets: at every address. */
function processes(
  name: string,
  declared: boolean,
  term: { steps?: string[]; actions?: string[]; exes?: string[] },
  ...subnets: string[]
): Source {
  const { steps = null, actions = null } = term;
  const process: ProcessTerm = { steps, actions, exes: term.exes?.map(exe) ?? null, runner: false };
  return { ...source(name, declared, ...subnets), ...(subnets.length === 0 ? { subnets: null } : {}), process };
}

function exe(text: string): ExePattern {
  const parsed = parseExe(text);
  if ("message" in parsed) throw new TypeError(parsed.message);
  return parsed;
}

const declared = [
  source("one", true, "10.20.1.0/24"),
  source("wide", true, "10.20.0.0/16", "2001:db8:1::/48"),
  source("mixed", true, "192.0.2.0/24", "10.20.1.1"),
];
const asking = [
  processes("build", true, { steps: ["build"] }),
  processes("fetch", true, { exes: ["/usr/bin/c*"] }, "10.20.1.0/24", "2001:db8:1::/48"),
];
const inline = [
  source("10.20.1.2", false, "10.20.1.2"),
  source("0.0.0.0/0", false, "0.0.0.0/0"),
  processes("inline 1", false, { steps: ["build", "test"], exes: ["/usr/**"] }),
  processes("inline 2", false, { actions: ["acme/deploy"] }),
  processes("inline 3", false, { exes: ["/usr/bin/curl", "/opt/a/**"] }),
];

/** What is known of processes: nothing, all, or some of it. */
export const owners: fc.Arbitrary<ProcessFacts | null> = fc.option(
  fc.record({
    step: fc.constantFrom(null, "build", "test", "lint"),
    action: fc.constantFrom(null, "acme/deploy", "Acme/Deploy", "acme/other"),
    exe: fc.constantFrom(
      null,
      "/usr/bin/curl",
      "/usr/bin/cat",
      "/usr/bin/node",
      "/usr/bin/c/d",
      "/opt/a/b/c",
      "/opt/a",
    ),
    runner: fc.nat({ max: 3 }).map((n) => n === 3),
  }),
  { nil: null, freq: 4 },
);

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
      from: fc.option(
        fc.uniqueArray(fc.constantFrom(...declared, ...asking, ...inline), { minLength: 1, maxLength: 2 }),
        { nil: null, freq: 2 },
      ),
      isRunner: fc.nat({ max: 15 }).map((n) => n === 15),
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
    list.map(({ isRunner, ...rule }, i) => ({
      ...rule,
      from: isRunner && rule.action === "allow" ? [runnerSource] : rule.from,
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
  sources: fc.constant([...declared, ...asking]),
  rules,
  default: fc.record({
    mode: fc.constantFrom("monitor" as const, "enforce" as const),
    enforceFor: fc.subarray(declared),
  }),
});

/** What is known at a flow's first packet. */
export const connects: fc.Arbitrary<ConnectFacts> = fc.record({
  source: fc.constantFrom(...sourceAddresses),
  process: owners,
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
