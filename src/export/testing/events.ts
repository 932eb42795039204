/** Events of every kind, with texts that a job could have chosen if our own checks were not there. */
import fc from "fast-check";
import type { Event, EventBody, EventProcess } from "../../audit/event.ts";
import { outgoing } from "./record.ts";
import type { Outgoing } from "../record.ts";

/** What breaks formats: separators, quotes, line ends of every kind, controls, halves of characters, other formats' beginnings. */
export const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.string({ maxLength: 12 }),
  fc
    .array(
      fc.constantFrom(
        "|",
        "=",
        "\\",
        "\n",
        "\r",
        '"',
        "]",
        " act=allow",
        "CEF:0|",
        "\u2028",
        "\u0085",
        "\u007f",
        "é",
        "\ud83d",
        "a",
      ),
      {
        maxLength: 8,
      },
    )
    .map((parts) => parts.join("")),
);

const ip = fc.constantFrom("10.20.1.7", "203.0.113.7", "2001:db8::7");
const port = fc.integer({ min: 0, max: 65_535 });
const count = fc.nat({ max: 2 ** 40 });
const verdict = fc.constantFrom("allow" as const, "deny" as const, "would_deny" as const);
const pair = fc.record({ up: count, down: count });

const process: fc.Arbitrary<EventProcess> = fc.record({
  pid: fc.nat({ max: 4_194_304 }),
  exe: fc.option(hostile),
  args: fc.array(hostile, { maxLength: 3 }),
  uid: fc.option(fc.nat({ max: 2 ** 32 - 1 })),
  user: fc.option(hostile),
  ancestors: fc.array(fc.record({ pid: fc.nat(), exe: fc.option(hostile) }), { maxLength: 2 }),
  step: fc.option(hostile),
  step_number: fc.option(fc.nat({ max: 100 })),
  action: fc.option(hostile),
  step_by: fc.constantFrom("descent" as const, "engine_client" as const, null),
  container: fc.option(fc.record({ id: hostile, image: fc.option(hostile) })),
  runner: fc.boolean(),
  certain: fc.boolean(),
});

const judged = {
  process,
  verdict,
  enforced: fc.boolean(),
  reason: fc.constantFrom("rule" as const, "default" as const, "no_name" as const),
  rule: fc.record({
    name: fc.option(hostile),
    tier: fc.constantFrom(1 as const, 2 as const, 3 as const),
    mode: fc.constantFrom("enforce" as const, "monitor" as const),
    policy: fc.constant("9b".repeat(32)),
  }),
  source: fc.record({ ip, port, group: fc.option(hostile) }, { requiredKeys: ["ip"] }),
};

const protocol = fc.constantFrom("tls", "http", "ssh", "quic", "tcp", "udp", "icmp", "other") as fc.Arbitrary<"tls">;
const destination = fc.record(
  {
    name: fc.option(hostile),
    name_from: fc.constantFrom("sni", "host", "dns", "none") as fc.Arbitrary<"sni">,
    ip,
    port,
    protocol,
    names_of_ip: fc.array(hostile, { maxLength: 3 }),
  },
  { requiredKeys: ["name", "name_from", "protocol"] },
);

const connection = fc.record(
  {
    kind: fc.constantFrom("connection" as const, "flow_end" as const),
    ...judged,
    stage: fc.constantFrom("connect" as const, "name" as const),
    destination,
    tls: fc.record({
      version: fc.option(hostile),
      alpn: fc.array(hostile, { maxLength: 2 }),
      ech: fc.boolean(),
      ja4: hostile,
      hello_bytes: count,
      hello_segments: count,
    }),
    bytes: pair,
    packets: pair,
    duration_ms: count,
    count: fc.integer({ min: 2, max: 1e6 }),
    first: fc.constant("2026-05-04T09:12:31.204518Z"),
    last: fc.constant("2026-05-04T09:12:32.000000Z"),
  },
  { requiredKeys: ["kind", "verdict", "enforced", "reason"] },
);

const dns = fc.record(
  {
    kind: fc.constant("dns" as const),
    ...judged,
    stage: fc.constant("dns" as const),
    destination: fc.record({
      name: fc.option(hostile),
      name_from: fc.constant("dns" as const),
      ip,
      port,
      protocol: fc.constant("dns" as const),
    }),
    dns: fc.record(
      {
        qtype: hostile,
        server: hostile,
        rcode: fc.oneof(hostile, fc.constantFrom("NOERROR", "NXDOMAIN")),
        answers: fc.array(hostile, { maxLength: 3 }),
        ttl: count,
      },
      { requiredKeys: ["qtype"] },
    ),
  },
  { requiredKeys: ["kind", "verdict"] },
);

const other = fc.record({
  kind: fc.constantFrom("detection" as const, "tamper" as const, "policy" as const, "lifecycle" as const),
  message: hostile,
  data: fc.dictionary(hostile, hostile, { maxKeys: 3 }),
});

/** Any record. */
export const records: fc.Arbitrary<Outgoing> = fc
  .tuple(
    fc.oneof(connection, connection, dns, dns, other) as fc.Arbitrary<Partial<EventBody>>,
    fc.integer({ min: 1, max: 2 ** 40 }),
  )
  .map(([body, seq]) => {
    // As the record has it: JSON, read back.
    const made = outgoing(body, seq);
    return { ...made, event: JSON.parse(made.line) as Event };
  });
