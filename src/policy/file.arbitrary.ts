/** Random policy files as text: right ones, and such with values, keys and YAML that the loader must refuse. For fuzzing. */
import fc from "fast-check";
import { stringify } from "yaml";

const from = <T>(...values: T[]) => fc.constantFrom(...values);

/** A value that is mostly right, now and then of another kind. */
const mostly = (right: fc.Arbitrary<unknown>) =>
  fc.oneof(
    { weight: 24, arbitrary: right },
    from<unknown>(null, 0, -1, "", [], {}, true, "x", [null], "1e400", "\u0007", { a: { b: [{}] } }),
  );

export const endpointTexts = fc.oneof(
  {
    weight: 6,
    arbitrary: from(
      "pypi.org",
      "a.example:443",
      "*.example.com",
      "**.example.com:443",
      "sa{0-49}.blob.example",
      "a.example:8443,443",
    ),
  },
  {
    weight: 3,
    arbitrary: from(
      "203.0.113.0/24",
      "203.0.113.7:8443",
      "[2001:db8::/32]:443",
      "2001:db8::/32",
      "a.example:*",
      "bücher.example",
    ),
  },
  from(
    "2001:db8::7",
    "https://a.example/",
    "a.example:0",
    "a.example:99999",
    "*.com.*",
    "",
    "[",
    "[::1",
    "10.0.0.1/8",
    "a..b",
    "**",
    "::/0",
    "0.0.0.0/0",
  ),
  fc.string({ maxLength: 10 }),
);

const ruleNames = from("one", "two", "three", "four", "ünï", "a b");
const groups = from("builders", "packages", "nobody", "10.0.0.0/8", "10.20.1.7");
const dates = from(
  "2027-01-31",
  "2027-01-31T12:00:00Z",
  "2020-01-01",
  "2027-02-31",
  "31.1.2027",
  "2027-01-31T25:00:00Z",
);
const ports = fc.array(from<unknown>(443, 80, 22, 8443, "*", 0, 65536), { minLength: 1, maxLength: 3 });

const listed = (...texts: string[]) =>
  fc.oneof(from(...texts), fc.array(from(...texts), { minLength: 1, maxLength: 3 }));

const processes = fc.record(
  {
    step: mostly(listed("build", "__run_2", "build", "a*", " b", "ünï")),
    action: mostly(listed("actions/checkout", "acme/app", "actions/checkout@v4", "./local", "a/b/c", "x")),
    exe: mostly(listed("/usr/bin/curl", "/opt/**", "/usr/bin/py*", "curl", "/", "/**", "/a/../b", "/a*b", "/usr/")),
  },
  { requiredKeys: [] },
);

const rule = fc
  .record(
    {
      name: mostly(ruleNames),
      to: mostly(fc.oneof(endpointTexts, fc.array(fc.oneof(endpointTexts, groups), { minLength: 1, maxLength: 4 }))),
      from: mostly(
        fc.oneof(
          { weight: 4, arbitrary: groups },
          fc.array(fc.oneof(groups, fc.record({ process: mostly(processes) })), { minLength: 1, maxLength: 2 }),
          fc.record({ process: mostly(processes) }),
        ),
      ),
      ports: mostly(ports),
      protocol: mostly(from("tls", "http", "ssh", "tcp", "udp", "quic", "icmp", "smtp")),
      action: mostly(from("allow", "deny")),
      mode: mostly(from("enforce", "monitor")),
      monitor_until: mostly(dates),
      reason: mostly(from("why", "a: b # c")),
      expires: mostly(dates),
    },
    { requiredKeys: ["name", "to"] },
  )
  .chain((each) =>
    fc
      .option(from("nmae", "http", "upload_limit", "to "), { freq: 8 })
      .map((key) => (key === null ? each : { ...each, [key]: 1 })),
  );

const source = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      subnets: mostly(
        fc.array(from("10.20.1.0/24", "10.20.1.7", "2001:db8::/48", "10.0.0.1/8", "x"), { minLength: 1, maxLength: 2 }),
      ),
    }),
  },
  fc.record({ process: mostly(processes) }),
  fc.record({ process: mostly(processes), subnets: mostly(from(["10.20.1.0/24"], ["x"])) }),
  from<unknown>({ tags: { a: "b" } }, { subnet: ["10.0.0.0/8"] }, {}),
);

const destination = fc.oneof(
  fc.array(endpointTexts, { minLength: 1, maxLength: 3 }),
  fc.record({ hosts: fc.array(endpointTexts, { minLength: 1, maxLength: 2 }), ports }),
  fc.record({ cidrs: fc.array(endpointTexts, { minLength: 1, maxLength: 2 }) }),
  from<unknown>({ preset: "github-actions@1" }, { preset: "github-actions" }, { preset: "none" }, [], "pypi.org"),
);

const document = fc.record(
  {
    version: fc.oneof({ weight: 30, arbitrary: from<unknown>(1) }, from<unknown>(2, "1", null)),
    sources: mostly(fc.dictionary(groups, source, { maxKeys: 2 })),
    destinations: mostly(fc.dictionary(groups, destination, { maxKeys: 2 })),
    permits: mostly(fc.array(rule, { maxLength: 2 })),
    rules: mostly(fc.array(rule, { maxLength: 4 })),
    default: mostly(
      fc.record(
        { mode: from("monitor", "enforce", "open"), enforce_for: fc.array(groups, { maxLength: 2 }) },
        { requiredKeys: [] },
      ),
    ),
  },
  { requiredKeys: ["version"] },
);

/** YAML that says the same in another way, or must not be there. */
const spelling = fc.oneof(
  { weight: 6, arbitrary: fc.constant((text: string) => text) },
  from(
    (text: string) => text.replaceAll("\n", "\r\n"),
    (text: string) => text.replace("rules:", "rules: &all"),
    (text: string) => text.replace("name:", "name: !!str"),
    (text: string) => text.replace("rules:", "<<: *all\nrules:"),
    (text: string) => `--- \n${text}\n---\n${text}`,
    (text: string) => `%YAML 1.1\n---\n${text}`,
    (text: string) => text + text,
    (text: string) => text.replace("  ", "\t"),
    (text: string) => text.replace(/to: (\S+)/, "to: *$1"),
    (text: string) => `__proto__: { version: 1 }\n${text}`,
    (text: string) => `? [a, b]\n: c\n${text}`,
    (text: string) => `\ufeff${text}`,
  ),
);

/** Policy files. */
export const policyTexts: fc.Arbitrary<string> = fc
  .tuple(document, spelling, fc.boolean())
  .map(([value, spell, flow]) => spell(stringify(value, flow ? { collectionStyle: "flow" } : {})));

/** Files of cases beside a policy. */
export const caseTexts: fc.Arbitrary<string> = fc
  .tuple(
    fc.array(
      fc.record(
        {
          source: mostly(fc.oneof(groups, from("any", "192.0.2.1", "2001:db8::1"))),
          endpoint: mostly(
            fc.oneof(
              endpointTexts,
              from("a.example/203.0.113.5:443", "203.0.113.5", "[2001:db8::1]:443", "a.example/x", "203.0.113.0/24"),
            ),
          ),
          protocol: mostly(from("tls", "http", "ssh", "tcp", "udp", "quic", "icmp")),
          step: mostly(from("build", "b*")),
          exe: mostly(from("/usr/bin/curl", "/usr/**", "curl")),
          expect: mostly(from("allow", "deny", "would_deny")),
          rule: mostly(ruleNames),
          reason: mostly(from("default", "no_name", "nonsense")),
        },
        { requiredKeys: ["endpoint", "expect"] },
      ),
      { maxLength: 4 },
    ),
    spelling,
    fc.boolean(),
  )
  .map(([value, spell, flow]) => spell(stringify(value, flow ? { collectionStyle: "flow" } : {})));
