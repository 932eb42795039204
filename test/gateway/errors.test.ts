/**
 * Promise: a gateway that cannot enforce says why and what to do, with exit code 2 (usage, policy) or 4 (enforcement), and
 * leaves nothing behind: rules, settings and sockets are as they were (invariant 2).
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { inNamespace } from "../../src/kernel/namespace.ts";
import { QueueSocket } from "../../src/kernel/nfqueue.ts";
import { Lab } from "../lab/lab.ts";
import type { Outcome } from "../lab/process.ts";
import { requireTools } from "../lab/tools.ts";
import { hostState } from "./host-state.ts";
import { gatewayArguments, RunningGateway, writePolicy } from "./start.ts";
import { launcher } from "../support/launcher.ts";

const policy = "version: 1\nrules:\n  - { name: web, to: [allowed.example] }\n";
let lab: Lab;
let good: string;
let untouched: string[];

before(async () => {
  requireTools(["ip", "iptables", "socat"]);
  lab = await Lab.create({ sink: false });
  good = writePolicy(join(lab.gateway.home, "good.yaml"), policy);
  untouched = await hostState(lab);
});
afterEach(() => RunningGateway.killAll());
after(() => lab?.close());

let states = 0;
const newState = (): string => join(lab.gateway.home, `errors-${++states}`);

type Failure = { code: number; says: RegExp; args?: string[]; policy?: string; state?: string; prefix?: string[] };

/** Starts a gateway that must fail, and holds it to the promise. */
async function fails({
  code,
  says,
  args = [],
  policy = good,
  state = newState(),
  prefix = [],
}: Failure): Promise<Outcome> {
  const [program, ...rest] = [...prefix, launcher, ...gatewayArguments(lab, policy, state), ...args];
  const outcome = await lab.gateway.exec(program!, rest);
  assert.equal(outcome.code, code, outcome.stderr);
  assert.match(outcome.stderr, says);
  // Said for people: what happened and what to do, never where in our code.
  assert.doesNotMatch(outcome.stderr, /\n +at |defect/);
  assert.equal(outcome.stdout, "");
  assert.deepEqual(await hostState(lab), untouched);
  assert.equal(existsSync(join(state, "control.sock")), false);
  return outcome;
}

test("a policy that is not there, or is a directory", async () => {
  await fails({ code: 2, says: /missing\.yaml.*POLICY_UNREADABLE/s, policy: join(lab.gateway.home, "missing.yaml") });
  await fails({ code: 2, says: /POLICY_UNREADABLE/, policy: lab.gateway.home });
});

test("a policy that does not load: every problem with file, line, column and fix", async () => {
  const bad = writePolicy(
    join(lab.gateway.home, "bad.yaml"),
    "version: 1\nrules:\n  - { name: web, to: [http://x.example/] }\n  - { name: web, too: [y.example] }\n",
  );
  const { stderr } = await fails({ code: 2, says: /POLICY_INVALID/, policy: bad });
  assert.match(stderr, /bad\.yaml:3:\d+: /);
  assert.match(stderr, /bad\.yaml:4:\d+: /);
});

test("arguments that make no sense", async () => {
  await fails({ code: 2, says: /nonsense/, args: ["--dns", "nonsense"] });
  await fails({ code: 2, says: /whole number/, args: ["--queue", "x"] });
  await fails({ code: 2, says: /choices|Allowed/, args: ["--on-exit", "open"] });
  const none = await lab.gateway.exec(launcher, ["gateway", "--policy", good, "--state", newState()]);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /--inside/);
  await fails({ code: 2, says: /named twice/, args: ["--inside", lab.gateway.outside] });
});

test("an interface that is not there", async () => {
  const { stderr } = await fails({ code: 4, says: /UNKNOWN_INTERFACE/, args: ["--inside", "eth99"] });
  assert.ok(stderr.includes("eth99") && stderr.includes(lab.gateway.outside), stderr);
});

test("a DNS port that somebody listens on", async () => {
  for (const listen of ["UDP4-RECV:15053,bind=10.20.1.1", "TCP6-LISTEN:15053,bind=[fd20:1::1]"]) {
    const squatter = lab.gateway.spawn("socat", ["-d", "-d", "-u", listen, "STDOUT"]);
    await squatter.waitFor(/listening|starting data transfer/);
    await fails({ code: 4, says: /15053.*PORT_IN_USE/s });
    await squatter.kill();
  }
});

test("a queue that somebody reads", async () => {
  const reader = inNamespace(lab.gateway.namespace, () => QueueSocket.open(5101));
  try {
    await fails({ code: 4, says: /5101.*QUEUE_IN_USE/s, args: ["--threads", "2"] });
  } finally {
    reader.close();
  }
});

test("a state directory that cannot be written, or is full", async () => {
  const file = join(lab.gateway.home, "file");
  writeFileSync(file, "");
  await fails({ code: 4, says: /STATE_UNWRITABLE/, state: join(file, "state") });
  const mounted = join(lab.gateway.home, "mounted");
  mkdirSync(mounted);
  const prefix = (mount: string): string[] => [
    "sh",
    "-c",
    `mount -n -t tmpfs ${mount} none ${mounted} && exec "$@"`,
    "sh",
  ];
  await fails({ code: 4, says: /STATE_UNWRITABLE/, state: mounted, prefix: prefix("-o ro") });
  // One page, and the directory itself is not counted: nothing with content fits.
  const fill = ["sh", "-c", `cat /dev/zero > ${mounted}/fill 2>/dev/null; exec "$@"`, "sh"];
  await fails({ code: 4, says: /STATE_UNWRITABLE/, state: mounted, prefix: [...prefix("-o size=4k"), ...fill] });
  await fails({ code: 4, says: /STATE_UNWRITABLE/, state: join(lab.gateway.home, "long".repeat(30)) });
});

test("missing capabilities, one by one, and another user than root", async () => {
  for (const capability of ["net_admin", "net_raw", "sys_admin"]) {
    const prefix = ["setpriv", `--bounding-set=-${capability}`, `--inh-caps=-${capability}`];
    const says = new RegExp(`CAP_${capability.toUpperCase()}.*MISSING_CAPABILITY`, "s");
    await fails({ code: 4, says, prefix });
  }
  const readable = "/tmp/sallyport-test-policy.yaml";
  await lab.gateway.exec("sh", ["-c", `cat ${good} > ${readable}; chmod 644 ${readable}`]);
  const prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  await fails({ code: 4, says: /NOT_ROOT/, prefix, policy: readable, state: "/tmp/sallyport-test-nobody" });
  await lab.gateway.exec("rm", [readable]);
});

test("two gateways: on one state directory, and in one place", async () => {
  const first = await RunningGateway.start(lab, { policy, state: "first", args: ["--on-exit", "clean"] });
  const running = await hostState(lab);
  const second = async (state: string, says: RegExp, ...args: string[]): Promise<void> => {
    const outcome = await lab.gateway.exec(launcher, [...gatewayArguments(lab, good, state), ...args]);
    assert.equal(outcome.code, 4, outcome.stderr);
    assert.match(outcome.stderr, says);
    assert.deepEqual(await hostState(lab), running);
    assert.equal((await first.status()).state, "enforcing");
    assert.equal((await lab.runner(1).exec("curl", ["-sS", "-o", "/dev/null", "https://allowed.example/"])).code, 0);
  };
  await second(first.state, /STATE_IN_USE/);
  await second(first.state, /STATE_IN_USE/, "--queue", "7000", "--dns-port", "7053");
  await second(newState(), /PORT_IN_USE/);
  await second(newState(), /QUEUE_IN_USE/, "--dns-port", "7053");
  assert.equal((await first.stop()).code, 0);
  assert.deepEqual(await hostState(lab), untouched);
});

test("after all that a gateway starts at once, on a state directory whose start had failed too", async () => {
  const bad = writePolicy(join(lab.gateway.home, "state-retry.yaml"), "version: 2\n");
  await fails({ code: 2, says: /POLICY_INVALID/, policy: bad, state: join(lab.gateway.home, "state-retry") });
  const gateway = await RunningGateway.start(lab, { policy, state: "state-retry", args: ["--on-exit", "clean"] });
  assert.equal((await gateway.status()).state, "enforcing");
  assert.equal((await gateway.stop()).code, 0);
  assert.deepEqual(await hostState(lab), untouched);
});
