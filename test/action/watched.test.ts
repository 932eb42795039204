/**
 * The promise of the watchers: what a job does to the firewall, to the machine or for others is told with its process and step; what
 * keeps traffic policed is put back within seconds, and the job is red all the same.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Finding, JobReport } from "../../src/machine/job-report.ts";
import { requireTools } from "../lab/tools.ts";
import { type JobResult, Runner } from "./harness.ts";

const policy = `version: 1
rules:
  - { name: web, to: allowed.example, reason: the build's own }
`;

/** A bundle whose container sleeps a moment, with changes. */
function writeBundle(folder: string, change: { mounts?: object[]; without?: string[]; caps?: string[] }): void {
  mkdirSync(join(folder, "rootfs"), { recursive: true });
  const caps = change.caps ?? ["CAP_CHOWN", "CAP_KILL"];
  const bind = (source: string, destination: string) => ({
    source,
    destination,
    type: "bind",
    options: ["rbind", "ro"],
  });
  writeFileSync(
    join(folder, "config.json"),
    JSON.stringify({
      ociVersion: "1.0.0",
      process: {
        terminal: false,
        user: { uid: 0, gid: 0 },
        args: ["/bin/sleep", "1"],
        env: ["PATH=/bin:/usr/bin"],
        cwd: "/",
        capabilities: { bounding: caps, effective: caps, permitted: caps },
      },
      root: { path: "rootfs" },
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        ...["/bin", "/lib", "/lib64", "/usr"].map((path) => bind(path, path)),
        ...(change.mounts ?? []),
      ],
      linux: {
        namespaces: ["mount", "network", "uts", "pid", "ipc"]
          .filter((type) => change.without?.includes(type) !== true)
          .map((type) => ({ type })),
      },
    }),
  );
}

const ofType = (report: JobReport, type: string): Finding[] => report.detections.filter((each) => each.type === type);

describe("a job that turns against its machine", () => {
  let runner: Runner;
  let job: JobResult;
  let report: JobReport;
  const outputOf = (step: string) => job.results.find((each) => each.step === step && each.phase === "main")!.output;

  before(async () => {
    requireTools(["curl", "sudo", "crun", "nft", "iptables", "ip"]);
    runner = await Runner.create({ policy });
    const bundles = join(runner.home, "bundles");
    writeBundle(join(bundles, "plain"), {});
    writeBundle(join(bundles, "host"), {
      mounts: [{ source: "/", destination: "/host", type: "bind", options: ["rbind"] }],
      without: ["pid", "network"],
      caps: ["CAP_CHOWN", "CAP_SYS_ADMIN"],
    });
    chmodSync(bundles, 0o755);
    const probe = "curl -sS --max-time 3 -k https://203.0.113.11/ > /dev/null && echo OPEN || echo refused";
    const crun = (name: string) =>
      `sudo crun --cgroup-manager=disabled run --bundle ${bundles}/${name} ${name}-$$ || true`;
    job = await runner.run([
      runner.sallyport(),
      {
        id: "lists",
        run: "sudo nft list tables > /dev/null; sudo iptables -S > /dev/null; ip addr > /dev/null; sleep 1",
      },
      { id: "plain", run: crun("plain") },
      { id: "host", run: crun("host") },
      {
        id: "mines",
        run: `timeout 3 bash -c 'exec 3<>/dev/tcp/allowed.example/443; echo "{\\"id\\":1,\\"method\\":\\"mining.subscribe\\",\\"params\\":[]}" >&3; cat <&3' || true\ncurl -sS --max-time 3 http://xmr.nanopool.org/ || true`,
      },
      { id: "asks", run: "curl -sS --max-time 2 http://169.254.169.254/latest/meta-data/ || true" },
      {
        id: "tunnels",
        run: "for i in $(seq 1 110); do getent hosts $i-$RANDOM.tunnel.example; done || true",
      },
      {
        id: "renames",
        run: "echo '203.0.113.9 a.example' | sudo tee -a /etc/hosts > /dev/null; sudo sysctl -q -w net.netfilter.nf_conntrack_tcp_loose=1; sleep 3",
      },
      {
        id: "flushes",
        run: `sudo nft delete table inet sallyport; sudo nft delete table netdev sallyport; sudo iptables -t mangle -F; sudo iptables -t filter -F\nsleep 4.5\n${probe}`,
      },
      { id: "ends", run: probe },
    ]);
    ({ report } = runner.report(job));
  });
  after(() => runner?.close());

  test("a flushed firewall is back within five seconds, and the job is red", () => {
    assert.match(outputOf("flushes"), /refused/);
    assert.doesNotMatch(outputOf("flushes") + outputOf("ends"), /OPEN/);
    assert.ok(
      report.tampering.some(
        ({ message, data }) => data.check === "ruleset" && /were (?:altered|absent): was put back/.test(message),
      ),
      JSON.stringify(report.tampering),
    );
    assert.ok(job.failed);
    const post = job.results.at(-1)!;
    assert.equal(post.phase, "post");
    assert.notEqual(post.status, 0);
  });

  test("a setting that the data path relies on is told and set again", () => {
    assert.ok(
      report.tampering.some(({ message }) => message.includes("nf_conntrack_tcp_loose is 1, not 0: was put back")),
      JSON.stringify(report.tampering),
    );
  });

  test("commands that change the firewall are told with their step, and lists are not", () => {
    const commands = ofType(report, "firewall_command");
    const of = (step: string) => commands.filter(({ process }) => process?.step === step);
    assert.ok(
      of("flushes").some(({ data }) => String(data.command).startsWith("nft delete")),
      JSON.stringify(commands),
    );
    assert.ok(of("flushes").some(({ data }) => String(data.command).startsWith("iptables")));
    assert.ok(of("renames").some(({ data }) => data.changes === "settings"));
    assert.deepEqual(
      [...new Set(commands.map(({ process }) => process?.step ?? ""))].toSorted((a, b) => (a < b ? -1 : 1)),
      ["flushes", "renames"],
      "nobody else, and not ourselves",
    );
  });

  test("a container that is as good as root is told by its bundle, an ordinary one is not", () => {
    const [one, ...others] = ofType(report, "container_root");
    assert.deepEqual(others, []);
    assert.equal(one?.process?.step, "host");
    assert.equal(one?.data.from, "the runtime's bundle");
    assert.deepEqual(one?.data.dangers, ["namespace pid", "namespace network", "capability CAP_SYS_ADMIN", "mount /"]);
  });

  test("a miner is told by its words and by its pool", () => {
    const found = ofType(report, "mining").map(({ process, data }) => `${process?.step} ${String(data.sign)}`);
    assert.deepEqual(
      found.toSorted(),
      ["mines pool", "mines stratum"],
      JSON.stringify(
        report.connections.filter(({ process }) => process?.step === "mines"),
        null,
        1,
      ) + outputOf("mines"),
    );
  });

  test("a question to the metadata service is told", () => {
    const [one, ...others] = ofType(report, "metadata_service");
    assert.deepEqual(others, []);
    assert.equal(one?.process?.step, "asks");
    assert.match(one?.process?.exe ?? "", /curl$/);
  });

  test("many denied names are told with who asked", () => {
    const [one] = ofType(report, "denied_names");
    assert.equal(one?.data.domain, "tunnel.example");
    assert.equal(one?.process?.step, "tunnels");
    assert.deepEqual(
      ((one?.data.askers ?? []) as { step: string }[]).map(({ step }) => step),
      ["tunnels"],
    );
  });
});
