/**
 * Promises about what outlives the process: what was written is read again, and whatever else stands in the files (nothing,
 * garbage, rows that somebody touched, what has run out) is forgotten, never believed.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { parseAddress } from "../address/ip.ts";
import { Ledger } from "../datapath/ledger.ts";
import type { LiveFlow } from "../datapath/messages.ts";
import { AddressBook } from "../flow/book.ts";
import { Keeper } from "./keeper.ts";

const now = 1_800_000_000_000;
const source = parseAddress("2001:db8:1::2")!;
const destination = parseAddress("2001:db8:200::10")!;
const flow: LiveFlow = {
  source,
  sourcePort: 40_000,
  destination,
  destinationPort: 443,
  transport: "tcp",
  protocol: 6,
  local: false,
  process: { step: "build", action: null, exe: "/usr/bin/curl", runner: false },
  who: null,
  application: "tls",
  name: "allowed.example",
  names: ["allowed.example", "other.example"],
  ech: true,
  begunEnforced: true,
  verdict: "allow",
  rule: "web",
  monitored: ["trial"],
  tier: 2,
  since: now - 5_000,
};

let state: string;
before(() => void (state = mkdtempSync(join(tmpdir(), "keeper-"))));
after(() => rmSync(state, { recursive: true }));

async function kept(): Promise<void> {
  const book = new AddressBook();
  book.bind({ name: "allowed.example", address: destination, expires: now + 60_000, source: null });
  book.bind({ name: "own.example", address: destination, expires: now + 60_000, source });
  book.bind({ name: "gone.example", address: destination, expires: now + 1_000, source: null });
  const ledger = new Ledger();
  ledger.begin(flow, now);
  await new Keeper(state).keep(book, ledger, now, true);
}

test("bindings and live connections are read again, without what has run out meanwhile", async () => {
  await kept();
  const later = now + 2_000;
  const keeper = new Keeper(state);
  const bindings = keeper.bindings(later).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  assert.deepEqual(bindings, [
    { name: "allowed.example", address: destination, expires: now + 60_000, source: null },
    { name: "own.example", address: destination, expires: now + 60_000, source },
  ]);
  assert.deepEqual([...keeper.flows(later).values()], [flow]);
});

test("only what has changed is written, and a large table not every second", async () => {
  const keeper = new Keeper(state);
  const file = join(state, "flows.json");
  const ledger = new Ledger();
  for (let port = 1; port <= 3_000; port++) ledger.begin({ ...flow, sourcePort: port }, now);
  await keeper.keep(new AddressBook(), ledger, now);
  const rows = () => (JSON.parse(readFileSync(file, "utf8")) as { rows: unknown[] }).rows.length;
  assert.equal(rows(), 3_000);
  ledger.begin({ ...flow, sourcePort: 3_001 }, now);
  await keeper.keep(new AddressBook(), ledger, now + 1_000);
  assert.equal(rows(), 3_000);
  await keeper.keep(new AddressBook(), ledger, now + 3_001);
  assert.equal(rows(), 3_001);
});

test("what could not be written is still to be: nobody is told that it is kept before it is", async () => {
  const full = mkdtempSync(join(tmpdir(), "keeper-full-"));
  try {
    // Whatever the reason: here each file's place is taken.
    for (const name of ["bindings.json.new", "flows.json.new"]) mkdirSync(join(full, name));
    const keeper = new Keeper(full);
    const book = new AddressBook();
    book.bind({ name: "allowed.example", address: destination, expires: now + 60_000, source: null });
    keeper.bindingsChanged();
    const ledger = new Ledger();
    for (let port = 1; port <= 3_000; port++) ledger.begin({ ...flow, sourcePort: port }, now);
    const keep = (at: number) => keeper.keep(book, ledger, at);
    await assert.rejects(keep(now), { code: "EISDIR" });
    // Flows are not due again for three seconds.
    await assert.rejects(keep(now + 1_000), { code: "EISDIR" });
    rmdirSync(join(full, "bindings.json.new"));
    await assert.rejects(keep(now + 2_000), { code: "EISDIR" });
    rmdirSync(join(full, "flows.json.new"));
    await keep(now + 3_001);
    const later = new Keeper(full);
    assert.deepEqual([later.bindings(now).length, later.flows(now).size], [1, 3_000]);
  } finally {
    rmSync(full, { recursive: true });
  }
});

test("files that are missing, torn, foreign or touched hold nothing", async () => {
  await kept();
  for (const name of ["flows.json", "bindings.json"]) {
    const path = join(state, name);
    const text = readFileSync(path, "utf8");
    const read = (content: string): number => {
      writeFileSync(path, content);
      const keeper = new Keeper(state);
      return name === "flows.json" ? keeper.flows(now).size : keeper.bindings(now).length;
    };
    assert.ok(read(text) > 0);
    for (const content of ["", "null", "[]", text.slice(0, -3), text.replace(/\/1"/, '/2"'), '{"rows":[[]]}']) {
      assert.equal(read(content), 0, content);
    }
    const file = JSON.parse(text) as { schema: string; rows: unknown[][] };
    const row = file.rows[0]!;
    for (const i of row.keys()) {
      for (const value of [{}, "…", -1, 1e300]) {
        const rows = [row.with(i, value)];
        // A rule's name may be any text.
        if (row[i] === flow.rule && typeof value === "string") continue;
        assert.equal(read(JSON.stringify({ ...file, rows })), 0, JSON.stringify(rows));
      }
    }
    if (name === "flows.json") {
      // A row of a version that knew no processes.
      assert.equal(read(JSON.stringify({ ...file, rows: [row.slice(0, -1)] })), 1);
      for (const process of [[], ["a", null, null, null], [1, null, null, true], "a", true]) {
        assert.equal(
          read(JSON.stringify({ ...file, rows: [[...row.slice(0, -1), process]] })),
          0,
          JSON.stringify(process),
        );
      }
    }
    rmSync(path);
    const missing = new Keeper(state);
    assert.equal(name === "flows.json" ? missing.flows(now).size : missing.bindings(now).length, 0);
  }
});
