/**
 * Promises about the gateway's record: with a key of the user's it is signed from the first record to the last, across crashes and
 * restarts; old segments go and what remains is vouched for; and on a disk that is full, or goes read-only under the running
 * gateway, enforcement goes on and `status` is red, since when and at what cost (invariant 4).
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { loadSigningKey, makeKeyPair } from "../../src/audit/key.ts";
import { Spool } from "../../src/audit/spool.ts";
import type { Verification } from "../../src/audit/verify.ts";
import type { Status } from "../../src/enforcer/status.ts";
import { Lab } from "../lab/lab.ts";
import type { Outcome } from "../lab/process.ts";
import { requireTools } from "../lab/tools.ts";
import { launcher } from "../support/launcher.ts";
import { gatewayArguments, RunningGateway, writePolicy } from "./start.ts";

const policy = `version: 1
rules:
  - { name: web, to: [allowed.example, only.example] }
`;

let lab: Lab;
let keyFile: string;
let keyId: string;
const mounted = new Set<string>();

before(async () => {
  requireTools(["ip", "iptables", "curl", "dig", "mount", "mkfs.ext4"]);
  lab = await Lab.create();
  keyFile = join(lab.gateway.home, "key");
  keyId = makeKeyPair(keyFile).id;
});
afterEach(async () => {
  await RunningGateway.killAll();
  for (const path of mounted) unmount(path);
});
after(() => lab?.close());

function run(command: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: "utf8" });
  assert.equal(status, 0, `${command} ${args.join(" ")}: ${error?.message ?? stderr}`);
}

function mount(path: string, ...args: string[]): void {
  mkdirSync(path, { recursive: true });
  run("mount", "-n", ...args, path);
  mounted.add(path);
}

function unmount(path: string): void {
  run("umount", "-n", path);
  mounted.delete(path);
}

const curl = (...args: string[]): Promise<Outcome> =>
  lab.runner(1).exec("curl", ["-sS", "--max-time", "10", "-o", "/dev/null", ...args]);

async function enforces(): Promise<void> {
  const marker = lab.marker();
  assert.equal((await curl("-4", "https://only.example/")).code, 0);
  assert.equal((await curl("-k", "--connect-to", "::203.0.113.66:443", `https://${marker}.example/`)).code, 7);
  assert.deepEqual(await lab.sink.find(marker), []);
}

/** The status once it is so; the last one where it never is. */
async function statusWhen(gateway: RunningGateway, is: (status: Status) => boolean): Promise<Status> {
  for (let i = 0; ; i++) {
    const status = await gateway.status();
    if (is(status) || i === 30) return status;
  }
}

async function verify(state: string, ...args: string[]): Promise<Verification> {
  const { stdout, stderr } = await lab.gateway.exec(launcher, ["logs", "verify", "--state", state, "--json", ...args]);
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout) as Verification;
}

test("a signed record: verified with the public key while it is written, after a crash, and to its last record after a stop", async () => {
  const args = ["--sign-key", keyFile];
  const keyed = ["--key", `${keyFile}.pub`];
  const first = await RunningGateway.start(lab, { policy, state: "signed", args });
  await enforces();
  assert.equal((await first.status()).record.key, keyId);
  assert.match((await first.ask("status")).stdout, new RegExp(`\\nrecord .* signed by ${keyId.slice(0, 16)}\\n`));
  await first.expect({ kind: "connection", verdict: "deny" });
  const running = await verify(first.state, ...keyed);
  assert.deepEqual([running.ok, running.broken], [true, null]);
  await first.crash();
  const crashed = await verify(first.state, ...keyed);
  assert.equal(crashed.broken, null);
  const second = await RunningGateway.start(lab, { policy, state: "signed", args: [...args, "--on-exit", "clean"] });
  await enforces();
  assert.equal((await second.stop()).code, 0);
  const done = await verify(second.state, ...keyed);
  assert.deepEqual([done.ok, done.notes, done.seals.closed], [true, [], done.segments]);
  assert.ok(done.records > crashed.records);
  makeKeyPair(join(lab.gateway.home, "other"));
  const other = await verify(second.state, "--key", join(lab.gateway.home, "other.pub"));
  assert.equal(other.broken?.kind, "seal_other_key");
});

test("a key that others may read is no key: nothing starts, exit 2", async () => {
  const open = join(lab.gateway.home, "open");
  makeKeyPair(open);
  chmodSync(open, 0o640);
  const file = writePolicy(join(lab.gateway.home, "never.yaml"), policy);
  const args = gatewayArguments(lab, file, join(lab.gateway.home, "never"));
  const { code, stderr } = await lab.gateway.exec(launcher, [...args, "--sign-key", open]);
  assert.equal(code, 2, stderr);
  assert.match(stderr, /others may use it.*chmod 600.*KEY_UNUSABLE/s);
});

test("old segments go while it runs, and what remains says where it begins", async () => {
  const state = join(lab.gateway.home, "kept");
  const spool = await Spool.open({
    directory: state,
    key: loadSigningKey(keyFile),
    segmentBytes: 5000,
    flushBytes: 1000,
  });
  for (let port = 1; port <= 60; port++) {
    spool.append({ kind: "connection", destination: { name: null, name_from: "none", port, protocol: "tcp" } });
  }
  await spool.close();
  const segments = () =>
    readdirSync(join(state, "events"))
      .filter((name) => name.endsWith("ndjson"))
      .toSorted();
  const [oldest] = segments();
  const args = ["--sign-key", keyFile, "--keep-size", "12 kB", "--on-exit", "clean"];
  const gateway = await RunningGateway.start(lab, { policy, state: "kept", args });
  const told = await gateway.expect({ kind: "lifecycle", message: /^Retention deletes \d segments, records 1 to / });
  await enforces();
  const kept = await verify(state, "--key", `${keyFile}.pub`);
  assert.deepEqual([kept.ok, kept.retention, kept.first > 1], [true, { seq: told.seq }, true]);
  assert.ok(!segments().includes(oldest!));
  assert.ok((await gateway.status()).record.bytes <= 14_000);
  await gateway.stop();
  assert.equal((await verify(state, "--key", `${keyFile}.pub`)).ok, true);
});

test("retention that stops at what does not verify is a problem that status tells", async () => {
  const state = join(lab.gateway.home, "blocked");
  const spool = await Spool.open({ directory: state, segmentBytes: 1000, flushBytes: 500 });
  for (let i = 0; i < 20; i++) spool.append({ kind: "policy", message: "x".repeat(200) });
  await spool.close();
  rmSync(join(state, "events", "events-000000000001.seal.json"));
  const args = ["--keep-for", "90d", "--on-exit", "clean"];
  const gateway = await RunningGateway.start(lab, { policy, state: "blocked", args });
  const { state: said, problems } = await statusWhen(gateway, (status) => status.state === "degraded");
  assert.equal(said, "degraded");
  assert.match(problems.join(), /old segments of the record are not deleted: events-000000000001\.ndjson has no seal/);
  await enforces();
  await gateway.stop();
});

/** What a gateway says whose record cannot be written. */
async function isRed(gateway: RunningGateway, error: RegExp, before: number): Promise<void> {
  const { state, problems, record } = await statusWhen(gateway, ({ record: { degraded } }) => degraded);
  assert.equal(state, "degraded");
  assert.match(problems.join("\n"), error);
  assert.ok(Date.parse(record.since!) >= before && Date.parse(record.since!) <= Date.now(), record.since!);
  const { code, stdout } = await gateway.ask("status");
  assert.equal(code, 1);
  assert.match(
    stdout,
    /^degraded since .*\n(.*\n)*? {2}problem: the record cannot be written: .*; since 20\S+Z, (no event is lost yet|\d+ events are lost so far)\n/,
  );
}

test("a disk that fills up: enforcement goes on, status is red, and the record says how long", async () => {
  const state = join(lab.gateway.home, "full");
  mount(state, "-t", "tmpfs", "-o", "size=2m,mode=700", "none");
  const args = ["--sign-key", keyFile, "--on-exit", "clean"];
  const gateway = await RunningGateway.start(lab, { policy, state: "full", args });
  await enforces();
  const { mark } = gateway;
  const begun = Date.now();
  const ballast = join(state, "ballast");
  assert.throws(() => {
    for (;;) writeFileSync(ballast, Buffer.alloc(4096), { flag: "a" });
  }, /ENOSPC/);
  await enforces();
  await isRed(gateway, /cannot be written: ENOSPC/, begun);
  await enforces();
  rmSync(ballast);
  const well = await statusWhen(gateway, (status) => status.state === "enforcing");
  assert.deepEqual([well.problems, well.record.since, well.record.losing], [[], null, 0]);
  const gap = await gateway.expect({ kind: "lifecycle", message: /could not be written for a while/ }, mark);
  assert.equal(gap.data!["lost"], well.record.lost);
  assert.ok(Date.parse(gap.data!["since"] as string) >= begun);
  await enforces();
  await gateway.stop();
  assert.equal((await verify(state, "--key", `${keyFile}.pub`)).broken, null);
});

test("a disk that goes read-only: enforcement goes on, status is red, and a restart on the mended disk goes on with the record", async () => {
  const state = join(lab.gateway.home, "failing");
  const image = join(lab.gateway.home, "image");
  writeFileSync(image, Buffer.alloc(16 << 20));
  run("mkfs.ext4", "-q", "-F", image);
  mount(state, "-o", "loop", image);
  const args = ["--sign-key", keyFile, "--on-exit", "clean"];
  const gateway = await RunningGateway.start(lab, { policy, state: "failing", args });
  await enforces();
  await gateway.expect({ kind: "connection", verdict: "deny" });
  const begun = Date.now();
  // What ext4 does by itself when its device fails (errors=remount-ro): everything that writes gets EROFS from now on.
  run("mount", "-n", "-o", "remount,abort", state);
  await enforces();
  await isRed(gateway, /cannot be written: EROFS/, begun);
  await enforces();
  const { code, stderr } = await gateway.stop();
  assert.equal(code, 0, stderr);
  unmount(state);
  // A copy: the kernel goes on with a failed file system that is still mounted somewhere, in a namespace of another process.
  copyFileSync(image, `${image}.mended`);
  mount(state, "-o", "loop", `${image}.mended`);
  const after = await verify(state, "--key", `${keyFile}.pub`);
  assert.equal(after.broken, null, after.broken?.message ?? "");
  const again = await RunningGateway.start(lab, { policy, state: "failing", args });
  await enforces();
  await again.stop();
  const { ok, records } = await verify(state, "--key", `${keyFile}.pub`);
  assert.deepEqual([ok, records > after.records], [true, true]);
});
