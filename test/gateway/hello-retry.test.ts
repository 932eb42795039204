/**
 * N10 with a real server that asks for the ClientHello once more: OpenSSL's, which takes only a group that no client guesses. An
 * honest client gets through; a second hello for another name does not arrive. And what clients of TLS do after their first
 * hello otherwise works: versions, client certificates, resumption, early data.
 */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Lab } from "../lab/lab.ts";
import { Machine } from "../lab/machine.ts";
import type { LabProcess, Outcome } from "../lab/process.ts";
import { requireTools } from "../lab/tools.ts";
import { labNames } from "../lab/topology.ts";
import { RunningGateway } from "./start.ts";
import { brief } from "../support/record.ts";

const retryPort = 8444;
const plainPort = 8445;
const policy = `version: 1
rules:
  - { name: retry, to: ["allowed.example:${retryPort}", "shared.example:${retryPort}"], protocol: tls }
  - { name: plain, to: ["allowed.example:${plainPort}"], protocol: tls }
default: { mode: enforce }
`;

let lab: Lab;
let gateway: RunningGateway;
let retry: LabProcess;
let plain: LabProcess;

before(async () => {
  requireTools(["openssl", "dig"]);
  lab = await Lab.create();
  const directory = join(lab.gateway.home, "internet");
  mkdirSync(directory);
  const namespace = labNames(lab.id).internet;
  const internet = new Machine({ namespace, directory, resolver: ["203.0.113.53"], caFile: lab.caFile });
  const { keyFile, certFile } = await lab.internet.call("certificate", { name: "allowed.example" });
  const serve = (port: number, ...args: string[]) =>
    internet.spawn("openssl", [
      ...["s_server", "-accept", String(port), "-key", keyFile, "-cert", certFile, "-verify", "1", ...args],
      ...["-msg", "-num_tickets", "1"],
    ]);
  retry = serve(retryPort, "-groups", "P-384");
  plain = serve(plainPort, "-early_data", "-max_early_data", "8192");
  await Promise.all([retry.waitFor(/ACCEPT/), plain.waitFor(/ACCEPT/)]);
  gateway = await RunningGateway.start(lab, { policy });
  for (const name of ["allowed.example", "shared.example"]) await lab.runner(1).exec("dig", ["+short", name]);
});
after(async () => {
  await RunningGateway.killAll();
  await lab?.close();
});

/** An OpenSSL client that says the text and stays a moment, so that the server's tickets arrive. */
function client(port: number, text: string, ...args: string[]): Promise<Outcome> {
  const command = `(printf '%s\\n' "$1"; sleep 1) | openssl s_client -connect 203.0.113.10:${port} "$@"`;
  const script = command.replace('"$@"', '$(shift; for a; do printf "%s " "$a"; done)');
  return lab.runner(1).exec("sh", ["-c", script, "client", text, ...args], { timeoutMs: 60_000 });
}

/** Whether the server's application has read the marker, now or soon. */
async function has(server: LabProcess, marker: string, patienceMs = 30_000): Promise<boolean> {
  const end = performance.now() + patienceMs;
  while (!server.stdout.includes(marker) && performance.now() < end) await sleep(20);
  return server.stdout.includes(marker);
}

const allowed = ["-servername", "allowed.example"];

describe("N10: HelloRetryRequest", () => {
  test("an honest client is asked again, answers, and gets through", async () => {
    const marker = lab.marker();
    const from = retry.stdout.length;
    const { stderr } = await client(retryPort, marker, ...allowed);
    assert.ok(await has(retry, marker), stderr);
    const hellos = retry.stdout.slice(from).match(/<<< .*ClientHello/g) ?? [];
    assert.equal(hellos.length, 2, "the server really asked");
  });

  for (const [title, second, reaches] of [
    ["for the same name arrives", "allowed.example", true],
    ["for another name does not arrive", "evil.example", false],
    ["for another allowed name does not arrive either", "shared.example", false],
  ] as const) {
    for (const cut of [0, 3, 6, 9, 40]) {
      test(`a second hello ${title}, cut at ${cut}`, async () => {
        const marker = lab.marker();
        const { mark } = gateway;
        const { stdout } = await lab.runner(1).exec(process.execPath, ["-e", dialogue, second, marker, String(cut)]);
        assert.match(stdout, /^asked again/, "the server really asked");
        assert.equal(await lab.sink.saw(marker), reaches);
        if (reaches) return;
        const destination = { name: second, ip: "203.0.113.10" };
        await gateway.expect({ verdict: "deny", reason: "host_changed", stage: "name", destination }, mark, 30_000);
      });
    }
  }
});

describe("what follows an ordinary hello is let through", () => {
  test("TLS 1.2 and 1.3, in full and resumed, with a client certificate", async () => {
    const { keyFile, certFile } = await lab.internet.call("certificate", { name: "client.example" });
    const { mark } = gateway;
    for (const version of ["-tls1_2", "-tls1_3"]) {
      for (const more of [[], ["-cert", certFile, "-key", keyFile]]) {
        const session = join(lab.runner(1).home, `session${version}${more.length}`);
        for (const keep of ["-sess_out", "-sess_in"]) {
          const marker = lab.marker();
          const outcome = await client(plainPort, marker, ...allowed, version, ...more, keep, session);
          assert.ok(await has(plain, marker), `${version} ${more.join(" ")} ${keep}: ${outcome.stderr}`);
          if (keep === "-sess_in") assert.match(outcome.stdout, /^Reused, /m);
        }
      }
    }
    assert.deepEqual(gateway.recorded({ verdict: "deny", kind: "connection" }, mark).map(brief), []);
  });

  test("early data arrives for an allowed name; for a denied one nothing does", async () => {
    const session = join(lab.runner(1).home, "session");
    const [first, early, denied] = [lab.marker(), lab.marker(), lab.marker()];
    await client(plainPort, first, ...allowed, "-tls1_3", "-sess_out", session);
    assert.ok(await has(plain, first));
    const say = async (marker: string, name: string) => {
      const file = join(lab.runner(1).home, marker);
      await lab.runner(1).exec("sh", ["-c", `echo early-${marker} > ${file}`]);
      return client(plainPort, "later", "-servername", name, "-tls1_3", "-sess_in", session, "-early_data", file);
    };
    const outcome = await say(early, "allowed.example");
    assert.match(outcome.stdout, /Early data was accepted/);
    assert.ok(await has(plain, `early-${early}`));
    const from = plain.stdout.length;
    const { mark } = gateway;
    await say(denied, "evil.example");
    await gateway.expect({ verdict: "deny", reason: "default", destination: { name: "evil.example" } }, mark, 30_000);
    assert.equal(await has(plain, denied, 500), false);
    assert.doesNotMatch(plain.stdout.slice(from), /<<< .*ClientHello/);
  });
});

/**
 * Says a real hello for `allowed.example`; when the server asks for another, change_cipher_spec and a hello for the name in
 * question, with a marker in an extension of its own, in two writes cut at the given place.
 */
const dialogue = `
const [, second, marker, cut] = process.argv;
const tls = require("tls"), net = require("net"), { Duplex } = require("stream");
const retryRandom = Buffer.from("cf21ad74e59a6111be1d8c021e65b891", "hex");
const helloFor = (servername, done) => {
  const wire = new Duplex({ read() {}, write: (chunk) => done(chunk) });
  tls.connect({ socket: wire, servername, minVersion: "TLSv1.3" }).on("error", () => {});
};
/** The hello with one more extension in front, of an unknown type, that holds the marker. */
const marked = (hello) => {
  const data = Buffer.from(marker);
  let at = 5 + 4 + 34;
  at += 1 + hello[at];
  at += 2 + hello.readUInt16BE(at);
  at += 1 + hello[at];
  const extra = Buffer.concat([Buffer.of(0xfa, 0xce, 0, data.length), data]);
  const out = Buffer.concat([hello.subarray(0, at + 2), extra, hello.subarray(at + 2)]);
  out.writeUInt16BE(out.readUInt16BE(at) + extra.length, at);
  out.writeUIntBE(out.readUIntBE(6, 3) + extra.length, 6, 3);
  out.writeUInt16BE(out.readUInt16BE(3) + extra.length, 3);
  return out;
};
helloFor("allowed.example", (first) => helloFor(second, (other) => {
  const socket = net.connect({ host: "203.0.113.10", port: ${retryPort}, noDelay: true }, () => socket.write(first));
  socket.on("error", () => {});
  socket.once("data", (answer) => {
    console.log(answer.includes(retryRandom) ? "asked again" : "not asked");
    const rest = Buffer.concat([Buffer.of(20, 3, 3, 0, 1, 1), marked(other)]);
    const at = Number(cut);
    if (at > 0) socket.write(rest.subarray(0, at));
    setTimeout(() => socket.write(rest.subarray(at)), at > 0 ? 100 : 0);
  });
  setTimeout(() => process.exit(), 1000);
}));`;
