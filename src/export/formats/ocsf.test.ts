/**
 * Promises: any event we write is one of a class of OCSF 1.5.0 with the profile security_control, by the slice of the schema in
 * `test/schemas`; and an event that is not would be seen.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ocsfProblems, ocsfSlice } from "../../../test/support/ocsf.ts";
import type { EventBody } from "../../audit/event.ts";
import { rcodeName } from "../../wire/dns/types.ts";
import { incident } from "../../audit/recover.ts";
import { recovered } from "../../audit/spool-status.ts";
import { records } from "../testing/events.ts";
import { outgoing } from "../testing/record.ts";
import { ocsfOf } from "./ocsf.ts";

const slice = ocsfSlice("1.5.0");
// As a sink has it: members that are undefined are gone.
const sent = (body: Partial<EventBody>) => JSON.parse(JSON.stringify(ocsfOf(outgoing(body).event))) as Sent;
type Sent = Record<string, Record<string, unknown>>;
const problems = (event: object) => ocsfProblems(slice, event);

test("any event is as the schema wants it, and each class is met", () => {
  const classes = new Set<unknown>();
  fc.assert(
    fc.property(records, ({ event }) => {
      const made = JSON.parse(JSON.stringify(ocsfOf(event))) as Sent;
      assert.deepEqual(problems(made), []);
      classes.add(made["class_uid"]);
    }),
    { numRuns: 1_500 },
  );
  assert.deepEqual(classes, new Set([0, 4001, 4003]));
  const own: EventBody[] = [
    incident("started", { pid: 1 }),
    recovered(null, { lost: 5, first: 0, last: 1 }),
    { kind: "policy", message: "rejected" },
    // A record that somebody else wrote may hold any word.
    { kind: "dns", verdict: "allow", dns: { qtype: "A", rcode: "constructor" } },
    { kind: "detection", detection: { type: "name_entropy" }, message: "x" },
  ];
  for (const body of own) assert.deepEqual(problems(sent(body)), []);
});

const rule = { name: "web", tier: 2, mode: "enforce", policy: "9b" } as const;
const destination = { name: "pypi.org", name_from: "sni", ip: "203.0.113.7", port: 443, protocol: "tls" } as const;
const denied = (more: Partial<EventBody> = {}) =>
  sent({ verdict: "deny", reason: "no_name", rule, destination, source: { ip: "10.20.1.7", port: 9 }, ...more });

test("an event that the schema does not know is seen", () => {
  const event = denied({ tls: { version: "1.3", alpn: [], ech: false, ja4: "t", hello_bytes: 1, hello_segments: 1 } });
  const asked = denied({
    kind: "dns",
    dns: { qtype: "A", rcode: "NXDOMAIN", answers: ["203.0.113.7"], ttl: 5 },
    destination: { ...destination, name_from: "dns", protocol: "dns" },
  });
  const other = sent({ kind: "detection", detection: { type: "name_entropy" }, message: "x" });
  assert.deepEqual([problems(event), problems(asked), problems(other)], [[], [], []]);
  assert.deepEqual([other["activity_name"], other["type_name"]], ["detection", "Base Event: Other"]);
  const flagged = [{ rdata: "", flags: ["AA", "RD"], flag_ids: [1, 3] }];
  assert.deepEqual(problems({ ...asked, answers: flagged }), []);
  const without = (from: Sent, name: string) =>
    Object.fromEntries(Object.entries(from).filter(([key]) => key !== name));
  const inside = (from: Sent, name: string, more: object) => ({ ...from, [name]: { ...from[name], ...more } });
  const { dst_endpoint: _, src_endpoint: __, ...placeless } = event;
  const broken: [object, RegExp][] = [
    [{ ...event, class_uid: 4002 }, /^class_uid: 4002 is no class/],
    [{ ...event, type_uid: 400_101 }, /^type_uid: not 400105$/m],
    [{ ...event, type_name: "Network Activity: Open" }, /^type_name: not “Network Activity: Refuse”/m],
    [{ ...other, type_name: "Base Event: detection" }, /^type_name: not “Base Event: Other”/m],
    [{ ...other, proxy: {} }, /^proxy: no such attribute/m],
    [{ ...event, class_name: "DNS Activity" }, /^class_name: not “Network Activity”/m],
    [{ ...event, raw_data_size: "5" }, /^raw_data_size: not long_t/m],
    [{ ...event, action_id: 5 }, /^action_id: 5 is none/m],
    [{ ...event, attacks: [{}] }, /^attacks\[0\]: an object, attack, that is not in the slice/m],
    [{ ...event, activity_id: 8, type_uid: 400_108 }, /^activity_id: 8 is none of its values/m],
    [{ ...event, activity_name: "Open" }, /^activity_name: not “Refuse”/m],
    [{ ...event, category_uid: 5 }, /^category_uid: not 4/m],
    [{ ...event, disposition_id: 40 }, /^disposition_id: 40 is none/m],
    [{ ...event, disposition: "Allowed" }, /^disposition: not “Blocked”/m],
    [{ ...event, severity: "Low" }, /^severity: not “Medium”/m],
    [{ ...event, surprise: 1 }, /^surprise: no such attribute/m],
    [{ ...event, query: { hostname: "a" } }, /^query: no such attribute/m],
    [{ ...event, time: "2026-05-04" }, /^time: not timestamp_t/m],
    [{ ...event, duration: 0.5 }, /^duration: not long_t/m],
    [without(event, "metadata"), /^metadata: missing/m],
    [without(event, "time"), /^time: missing/m],
    [placeless, /^: none of dst_endpoint,src_endpoint$/m],
    [{ ...event, dst_endpoint: { port: 443 } }, /^dst_endpoint\.: none of ip,uid,name/m],
    [inside(event, "dst_endpoint", { ip: "pypi.org" }), /^dst_endpoint\.ip: not ip_t/m],
    [inside(event, "dst_endpoint", { port: 70_000 }), /^dst_endpoint\.port: not port_t/m],
    [inside(event, "dst_endpoint", { os: {} }), /^dst_endpoint\.os: an object, os, that is not in the slice/m],
    [inside(event, "dst_endpoint", { group: "a" }), /^dst_endpoint\.group: no such attribute/m],
    [inside(event, "dst_endpoint", { type_id: 16 }), /^dst_endpoint\.type_id: 16 is none/m],
    [inside(event, "dst_endpoint", { intermediate_ips: ["a"] }), /^dst_endpoint\.intermediate_ips\[0\]: not ip_t/m],
    [
      inside(event, "connection_info", { protocol_ver: "6" }),
      /^connection_info\.protocol_ver: not “Internet Protocol/m,
    ],
    [inside(event, "connection_info", { boundary_id: 12 }), /^connection_info\.boundary_id: 12 is none/m],
    [inside(event, "metadata", { version: "1.4.0" }), /^metadata\.version: not 1\.5\.0/m],
    [inside(event, "metadata", { profiles: [] }), /^action_id: of the profile security_control/m],
    [inside(event, "metadata", { profiles: ["host"] }), /^metadata\.profiles: host is not of the class/m],
    [inside(event, "metadata", { product: {} }), /^metadata\.product\.: none of name,uid/m],
    [inside(event, "connection_info", { direction_id: undefined }), /^connection_info\.direction_id: /m],
    [inside(event, "connection_info", { direction: "Inbound" }), /^connection_info\.direction: not “Outbound”/m],
    [inside(event, "tls", { version: 1.3 }), /^tls\.version: not string_t/m],
    [{ ...event, firewall_rule: [event["firewall_rule"]] }, /^firewall_rule: no object/m],
    [{ ...asked, rcode: "NXDOMAIN" }, /^rcode: not “NXDomain”/m],
    [{ ...asked, answers: asked["answers"]![0] }, /^answers: not an array/m],
    [{ ...asked, answers: [{ ttl: 5 }] }, /^answers\[0\]\.rdata: missing/m],
    [{ ...asked, answers: [{ rdata: "", flag_ids: [1, 7] }] }, /^answers\[0\]\.flag_ids\[1\]: 7 is none/m],
    [inside(asked, "query", { opcode_id: 7 }), /^query\.opcode_id: 7 is none/m],
    [inside(asked, "query", { hostname: undefined }), /^query\.hostname: /m],
    [{ ...asked, activity_id: 5, type_uid: 400_305 }, /^activity_id: 5 is none/m],
  ];
  for (const [each, expected] of broken) assert.match(problems(each).join("\n"), expected);
});

test("a response code is the schema's own, by its number", () => {
  const codes = slice.classes["dns_activity"]!.attributes["rcode_id"]!.enum!;
  const asked = { ...destination, name_from: "dns", protocol: "dns" } as const;
  for (let code = 0; code < 30; code++) {
    const event = sent({
      kind: "dns",
      verdict: "allow",
      dns: { qtype: "A", rcode: rcodeName(code) },
      destination: asked,
    });
    assert.deepEqual(problems(event), []);
    // 24 and 25 are the schema's own, for codes that are unassigned or reserved.
    const isCode = codes[code] !== undefined && code !== 24 && code !== 25;
    const expected = isCode ? [code, codes[code]] : [99, rcodeName(code)];
    assert.deepEqual([event["rcode_id"], event["rcode"]], expected);
  }
});

test("what a denied, a watched and an ended connection and a DNS answer become", () => {
  const of = (body: Parameters<typeof outgoing>[0]) => ocsfOf(outgoing({ rule, destination, ...body }).event) as never;
  assert.partialDeepStrictEqual(
    of({ verdict: "deny", reason: "name_mismatch", source: { ip: "10.20.1.7", port: 9 } }),
    {
      class_uid: 4001,
      type_uid: 400105,
      action_id: 2,
      disposition_id: 2,
      severity_id: 3,
      status_detail: "name_mismatch",
      time: 1777885951204,
      firewall_rule: { name: "web" },
      src_endpoint: { ip: "10.20.1.7", port: 9 },
      dst_endpoint: { ip: "203.0.113.7", port: 443, hostname: "pypi.org", svc_name: "tls" },
      connection_info: { direction_id: 2, protocol_name: "tcp", protocol_num: 6, protocol_ver_id: 4 },
      metadata: { profiles: ["security_control"], sequence: 7, correlation_uid: "c1".repeat(32) },
    },
  );
  assert.partialDeepStrictEqual(of({ verdict: "would_deny" }), { type_uid: 400101, action_id: 1, disposition_id: 17 });
  const ended = of({
    kind: "flow_end",
    verdict: "allow",
    bytes: { up: 1, down: 2 },
    packets: { up: 3, down: 4 },
    duration_ms: 5,
  });
  assert.partialDeepStrictEqual(ended, {
    type_uid: 400102,
    duration: 5,
    traffic: { bytes_out: 1, bytes_in: 2, bytes: 3, packets_out: 3, packets_in: 4, packets: 7 },
  });
  const dns = { qtype: "A", rcode: "NXDOMAIN", server: "203.0.113.53:53" };
  const asked = { ...destination, name_from: "dns", port: 53, protocol: "dns" } as const;
  const answer: Record<string, unknown> = of({ kind: "dns", verdict: "deny", dns, destination: asked });
  assert.partialDeepStrictEqual(answer, { type_uid: 400306, rcode_id: 3, query: { hostname: "pypi.org", type: "A" } });
  assert.equal((answer["dst_endpoint"] as { hostname?: string }).hostname, undefined);
});
