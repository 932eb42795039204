/**
 * Promises about the DNS firewall's thread in a gateway. Killed: the gateway says so and ends as one that failed, and nothing new gets
 * through. While a large policy is read and compiled: questions are answered, and the record has each before its connection.
 */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { Lab } from "../lab/lab.ts";
import { requireTools } from "../lab/tools.ts";
import { RunningGateway } from "./start.ts";

const rules = `  - { name: web, to: [allowed.example, only.example] }\n`;
const policy = `version: 1\nrules:\n${rules}`;

let lab: Lab;

before(async () => {
  requireTools(["ip", "iptables", "curl", "dig"]);
  lab = await Lab.create({ sink: false });
});
afterEach(() => RunningGateway.killAll());
after(() => lab?.close());

const dig = (name: string) => lab.runner(1).exec("dig", ["+tries=1", "+time=10", name]);
const fetch = (url: string) => lab.runner(1).exec("curl", ["-sS", "--max-time", "10", "-o", "/dev/null", url]);

test("its thread dies: the gateway says so and ends with 1; nothing is resolved and nothing new gets through", async () => {
  const hook = new URL("./end-thread.ts", import.meta.url).pathname;
  const gateway = await RunningGateway.start(lab, { policy, env: { NODE_OPTIONS: `--import ${hook}` } });
  assert.equal((await fetch("https://allowed.example/")).code, 0);
  const { pid } = await gateway.status();
  process.kill(pid, "SIGUSR2");
  const { code, stderr } = await gateway.process.exited;
  assert.equal(code, 1, stderr);
  assert.match(
    stderr,
    /^sallyport: enforcement lost: the DNS firewall's thread died: .*; new connections are refused$/m,
  );
  assert.match((await dig("allowed.example")).stdout, /timed out|refused|no servers could be reached/);
  const pinned = ["--connect-to", "::203.0.113.11:443", "https://only.example/"];
  const tried = await lab.runner(1).exec("curl", ["-sSk", "--max-time", "2", "-o", "/dev/null", ...pinned]);
  assert.notEqual(tried.code, 0);
  const again = await RunningGateway.start(lab, { policy });
  assert.equal((await fetch("https://allowed.example/")).code, 0, "one that is started again serves");
  await again.expect({ kind: "dns", verdict: "allow", destination: { name: "allowed.example" } });
});

test("questions are answered while a large policy is read and compiled, and stand before their connections", async () => {
  const gateway = await RunningGateway.start(lab, { policy });
  const { mark } = gateway;
  const large = Array.from({ length: 4_000 }, (_, i) => `  - { name: r${i}, to: [host${i}.large.example] }\n`);
  const done = { isChanged: false };
  const changed = gateway.replacePolicy(`version: 1\nrules:\n${rules}${large.join("")}`).then((ms) => {
    done.isChanged = true;
    return ms;
  });
  let answered = 0;
  do {
    const { stdout } = await dig("allowed.example");
    assert.match(stdout, /status: NOERROR/, `answer ${answered}`);
    answered++;
  } while (!done.isChanged);
  await changed;
  assert.equal((await fetch("https://only.example/")).code, 0);
  const connection = await gateway.expect({ kind: "connection", destination: { name: "only.example" } }, mark);
  const name = await gateway.expect({ kind: "dns", destination: { name: "only.example" } }, mark);
  assert.ok(name.seq < connection.seq, "the connection is in the record before its name's answer");
});
