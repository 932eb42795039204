/**
 * T9: an upload is counted whole, over however many connections and addresses of one machine it is spread, for an hour that
 * slides; a download is none. The data path refuses what a used-up rule would let through, and asks no later rule.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { limits } from "./limits.ts";
import { captureHello } from "./testing/hellos.ts";
import { address, Client, client, datagram, Scene, server, shared } from "./testing/scene.ts";
import { budgetHolder, sentBytes, UploadAccounts } from "./uploads.ts";

const hour = limits.uploadWindowMs;
const now = Date.UTC(2030, 0, 1);
const minute = 60_000;

describe("T9: what counts", () => {
  test("what was sent counts for an hour at least and 65 minutes at most, whenever it was sent", () => {
    const times = fc.array(fc.record({ at: fc.nat(3 * hour), bytes: fc.nat(1_000_000) }), {
      minLength: 1,
      maxLength: 60,
    });
    fc.assert(
      fc.property(times, fc.nat(hour), (list, after) => {
        const accounts = new UploadAccounts<null>();
        const sorted = list.toSorted((a, b) => a.at - b.at);
        for (const { at, bytes } of sorted) accounts.add("r", client, bytes, now + at, null);
        const [budget] = accounts.budgets();
        const end = sorted.at(-1)!.at + after;
        const within = (ms: number) =>
          sorted.filter(({ at }) => at > end - ms).reduce((sum, { bytes }) => sum + bytes, 0);
        const sent = accounts.sent(budget!, now + end);
        assert.ok(sent >= within(hour) && sent <= within(hour + 5 * minute + 1), `${within(hour)} ${sent}`);
      }),
    );
  });

  test("the addresses of one IPv6 network share a budget; IPv4 addresses, rules and networks do not", () => {
    const accounts = new UploadAccounts<null>();
    const add = (rule: string, from: string) => accounts.add(rule, address(from), 10, now, null);
    const one = add("r", "2001:db8:1::2");
    assert.equal(add("r", "2001:db8:1:0:ffff::1"), one);
    assert.equal(accounts.sent(one, now), 20);
    const others = [
      add("r", "2001:db8:1:1::2"),
      add("s", "2001:db8:1::2"),
      add("r", "192.0.2.1"),
      add("r", "192.0.2.2"),
    ];
    for (const other of others) assert.equal(accounts.sent(other, now), 10);
    assert.equal(budgetHolder(address("192.0.2.1")), address("192.0.2.1"));
  });

  test("memory is bounded, and room is made by forgetting those that used little, not a used-up budget", () => {
    const accounts = new UploadAccounts<null>();
    const big = accounts.add("r", address("192.0.2.1"), 1e9, now, null);
    const numbered = (i: number) => address(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    for (let i = 0; i < limits.uploadAccounts + 1000; i++) accounts.add("r", numbered(i), 100, now, null);
    assert.equal(accounts.size, limits.uploadAccounts);
    assert.equal(accounts.add("r", address("192.0.2.1"), 0, now, null), big);
  });

  test("a clock that is set back neither throws nor forgives", () => {
    const accounts = new UploadAccounts<null>();
    accounts.add("r", client, 1000, now, null);
    const budget = accounts.add("r", client, 500, now - 10 * hour, null);
    assert.equal(accounts.sent(budget, now - 10 * hour), 1500);
    assert.equal(accounts.sent(budget, now + 2 * hour), 0);
  });

  test("headers and acknowledgements are no upload, payload is, in segments of any size", () => {
    // A gigabyte came down: half a million acknowledgements with timestamps went up.
    const download = { protocol: 6, bytesUp: 500_000 * 52, packetsUp: 500_000, bytesDown: 1.05e9 };
    assert.equal(sentBytes(false, download), 0);
    // A tunnel of one byte a segment, each acknowledged.
    const drip = { protocol: 6, bytesUp: 1_000_000 * 41, packetsUp: 1_000_000, bytesDown: 1000 };
    assert.ok(sentBytes(false, drip) > 999_000);
    const bulk = { protocol: 6, bytesUp: 10_000_000 + 7000 * 60, packetsUp: 7000, bytesDown: 3500 * 60 };
    const sent = sentBytes(true, bulk);
    assert.ok(sent > 9_990_000 && sent <= 10_000_000, `${sent}`);
    assert.equal(sentBytes(true, { protocol: 17, bytesUp: 1048, packetsUp: 1, bytesDown: 0 }), 1000);
  });
});

const rules = `
rules:
  - { name: web, to: allowed.example, upload_limit: 1 MB }
  - { name: opaque, to: "198.51.100.7:5432", protocol: udp, upload_limit: 1 MB }
  - { name: anything, to: "**", protocol: tcp, ports: [443], reason: wider and later }
`;
const enforced = `${rules}default: { mode: enforce }\n`;
const hello = await captureHello("allowed.example");
const told = ({ reports }: Scene) =>
  reports.map((r) => `${r.decision.verdict} ${r.decision.reason} ${r.decision.rule?.name}`);

describe("T9: a rule that is used up", () => {
  test("lets no new connection of that source through, and no later rule does instead", () => {
    const on = new Scene(enforced).bind("allowed.example");
    on.flows.setOverdrawn([["web", client]]);
    assert.equal(new Client(on).open().segment(0, hello), "refuse");
    assert.deepEqual(told(on), ["deny upload_limit web"]);
    assert.equal(on.payloadLeft, 0);
  });

  test("refuses an opaque flow at its first packet", () => {
    const on = new Scene(enforced);
    on.flows.setOverdrawn([["opaque", client]]);
    const tuple = { ...shared, destinationPort: 5432 };
    assert.equal(datagram(on, hello, tuple), "refuse");
    on.flows.setOverdrawn([]);
    assert.equal(datagram(on, hello, { ...tuple, sourcePort: 40_001 }), "allow");
    assert.deepEqual(told(on), ["deny upload_limit opaque", "allow rule opaque"]);
  });

  test("harms neither other sources nor other rules", () => {
    const on = new Scene(enforced).bind("allowed.example").bind("other.example", server);
    on.flows.setOverdrawn([
      ["web", address("10.0.0.3")],
      ["opaque", client],
    ]);
    assert.equal(new Client(on).open().segment(0, hello), "pending");
    assert.deepEqual(told(on), ["allow rule web"]);
  });

  test("holds first bytes that would otherwise only be read along", () => {
    const on = new Scene(enforced).bind("allowed.example");
    on.flows.setOverdrawn([["web", client]]);
    const flow = new Client(on).open();
    assert.equal(flow.segment(0, hello.subarray(0, 100)), "held");
    assert.equal(flow.segment(100, hello.subarray(100)), "refuse");
    assert.equal(on.payloadLeft, 0);
  });

  test("is only told in monitor mode", () => {
    const on = new Scene(`${rules}default: { mode: monitor }\n`).bind("allowed.example");
    on.flows.setOverdrawn([["web", client]]);
    const flow = new Client(on).open();
    flow.segment(0, hello);
    assert.deepEqual(told(on), ["would_deny upload_limit web"]);
    assert.equal(flow.read.length, hello.length);
  });
});
