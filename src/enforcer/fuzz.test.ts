/**
 * What an enforcer reads of its own state under fuzz: snapshots of bindings and flows, the answers of a control socket, addresses
 * of resolvers. Damaged, they are nothing or an error that a user understands; never a binding or a flow that was not one.
 */
import assert from "node:assert/strict";
import { rmSync, mkdtempSync, writeFileSync } from "node:fs";
import http from "node:http";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { asBytes, fuzzTarget, textOf } from "../../test/support/fuzz.ts";
import { formatAddress, parseAddress } from "../address/ip.ts";
import { canonicalName } from "../address/name.ts";
import { dangersOfBundle, dangersOfCommand, dangersOfHostConfig } from "../detect/containers.ts";
import { firewallCommand } from "../detect/firewall-commands.ts";
import { SallyportError } from "../errors.ts";
import { bindingOf } from "./bindings.ts";
import { ask, controlSocket } from "./control.ts";
import { flowOf, flowRow } from "./flow-rows.ts";
import { parseMetricsAddress } from "../config/metrics-address.ts";
import { parseResolver, systemResolvers } from "./resolvers.ts";
import { Snapshot } from "./snapshot.ts";

const state = mkdtempSync(join(tmpdir(), "sp-state-"));
process.on("exit", () => rmSync(state, { recursive: true, force: true }));

const now = 1_000_000;
const text = fc.constantFrom(
  "a.example",
  "A.example",
  "192.0.2.1",
  "2001:db8::1",
  "tls",
  "allow",
  "would_deny",
  "rule",
  "",
  "x y",
);
const value: fc.Arbitrary<unknown> = fc.oneof(
  text,
  fc.constantFrom<unknown>(null, true, false, 443, 6, 17, 1, 3, now + 5, 1e300, -1, 0.5, [], ["a.example"], {}),
);

const row = (...right: unknown[]) =>
  fc.tuple(fc.array(fc.tuple(fc.nat(right.length), value), { maxLength: 2 }), fc.nat(4)).map(([changes, cut]) => {
    const out = [...right];
    for (const [at, each] of changes) out[at] = each;
    return cut === 0 ? out.slice(0, -1) : out;
  });
const bindingRow = row("a.example", "192.0.2.1", now + 60_000, null);
const flowRows = row(
  ...[
    "10.20.1.2",
    40_000,
    "192.0.2.1",
    443,
    6,
    false,
    "tls",
    "a.example",
    ["a.example"],
    true,
    "allow",
    "rule",
    2,
    now,
    false,
    ["rule"],
    ["b.example"],
    ["build", null, "/usr/bin/curl", false],
  ],
);
const snapshot = (schema: string, rows: fc.Arbitrary<unknown>) =>
  fc
    .record({
      schema: fc.constantFrom(schema, schema, schema, schema, "other/1"),
      rows: fc.oneof({ weight: 6, arbitrary: fc.array(rows, { maxLength: 3 }) }, value),
    })
    .map((file) => Uint8Array.from(Buffer.from(JSON.stringify(file))));

const bindingsFile = new Snapshot(state, "bindings.json", "b/1");
const flowsFile = new Snapshot(state, "flows.json", "f/1");

/** The same bytes as what a container was made with: a list, whatever they hold. */
function checkContainer(bytes: Uint8Array): void {
  let config: unknown;
  try {
    config = JSON.parse(textOf(bytes));
  } catch {
    return;
  }
  const around = { sensitive: ["/a"], resolve: (path: string) => path, isHost: () => true };
  for (const dangers of [dangersOfBundle(config, around), dangersOfHostConfig(config, around)])
    for (const { kind, what } of dangers) assert.ok(kind.length > 0 && what.length <= 256);
  const words = textOf(bytes).split(/\s+/);
  assert.ok(dangersOfCommand(words, around).length <= 64);
  assert.notEqual(firewallCommand(words), undefined);
}

fuzzTarget<"bindings" | "flows" | "no_rows" | "bad_rows">({
  name: "snapshots",
  grammar: [
    snapshot("b/1", bindingRow),
    snapshot("f/1", flowRows),
    fc.json({ maxDepth: 3 }).map((json) => Uint8Array.from(Buffer.from(json))),
  ],
  outcomes: { bindings: true, flows: true, no_rows: true, bad_rows: true },
  check: (bytes) => {
    checkContainer(bytes);
    writeFileSync(bindingsFile.path, bytes);
    writeFileSync(flowsFile.path, bytes);
    const bindingRows = bindingsFile.read();
    const bindings = bindingRows.map((each) => bindingOf(each, now)).filter((each) => each !== null);
    for (const { name, address, expires } of bindings) {
      assert.equal(canonicalName(name), name);
      assert.equal(parseAddress(formatAddress(address)), address);
      assert.ok(expires > now && expires <= now + 25 * 3_600_000);
    }
    const rows = flowsFile.read();
    const flows = rows.map((each) => flowOf(each)).filter((each) => each !== null);
    for (const flow of flows) assert.deepEqual(flowOf(flowRow(flow)), flow);
    if (bindings.length > 0) return "bindings";
    if (flows.length > 0) return "flows";
    return bindingRows.length + rows.length === 0 ? "no_rows" : "bad_rows";
  },
});

let answer: { status: number; body: Uint8Array } = { status: 200, body: new Uint8Array(0) };
const server = http.createServer((_request, response) => {
  response.writeHead(answer.status);
  response.end(answer.body);
});
server.listen(controlSocket(state));
await once(server, "listening");
server.unref();

const bodies = fc.oneof(
  fc.json({ maxDepth: 2 }),
  fc.constantFrom(
    '{"code":"USAGE","message":"m"}',
    '{"code":"NOPE"}',
    '{"code":"constructor","message":1}',
    "null",
    "[]",
    "{",
    "",
  ),
);

fuzzTarget<"answer" | "error">({
  name: "control-answers",
  grammar: [asBytes(fc.tuple(fc.constantFrom("2", "5", "4"), bodies).map((parts) => parts.join("")))],
  outcomes: { answer: true, error: true },
  check: async (bytes) => {
    answer = { status: bytes[0] === 0x32 ? 200 : bytes[0] === 0x34 ? 404 : 500, body: bytes.subarray(1) };
    try {
      await ask(state, "GET", "/status");
      assert.equal(answer.status, 200);
      return "answer";
    } catch (error) {
      assert.ok(error instanceof SallyportError, String(error));
      assert.equal(typeof error.message, "string");
      return "error";
    }
  },
});

const servers = fc.constantFrom(
  "192.0.2.53",
  "[2001:db8::53]:53",
  "2001:db8::53",
  "192.0.2.53:99999",
  "[::1",
  "a.example",
  "fe80::1%eth0",
  "192.0.2.53:",
  "",
);
const resolvConf = fc
  .array(
    fc
      .tuple(fc.constantFrom("nameserver ", " nameserver\t", "search ", "# ", "nameserver"), servers)
      .map((parts) => parts.join("")),
    { maxLength: 5 },
  )
  .map((each) => each.join("\n"));

fuzzTarget<"one" | "several" | "none">({
  name: "resolvers",
  grammar: [asBytes(servers), asBytes(resolvConf)],
  outcomes: { one: true, several: true, none: true },
  check: (bytes) => {
    const path = join(state, "resolv.conf");
    writeFileSync(path, bytes);
    const read = [() => [parseResolver(textOf(bytes))], () => systemResolvers(path)].map((each) => {
      try {
        return each();
      } catch (error) {
        assert.ok(error instanceof SallyportError && error.code === "USAGE", String(error));
        return [];
      }
    });
    try {
      const { host, port } = parseMetricsAddress(textOf(bytes));
      read.push([{ address: host, port }]);
    } catch (error) {
      assert.ok(error instanceof SallyportError && error.code === "USAGE", String(error));
    }
    for (const { address, port } of read.flat()) {
      assert.notEqual(parseAddress(address), null);
      assert.ok(port >= 1 && port <= 65_535);
    }
    assert.ok(read[1]!.length <= 3);
    return read[1]!.length > 0 ? "several" : read[0]!.length > 0 ? "one" : "none";
  },
});
