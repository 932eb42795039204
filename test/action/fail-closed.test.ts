/**
 * The promise of setting up (threat R7): a job that cannot be enforced is red before its first step, with the reason, and nothing
 * is left half set up: no rules, no agent, no control group, no state.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { findMount } from "../../src/kernel/own-cgroup.ts";
import { requireTools } from "../lab/tools.ts";
import { type ApiAnswer, type JobOptions, Runner, type Step } from "./harness.ts";

const policy = "version: 1\nrules:\n  - { name: web, to: allowed.example }\n";
const later: Step = { id: "later", run: "echo ran" };
const nothing = { rules: [], agents: [], cgroups: [], states: [] };

interface Case {
  name: string;
  says: RegExp;
  inputs?: Record<string, string>;
  api?: ApiAnswer;
  job?: (runner: Runner) => JobOptions;
}

const cgroups = findMount(readFileSync("/proc/self/mountinfo", "utf8"));

/** Puts a file of `text` in the place of `path`. */
function instead(runner: Runner, path: string, text: string): JobOptions {
  const file = join(runner.home, "..", `instead-${path.replaceAll("/", "_")}`);
  writeFileSync(file, text, { mode: 0o644 });
  return { prepare: `mount --bind ${file} ${path}` };
}

const ffi = (runner: Runner) => join(runner.actionFolder, `action/dist/koffi-linux-${process.arch}.node`);

const cases: Case[] = [
  {
    name: "no root to be had",
    says: /needs root at its start/,
    job: () => ({ prepare: "mount -t tmpfs tmpfs /etc/sudoers.d" }),
  },
  {
    name: "no cgroup v2",
    says: /No cgroup v2 hierarchy is mounted/,
    job: () => ({ prepare: `umount -l ${cgroups}` }),
  },
  {
    name: "no iptables",
    says: /iptables-restore/,
    job: () => ({ prepare: "mount --bind /dev/null $(readlink -f /usr/sbin/iptables-restore)" }),
  },
  {
    name: "no events of processes",
    says: /process events|proc connector|processes/i,
    job: () => ({ prepare: "umount /run/sallyport/host-net" }),
  },
  {
    name: "no DNS server but a local one",
    says: /Which DNS servers this machine uses is not known/,
    job: (runner) => instead(runner, "/etc/resolv.conf", "nameserver 127.0.0.53\n"),
  },
  {
    name: "a state folder that is not root's",
    says: /must be a folder that only root can write/,
    job: () => ({ prepare: "mount -t tmpfs -o uid=1001 tmpfs /var/lib/sallyport" }),
  },
  {
    name: "a state folder that cannot be written",
    says: /read-only|EROFS/i,
    job: () => ({ prepare: "mount -o remount,bind,ro /var/lib/sallyport" }),
  },
  {
    name: "the FFI's binary missing",
    says: /koffi/,
    job: (runner) => ({ prepare: `mount --bind /dev/null ${ffi(runner)}` }),
  },
  {
    name: "the FFI's binary broken",
    says: /koffi|ELF|file too short/,
    job: (runner) => instead(runner, ffi(runner), "\x7fELF and no more"),
  },
  {
    name: "a policy that is none",
    says: /sallyport\.yaml[^]*(rules|line|flow)/i,
    api: { policy: "version: 1\nrules: [}\n" },
  },
  {
    name: "a policy with a misspelt rule",
    says: /protocl/,
    api: { policy: "version: 1\nrules:\n  - { name: a, to: allowed.example, protocl: tls }\n" },
  },
  {
    name: "a policy that is named and not there",
    says: /\.github\/sallyport\.yaml is not in o\/r at c0ffee/,
    inputs: { policy: ".github/sallyport.yaml" },
    api: { policy: null },
  },
  { name: "an answer of 403", says: /answered 403[^]*contents: read/, api: { policy, status: 403 } },
  { name: "an answer of 500", says: /answered 500/, api: { policy, status: 500 } },
  { name: "an answer that never comes", says: /no answer within 5 s, 3 times/, api: { policy, hang: true } },
  { name: "an input that is misspelt", says: /egress-policy is “blok”/, inputs: { "egress-policy": "blok" } },
  { name: "an input that is none", says: /did you mean egress-policy/, inputs: { "egres-policy": "block" } },
  {
    name: "a pull request without a base",
    says: /does not name the base branch/,
    job: (runner) => {
      const file = join(runner.workspace, "..", "event.json");
      writeFileSync(file, JSON.stringify({ pull_request: { head: { sha: "bad" } } }));
      return { env: { GITHUB_EVENT_NAME: "pull_request", GITHUB_EVENT_PATH: file } };
    },
  },
];

describe("a job that cannot be enforced", () => {
  let runner: Runner;

  before(async () => {
    requireTools(["sudo", "iptables"]);
    runner = await Runner.create({ policy });
  });
  after(() => runner?.close());

  for (const { name, says, inputs, api, job } of cases) {
    test(`is red for ${name}`, async () => {
      runner.answer(api ?? { policy });
      const steps = [{ ...runner.sallyport(inputs), always: true }, later];
      const { failed, results } = await runner.run(steps, job?.(runner));
      const [pre, main, post] = results;
      assert.deepEqual(
        [failed, ...results.map(({ phase, status }) => `${phase} ${status}`)],
        [true, "pre 1", "main 1", "post 1"],
        JSON.stringify(results),
      );
      // By itself `main` is left out; a workflow that wants it in any case gets no second attempt in the middle of a job.
      assert.match(main!.output, /^::error [^]*`pre` failed[^]*nothing is watched or refused/m);
      assert.match(pre!.output, says);
      assert.match(pre!.output, /^::error /m);
      assert.doesNotMatch(pre!.output, /\n {4}at /, "a reason, not a stack");
      assert.match(post!.output, /^::error [^]*`pre` failed[^]*nothing was watched or refused/m);
      assert.deepEqual(runner.standing(), nothing);
    });
  }
});
