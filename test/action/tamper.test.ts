/**
 * The promise against tampering (threats R3, R5, R8): who has no root changes nothing, and the job is green with what was refused; who
 * has it can break the firewall, and the job is red and says what was done.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { requireTools } from "../lab/tools.ts";
import { until } from "../support/until.ts";
import { type JobResult, Runner, type Step } from "./harness.ts";

const policy = "version: 1\nrules:\n  - { name: web, to: allowed.example }\n";

/** Each line is tried by itself, and says whether it could be done. */
function attempts(id: string, lines: Record<string, string>): Step {
  const run = Object.entries(lines).map(
    ([name, line]) => `( ${line} ) > /dev/null 2>&1 && echo "${name}: done" || echo "${name}: no"`,
  );
  return { id, run: ["set +e", ...run].join("\n") };
}

function outcome({ results }: JobResult, id: string): Record<string, string> {
  const text = results.find(({ step, phase }) => step === id && phase === "main")?.output ?? "";
  return Object.fromEntries(
    text.split("\n").flatMap((line) => (/^[^:]+: (done|no)$/.test(line) ? [line.split(": ")] : [])),
  );
}

const post = ({ results }: JobResult) => results.find(({ phase }) => phase === "post");
const web = "curl -sS --max-time 3 -o /dev/null https://allowed.example/";
/** In a shell: the number of this machine's agent. */
const agentPid = `$(sed 's/.*"agent":{"pid":\\([0-9]*\\).*/\\1/' /var/lib/sallyport/agent.json)`;

describe("tampering", () => {
  let runner: Runner;

  before(async () => {
    requireTools(["curl", "sudo"]);
    runner = await Runner.create({ policy });
  });
  after(() => runner?.close());

  const unsudo = () => runner.root("rm -f /etc/sudoers.d/zzz-sallyport");

  describe("without root", () => {
    const lines = (action: string): Record<string, string> => ({
      edit: `echo 'process.exit(0)' > ${action}/action/dist/post.mjs`,
      append: `echo >> ${action}/action/dist/agent.mjs`,
      remove: `rm -f ${action}/action/dist/post.mjs`,
      replace: `cp /bin/true ${action}/action/dist/new && mv ${action}/action/dist/new ${action}/action/dist/post.mjs`,
      chmod: `chmod 777 ${action}/action/dist/post.mjs`,
      "move dist": `mv ${action}/action/dist ${action}/action/old`,
      "move action": `mv ${action}/action ${action}/old`,
      "move version": `mv ${action} ${action}-old`,
      "move repository": `mv ${action}/.. ${action}/../../old`,
      "move owner": `cd ${action}/../../.. && mv sallyport old`,
      "move actions": `cd ${action}/../../../.. && mv _actions old`,
      unmount: `umount ${action}/action || umount -l ${action}/action`,
      sudo: "sudo -n true",
      kill: `kill -9 ${agentPid}`,
      record: 'ls "$(dirname $SOCKET)/record"',
      order: 'cat "$(dirname $SOCKET)/order.json"',
      report: 'echo {} > "$(dirname $SOCKET)/results/report.json"',
      state: 'mv "$(dirname $SOCKET)" /tmp/state',
      program: 'echo >> "$(dirname $SOCKET)/program/agent.mjs"',
      socket: 'rm -f "$SOCKET" && test ! -e "$SOCKET"',
      "post to socket": 'curl -sf --max-time 3 --unix-socket "$SOCKET" -X POST http://agent/finish',
      "unknown question": 'curl -sf --max-time 3 --unix-socket "$SOCKET" http://agent/stop',
      rules: "iptables -F",
      "user namespace": "unshare -rn iptables -F && false",
      cgroup: `echo $$ > /sys/fs/cgroup/unified/sallyport-${agentPid}/cgroup.procs || echo $$ > /sys/fs/cgroup/sallyport-${agentPid}/cgroup.procs`,
      ptrace: `python3 -c "import ctypes,sys; sys.exit(0 if ctypes.CDLL(None).ptrace(16, ${agentPid}, 0, 0) == 0 else 1)"`,
    });
    let job: JobResult;
    let names: string[];

    before(async () => {
      const tried = lines(runner.actionFolder);
      names = Object.keys(tried);
      const step = attempts("attack", tried);
      const hold = `import glob, socket, time
held = []
for i in range(200):
    s = socket.socket(socket.AF_UNIX); s.settimeout(2)
    try: s.connect(glob.glob("/var/lib/sallyport/*/agent.sock")[-1]); s.send(b"GET /sta" if i % 2 else bytes(range(256))); held.append(s)
    except OSError: pass
time.sleep(60)`;
      job = await runner.run([
        runner.sallyport({ "disable-sudo": "true" }),
        { ...step, run: `SOCKET=$(ls -d /var/lib/sallyport/*/agent.sock | tail -1)\nset +e\n${step.run}` },
        { id: "hold", run: `python3 -c '${hold}' > /dev/null 2>&1 &\nsleep 1` },
        {
          id: "use",
          run: `${web} && echo reached\ncurl -sS --max-time 3 https://evil.example/ || true\ncurl -skS --max-time 3 https://203.0.113.66/ || true`,
        },
      ]);
    });
    after(() => unsudo());

    test("nothing that is tried can be done", () => {
      assert.deepEqual(
        outcome(job, "attack"),
        Object.fromEntries(names.map((name) => [name, "no"])),
        JSON.stringify(job.results),
      );
    });

    test("post is ours, the job is green, and what was refused is told", () => {
      assert.match(post(job)?.output ?? "", /receipt .*sha256/);
      assert.equal(job.failed, false, `${post(job)?.output}`);
      const { report, receipt } = runner.report(job);
      assert.deepEqual([report.counts.tampering, report.degraded, receipt.whole], [0, [], true]);
      assert.ok(report.connections.some(({ verdict, ip }) => verdict === "deny" && ip === "203.0.113.66"));
      assert.match(job.results.find(({ step, phase }) => step === "use" && phase === "main")!.output, /reached/);
    });
  });

  test("a folder far above the action that is moved away ends the job", async () => {
    const work = `${runner.home}/work`;
    const fake = `${runner.actionFolder}/action/dist`;
    const script = `mv ${work} ${work}-old\nmkdir -p ${fake} ${work}/_temp ${runner.workspace}\necho 'console.log("fake")' > ${fake}/post.mjs\nsleep 0.2`;
    try {
      const ended = runner.run([runner.sallyport({ "disable-sudo": "true" }), { id: "attack", run: script }]);
      await assert.rejects(ended, /the worker failed/);
    } finally {
      unsudo();
      runner.root(
        `umount -l ${work}-old/_actions/* ${work}-old/_actions 2> /dev/null; rm -rf ${work}; mv ${work}-old ${work}`,
      );
    }
  });

  test("a post with a step's code in it, which asks for the report and says that all is well, makes no job green", async () => {
    // GITHUB_ENV is for every later phase, ours among them. The real runner refuses NODE_OPTIONS there, and not LD_PRELOAD.
    const lines = [
      `echo 'if (process.argv[1]?.endsWith("post.mjs")) process.on("exit", () => process.reallyExit(0));' > late.mjs`,
      'echo "NODE_OPTIONS=--import=$PWD/late.mjs" >> "$GITHUB_ENV"',
      `${web.replace("allowed", "other")} || true`,
    ];
    const steps = [runner.sallyport({ "fail-on": "denied" }), { id: "attack", run: lines.join("\n") }];
    const job = runner.run(steps, { lasting: true }).then((job) => {
      throw new Error(JSON.stringify([job.results, runner.report(job).report.counts]));
    });
    await assert.rejects(job, /the worker failed/);
  });

  describe("with root", () => {
    test("whoever changes rules, report or mounts gets a red job that says so", async () => {
      const job = await runner.run([
        runner.sallyport(),
        {
          id: "break",
          run: [
            "sudo ip6tables -t mangle -F",
            `sudo umount -l ${runner.actionFolder}/action`,
            `echo '// more' | sudo tee -a ${runner.actionFolder}/action/dist/main.mjs > /dev/null`,
            `echo $$ | sudo tee /sys/fs/cgroup/unified/sallyport-${agentPid}/cgroup.procs || echo $$ | sudo tee /sys/fs/cgroup/sallyport-${agentPid}/cgroup.procs`,
            "sleep 4",
          ].join("\n"),
        },
      ]);
      const { report, receipt } = runner.report(job);
      const told = report.tampering.map(({ message }) => message).join("\n");
      for (const what of [/rules were altered/, /main\.mjs/, /joined the agent's cgroup/]) assert.match(told, what);
      assert.equal(post(job)?.status, 1, `${post(job)?.output}`);
      assert.match(post(job)?.output ?? "", /tampered with/);
      assert.deepEqual([receipt.whole, job.failed], [false, true]);
    });

    test("a report that somebody else wrote is not believed", async () => {
      const job = await runner.run([
        runner.sallyport(),
        {
          id: "forge",
          // A mount can be exchanged for no other file: what is read there stays theirs.
          run: `echo '{"forged": 1}' > ${runner.home}/forged.json\nfor d in /var/lib/sallyport/*/results; do sudo touch $d/report.json; sudo mount --bind ${runner.home}/forged.json $d/report.json; done`,
        },
      ]);
      runner.root("umount -l /var/lib/sallyport/*/results/report.json");
      assert.equal(post(job)?.status, 1, `${post(job)?.output}`);
    });
  });

  test("a daemon's socket that is as good as root is closed, though the worker keeps its group", async () => {
    // A folder of this machine's alone.
    runner.root("mkdir -p /run/podman && mount -t tmpfs -o mode=755 tmpfs /run/podman");
    const path = "/run/podman/podman.sock";
    const socket = `python3 -c "import socket; s=socket.socket(socket.AF_UNIX); s.connect('${path}')"`;
    const listen = `import os,socket,time\ns=socket.socket(socket.AF_UNIX); s.bind('${path}'); s.listen()\nos.chown('${path}',0,1001); os.chmod('${path}',0o660)\ntime.sleep(240)`;
    const pid = runner.root(`setsid python3 -c "${listen}" > /dev/null 2>&1 & echo $!`).trim();
    await wait(1_000);
    const step = (id: string) => attempts(id, { daemon: socket, sudo: "sudo -n true" });
    try {
      const sudo = await runner.run([runner.sallyport({ "disable-sudo": "true" }), step("try")]);
      assert.deepEqual(outcome(sudo, "try"), { daemon: "done", sudo: "no" });
      assert.match(JSON.stringify(runner.report(sudo).report.limits), /podman\.sock.*as good as root/);
      unsudo();
      const both = await runner.run([runner.sallyport({ "disable-sudo-and-containers": "true" }), step("try")]);
      assert.deepEqual(outcome(both, "try"), { daemon: "no", sudo: "no" }, JSON.stringify(both.results));
      unsudo();
      // What somebody with root gives back while the job runs is taken again, and said.
      const { home } = runner;
      const given = runner.run([
        runner.sallyport({ "disable-sudo-and-containers": "true" }),
        {
          id: "wait",
          run: `touch ${home}/ready\nfor i in $(seq 300); do test -e ${home}/given && break; sleep 0.1; done`,
        },
        {
          id: "until",
          run: `for i in $(seq 100); do sudo -n true || ${socket} || exit 0; sleep 0.2; done > /dev/null 2>&1`,
        },
        step("try"),
      ]);
      assert.ok(await until(() => existsSync(`${home}/ready`), 60_000));
      runner.root(`rm /etc/sudoers.d/zzz-sallyport; chmod 666 ${path}; touch ${home}/given`);
      const again = await given;
      assert.deepEqual(outcome(again, "try"), { daemon: "no", sudo: "no" }, JSON.stringify(again.results));
      const told = runner.report(again).report.tampering.map(({ message }) => message);
      assert.deepEqual(told.toSorted(), [
        "/etc/sudoers.d/zzz-sallyport was changed: was put back",
        `${path} was opened: was put back`,
      ]);
      assert.ok(again.failed);
    } finally {
      unsudo();
      runner.root(`kill -9 ${pid}`);
    }
  });

  // The last: with rules and no agent this machine has no way out, not even to the policy of a next job.
  test("whoever ends the agent gets no new connection and a red job", async () => {
    const job = await runner.run([
      runner.sallyport(),
      { id: "kill", run: `sudo kill -9 ${agentPid}\nsleep 0.5\n${web} && echo reached || echo refused` },
    ]);
    assert.match(job.results[2]?.output ?? "", /refused/);
    assert.equal(post(job)?.status, 1, `${post(job)?.output}`);
    assert.match(post(job)?.output ?? "", /The agent does not answer/);
  });
});
