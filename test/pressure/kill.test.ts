/**
 * Invariant 6: kill -9 of the gateway at any moment, while it starts, while its policy changes, and under load. Nothing that was
 * denied ever arrives; it comes up again on the same state, in bounded time and without anybody's help; the chain holds after
 * each death; and after a clean stop nothing of it is left. The rounds are drawn from a seed that the output shows.
 */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Lab } from "../lab/lab.ts";
import type { LabProcess } from "../lab/process.ts";
import { requireTools } from "../lab/tools.ts";
import { hostState } from "../gateway/host-state.ts";
import { gatewayArguments, writePolicy } from "../gateway/start.ts";
import { launcher } from "../support/launcher.ts";
import { eventually, figures, isFull, shell } from "./support.ts";

const policies = [
  `version: 1
rules:
  - { name: web, to: [allowed.example, only.example] }
`,
  `version: 1
rules:
  - { name: web, to: [allowed.example, only.example, cdn.example] }
`,
] as const;
const rounds = isFull ? 24 : 6;
/** From the start to the word that it enforces; generous, for machines that do much else. */
const longestStart = 90_000;

let lab: Lab;

before(async () => {
  requireTools(["ip", "iptables", "curl", "dig", "ncat"]);
  lab = await Lab.create();
});
after(() => lab?.close());

/** A small generator of random numbers (xorshift32), so that a round can be told again. */
function numbers(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

/** A job that tries all the time what is refused, each try with the marker, and does what is allowed as well. */
function load(marker: string): LabProcess {
  const curl = "curl -sk -o /dev/null --max-time 1";
  const tries = [
    `${curl} --connect-to ::203.0.113.66:443 https://${marker}.example/`,
    // An allowed name's address with another name: refused by its hello.
    `${curl} --connect-to ::203.0.113.10:443 https://${marker}.evil.example/`,
    `${curl} -6 --connect-to "::[2001:db8:200::10]:443" https://${marker}.evil.example/`,
    `${curl} -H "X: ${marker}" http://203.0.113.80/`,
    `dig +tries=1 +time=1 ${marker}.evil.example`,
    `dig +tries=1 +time=1 +tcp ${marker}.only.example`,
    `echo ${marker} | ncat -u --send-only -w 1 203.0.113.91 9100`,
    `${curl} https://allowed.example/`,
    `dig +tries=1 +time=1 allowed.example`,
  ];
  const loops = tries.map((line) => `(while :; do ${line}; sleep 0.3; done) >/dev/null 2>&1 &`);
  return lab.runner(1).spawn("sh", ["-c", `${loops.join("\n")}\nwait`]);
}

/** Resolves when it and all that hold its output are gone; rejects with what is left of it, where somebody does for long. */
async function gone(gateway: LabProcess, when: string): Promise<void> {
  const late = Symbol("late");
  const timer = new AbortController();
  const waited = sleep(60_000, late, { signal: timer.signal }).catch(() => late);
  if ((await Promise.race([gateway.exited, waited])) === late) {
    const left = await shell(
      lab.gateway,
      `ps -o pid,ppid,stat,wchan:32,args -p $(ip netns pids ${lab.id}-gateway | paste -sd,)`,
    );
    assert.fail(`${when}: not gone after a minute\n${left}`);
  }
  timer.abort();
}

test(`kill -9 at ${rounds} random moments: closed, recovered, and the chain holds`, async (t) => {
  const seed = Number(process.env["SALLYPORT_SEED"] ?? Date.now() % 1_000_000_007);
  t.diagnostic(`SALLYPORT_SEED=${seed}`);
  const random = numbers(seed);
  const before = await hostState(lab);
  const state = join(lab.gateway.home, "killed");
  mkdirSync(state);
  const policyFile = writePolicy(`${state}.yaml`, policies[0]);
  const start = (...args: string[]) =>
    lab.gateway.spawn(launcher, [...gatewayArguments(lab, policyFile, state), ...args]);
  const starts: number[] = [];
  const isReady = async (gateway: LabProcess): Promise<void> => {
    const begun = performance.now();
    await gateway.waitFor(/^sallyport: ready: /m, longestStart);
    starts.push(Math.round(performance.now() - begun));
  };
  const verified = async (): Promise<number> => {
    const { code, stdout, stderr } = await lab.gateway.exec(launcher, ["logs", "verify", "--state", state, "--json"]);
    assert.equal(code, 0, stderr);
    return (JSON.parse(stdout) as { records: number }).records;
  };
  const marker = lab.marker();
  const job = load(marker);
  let records = 0;
  for (let round = 0; round < rounds; round++) {
    const gateway = start();
    const phase = (["starting", "reloading", "loaded"] as const)[round % 3]!;
    if (phase === "starting") await sleep(random() * 2_000);
    else {
      await isReady(gateway);
      if (phase === "loaded") await sleep(random() * 1_500);
      const changes = phase === "reloading" ? 3 : 0;
      for (let i = 0; i < changes; i++) {
        writePolicy(policyFile, policies[i % 2]!);
        await sleep(random() * 300);
      }
    }
    // With what it is running (iptables-restore), or alone.
    if (random() < 0.5) gateway.signal("SIGKILL");
    else process.kill(gateway.pid, "SIGKILL");
    await gone(gateway, `round ${round}, killed while ${phase}`);
    await sleep(200);
    assert.deepEqual(await lab.sink.find(marker), [], `round ${round}, killed while ${phase}`);
    if (phase !== "starting" || records > 0) {
      const now = await verified();
      assert.ok(now >= records, `the record shrank from ${records} to ${now}`);
      records = now;
    }
  }
  const last = start("--on-exit", "clean");
  await isReady(last);
  const page = await lab
    .runner(1)
    .exec("curl", ["-sS", "-o", "/dev/null", "--max-time", "20", "https://only.example/"]);
  assert.equal(page.code, 0, page.stderr);
  assert.deepEqual(await lab.sink.find(marker), []);
  const { code, stderr } = await last.kill("SIGTERM");
  assert.equal(code, 0, stderr);
  await job.kill("SIGKILL");
  await verified();
  assert.deepEqual(await hostState(lab), before, "something is left on the host");
  const left = await eventually(
    () =>
      shell(
        lab.gateway,
        `for p in $(ip netns pids ${lab.id}-gateway); do cat /proc/$p/cmdline 2>/dev/null | tr '\\0' ' '; echo; done`,
      ),
    (text) => !text.includes("sallyport gateway") && !text.includes("main.ts gateway"),
  );
  assert.doesNotMatch(left, /main\.ts gateway|iptables/);
  figures(t, { rounds, records, startMs: starts });
});
