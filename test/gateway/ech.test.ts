/**
 * N8: a hello with Encrypted Client Hello behind an allowed outer name, over TCP and QUIC, on a real wire. What it hides could
 * be any tenant of that name's front, so where its rule says deny not a byte of it arrives; where the rule lets it, or the
 * gateway only monitors, it arrives and the record says what it carried.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import { requireTools } from "../lab/tools.ts";
import { ascii, buildHello, records, serverNames, type Extension } from "../wire/hello.ts";
import { cryptoFrame, datagram, padded, sealInitial } from "../wire/initial.ts";
import { RunningGateway } from "./start.ts";

const policyFor = (mode: string): string => `version: 1
rules:
  - { name: strict, to: [allowed.example], ech: deny }
  - { name: strict quic, to: [allowed.example], protocol: quic, ech: deny }
  - { name: open, to: [only.example] }
  - { name: open quic, to: [only.example], protocol: quic }
  - { name: wider, to: ["**.example"], reason: no later rule opens what the one that matches closes }
default: { mode: ${mode} }
`;
const addresses = { "allowed.example": "203.0.113.10", "only.example": "203.0.113.11" } as const;
type Name = keyof typeof addresses;

let lab: Lab;
let gateway: RunningGateway;

before(async () => {
  requireTools(["ip", "dig", "ncat"]);
  lab = await Lab.create();
  gateway = await RunningGateway.start(lab, { policy: policyFor("enforce") });
});
after(() => lab?.close());

/** The hello's bytes go out whole; a marker in them, in the clear, is looked for at the far end. */
const sendScript = `
const [how, address, hex] = process.argv.slice(1);
const bytes = Buffer.from(hex, "hex");
if (how === "udp") {
  const socket = require("node:dgram").createSocket("udp4");
  socket.on("error", () => {});
  socket.send(bytes, 443, address, () => setTimeout(() => process.exit(), 300));
} else {
  const socket = require("node:net").connect(443, address, () => socket.write(bytes));
  socket.on("error", () => process.exit(1)).on("close", () => process.exit());
  setTimeout(() => process.exit(), 2000);
}`;

const hello = (name: Name, extension: Extension | null): Uint8Array<ArrayBuffer> =>
  buildHello({ extensions: [serverNames(name), ...(extension === null ? [] : [extension])] });

/** An extension of type outer: cipher suite, config, and a payload that only the front can open. */
const sealed = (text: string): Extension => [
  0xfe0d,
  Uint8Array.from([0, 0, 1, 0, 1, 7, 0, 0, 0, text.length, ...ascii(text)]),
];

async function attempt(how: "tcp" | "udp", name: Name, withEch: boolean): Promise<boolean> {
  const runner = lab.runner(1);
  const marker = lab.marker();
  await runner.exec("dig", ["+short", name]);
  // Without the extension the marker travels in one that nobody knows, or in the Initial's token.
  const extension = sealed(marker);
  const message = hello(name, withEch ? extension : how === "tcp" ? [0x6a6a, ascii(marker)] : null);
  const initial = () =>
    datagram(sealInitial(padded(cryptoFrame(0, message), 1000), { number: 0, token: ascii(marker) }));
  const bytes = how === "tcp" ? records(message) : initial();
  const hex = Buffer.from(bytes).toString("hex");
  await runner.exec(process.execPath, ["-e", sendScript, how, addresses[name], hex]);
  return lab.sink.saw(marker);
}

const about = (rule: string, name: Name, protocol: string, ech: boolean) => ({
  kind: "connection",
  rule: { name: rule, tier: 2 },
  destination: { name, name_from: "sni", ip: addresses[name], protocol },
  tls: { ech },
});

for (const [how, protocol, suffix] of [
  ["tcp", "tls", ""],
  ["udp", "quic", " quic"],
] as const) {
  test(`over ${protocol} nothing of it arrives where its rule denies, and the same hello without it does`, async () => {
    const { mark } = gateway;
    assert.equal(await attempt(how, "allowed.example", true), false);
    const denied = { verdict: "deny", reason: "ech", stage: "name" };
    await gateway.expect({ ...denied, ...about(`strict${suffix}`, "allowed.example", protocol, true) }, mark);
    assert.equal(await attempt(how, "allowed.example", false), true);
    const allowed = { verdict: "allow", reason: "rule" };
    await gateway.expect({ ...allowed, ...about(`strict${suffix}`, "allowed.example", protocol, false) }, mark);
  });

  test(`over ${protocol} it arrives by its outer name where the rule says nothing and the name is no front's`, async () => {
    const { mark } = gateway;
    assert.equal(await attempt(how, "only.example", true), true);
    await gateway.expect({ verdict: "allow", ...about(`open${suffix}`, "only.example", protocol, true) }, mark);
  });
}

test("where the gateway only monitors it arrives, and the denial is foretold", async () => {
  await gateway.replacePolicy(policyFor("monitor"));
  const { mark } = gateway;
  for (const [how, protocol, rule] of [
    ["tcp", "tls", "strict"],
    ["udp", "quic", "strict quic"],
  ] as const) {
    assert.equal(await attempt(how, "allowed.example", true), true);
    const foretold = { verdict: "would_deny", enforced: false, reason: "ech" };
    await gateway.expect({ ...foretold, ...about(rule, "allowed.example", protocol, true) }, mark);
  }
});
