/**
 * T9, by the kernel's counters alone: who is ended, what is refused from then on, what is told and how often, and when it is
 * over. The counters are given here; `test/gateway/upload-limit.test.ts` takes the kernel's.
 */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { parseAddress } from "../address/ip.ts";
import type { EventBody } from "../audit/event.ts";
import type { LiveFlow } from "../datapath/messages.ts";
import type { OverdrawnEntry } from "../flow/overdrawn.ts";
import type { UploadCounters } from "../flow/uploads.ts";
import { isPolicyProblems, loadPolicy, type LoadedPolicy } from "../policy/load.ts";
import { UploadLimits } from "./upload-limits.ts";

const hour = 3_600_000;

function load(rules: string, mode = "enforce"): LoadedPolicy {
  const text = `version: 1\nrules:\n${rules}\ndefault: { mode: ${mode} }\n`;
  const loaded = loadPolicy(text, "test.yaml", new Date(Date.UTC(2030, 0, 1)));
  assert.ok(!isPolicyProblems(loaded), JSON.stringify(loaded));
  return loaded;
}

const web = "  - { name: web, to: shop.example, upload_limit: 1 MB }";

/** A table of connections with counters, and what was done to them. */
class Table {
  loaded: LoadedPolicy;
  now = Date.UTC(2030, 0, 1);
  readonly counters = new Map<LiveFlow, UploadCounters>();
  readonly ended: LiveFlow[] = [];
  readonly events: EventBody[] = [];
  overdrawn: readonly OverdrawnEntry[] = [];
  readonly limits: UploadLimits;
  #port = 40_000;

  constructor(loaded: LoadedPolicy) {
    this.loaded = loaded;
    this.limits = new UploadLimits({
      policy: () => this.loaded.policy,
      engine: () => this.loaded.engine,
      now: () => this.now,
      isLive: (flow) => this.counters.has(flow) && !this.ended.includes(flow),
      counters: (flows) => new Map([...this.counters].filter(([flow]) => flows.has(flow))),
      end: (flow) => void this.ended.push(flow),
      tell: (entries) => (this.overdrawn = entries),
      record: (event) => void this.events.push(event),
    });
    tables.push(this);
  }

  open(from = "10.0.0.2", rule: string | null = "web", monitored: string[] = []): LiveFlow {
    const flow: LiveFlow = {
      source: parseAddress(from)!,
      sourcePort: this.#port++,
      destination: parseAddress(from.includes(":") ? "2001:db8:200::10" : "203.0.113.10")!,
      destinationPort: 443,
      transport: "tcp",
      protocol: 6,
      local: false,
      process: null,
      who: null,
      application: "tls",
      name: "shop.example",
      names: ["shop.example"],
      ech: false,
      begunEnforced: true,
      verdict: "allow",
      rule,
      monitored,
      tier: 2,
      since: this.now,
    };
    this.counters.set(flow, countersOf(0));
    this.limits.begun(flow);
    return flow;
  }

  /** The connection has sent so much in all. */
  sent(flow: LiveFlow, bytes: number): void {
    this.counters.set(flow, countersOf(bytes));
    this.limits.look();
  }

  close(flow: LiveFlow, bytes: number): void {
    this.counters.delete(flow);
    this.limits.ended(flow, { ...flow, ...countersOf(bytes), packetsDown: 0 });
  }

  reload(rules: string, mode?: string): void {
    this.loaded = load(rules, mode);
    this.limits.policyChanged(this.counters.keys());
  }

  told(): string[] {
    return this.events.splice(0).map(({ kind, verdict, reason, rule }) => `${kind} ${verdict} ${reason} ${rule?.name}`);
  }
}

function countersOf(bytes: number): UploadCounters {
  return { protocol: 6, bytesUp: bytes, packetsUp: 0, bytesDown: 0 };
}

const tables: Table[] = [];
afterEach(() => {
  for (const table of tables.splice(0)) table.limits.close();
});

test("the connection that goes over, and every other one of that source under the rule, are ended and told once", () => {
  const table = new Table(load(web));
  const [one, two] = [table.open(), table.open()];
  const [other, elsewhere] = [table.open("10.0.0.3"), table.open("10.0.0.2", "other")];
  table.sent(one, 600_000);
  table.sent(elsewhere, 5_000_000);
  assert.deepEqual([table.ended, table.overdrawn], [[], []]);
  table.sent(two, 400_000);
  assert.deepEqual(new Set(table.ended), new Set([one, two]));
  assert.deepEqual(table.overdrawn, [["web", one.source]]);
  const denied = "connection deny upload_limit web";
  assert.deepEqual(table.told(), [denied, denied, "detection deny upload_limit web"]);
  table.sent(other, 999_999);
  table.sent(one, 2_000_000);
  assert.deepEqual([table.ended.length, table.told()], [2, []]);
});

test("the detection says how much, of what, and what was done", () => {
  const table = new Table(load(web));
  table.sent(table.open(), 1_200_000);
  const { detection, bytes, destination, source } = table.events.find(({ kind }) => kind === "detection")!;
  assert.deepEqual(detection, { type: "upload_limit", limit: 1e6, sent: 1.2e6, window_s: 3600, ended: 1 });
  assert.deepEqual(bytes, { up: 1.2e6, down: 0 });
  assert.deepEqual([source?.ip, destination?.name, destination?.protocol], ["10.0.0.2", "shop.example", "tls"]);
});

test("connections that have ended count, seen alive or not", () => {
  const table = new Table(load(web));
  for (let i = 0; i < 9; i++) table.close(table.open(), 110_000);
  assert.deepEqual(table.told(), []);
  const last = table.open();
  table.sent(last, 5_000);
  table.close(last, 20_000);
  assert.deepEqual(table.told(), ["detection deny upload_limit web"]);
  assert.deepEqual(table.overdrawn.length, 1);
});

test("addresses of one IPv6 network are one source", () => {
  const table = new Table(load(web));
  const [one, two] = [table.open("2001:db8:1::2"), table.open("2001:db8:1::ffff:3")];
  table.sent(one, 500_000);
  table.sent(two, 500_000);
  assert.equal(table.ended.length, 2);
});

test("a connection that slipped in before the data path knew is ended at the next look", () => {
  const table = new Table(load(web));
  table.sent(table.open(), 1_000_000);
  const late = table.open();
  table.limits.look();
  assert.equal(table.ended.at(-1), late);
});

test("the hour passes, and what was sent before it no longer counts", () => {
  const table = new Table(load(web));
  table.sent(table.open(), 1_000_000);
  table.now += hour - 1;
  table.limits.look();
  assert.equal(table.overdrawn.length, 1);
  table.now += 300_001;
  table.limits.look();
  assert.deepEqual(table.overdrawn, []);
  const again = table.open();
  table.sent(again, 900_000);
  assert.equal(table.ended.length, 1);
});

test("a new policy: the rule of the same name goes on counting; a lower limit ends, a higher one or none frees", () => {
  const table = new Table(load(web));
  const flow = table.open();
  table.sent(flow, 600_000);
  table.reload(web.replace("1 MB", "500 kB"));
  assert.deepEqual([table.ended, table.overdrawn.length], [[flow], 1]);
  table.reload(web.replace("1 MB", "700 kB"));
  assert.deepEqual(table.overdrawn, []);
  table.sent(table.open(), 100_000);
  assert.equal(table.overdrawn.length, 1);
  table.told();
  table.reload(web.replace(", upload_limit: 1 MB", ""));
  assert.deepEqual([table.overdrawn, table.told()], [[], []]);
});

test("a connection that comes under a limit by a new policy counts from then on, by the rule that now lets it through", () => {
  const table = new Table(load("  - { name: old, to: shop.example }"));
  const flow = table.open("10.0.0.2", "old");
  table.counters.set(flow, countersOf(5_000_000));
  table.reload(web);
  assert.deepEqual(table.ended, []);
  table.sent(flow, 5_999_999);
  assert.deepEqual(table.ended, []);
  table.sent(flow, 6_000_000);
  assert.deepEqual(table.ended, [flow]);
});

test("monitor mode, of a rule or of the default, ends and refuses nothing and tells it", () => {
  const rule =
    "  - { name: trial, to: shop.example, mode: monitor, upload_limit: 1 MB }\n  - { name: web, to: shop.example }";
  const table = new Table(load(rule));
  table.sent(table.open("10.0.0.2", "web", ["trial"]), 1_000_000);
  assert.deepEqual(table.told(), [
    "connection would_deny upload_limit trial",
    "detection would_deny upload_limit trial",
  ]);
  const watching = new Table(load(web, "monitor"));
  watching.sent(watching.open(), 1_000_000);
  watching.limits.look();
  assert.deepEqual(watching.told(), [
    "connection would_deny upload_limit web",
    "detection would_deny upload_limit web",
  ]);
  assert.deepEqual([...table.ended, ...watching.ended], []);
});

test("a connection from before this process counts whole, under the rule that lets it through today", () => {
  const table = new Table(load(web));
  const flow = table.open("10.0.0.2", null);
  table.counters.set(flow, countersOf(1_500_000));
  table.limits.adopted({ ...flow, application: null, name: null });
  const known = table.open("10.0.0.4", null);
  table.counters.set(known, countersOf(1_500_000));
  table.limits.adopted(known);
  table.limits.look();
  assert.deepEqual(table.ended, [known]);
  const unread = { ...flow, application: null, name: null };
  table.counters.set(unread, countersOf(1_500_000));
  table.limits.adopted(unread);
  table.limits.look();
  assert.deepEqual(table.ended, [known, unread]);
});

test("ports that are another connection's by now are not asked about again", () => {
  const table = new Table(load(web));
  const gone = table.open();
  table.counters.delete(gone);
  table.limits.look();
  table.counters.set(gone, countersOf(9_000_000));
  table.limits.look();
  assert.deepEqual(table.ended, []);
});
