/**
 * The promise of the watchers: what a job does to the firewall, to the machine or for others is told with its process and step; what
 * keeps traffic policed is put back within seconds, and the job is red all the same.
 */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Finding, JobReport } from "../../src/machine/job-report.ts";
import type { Event } from "../../src/audit/event.ts";
import { readEvents } from "../../src/audit/read.ts";
import { requireTools } from "../lab/tools.ts";
import { until } from "../support/until.ts";
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

/** The bundle as it is, but for how long a miner must compute before it is told: three minutes are no test. */
function hasten(dist: string): void {
  const times = /period: 18e4, cores: 0\.9, rate: 2e3, age: 12e4/g;
  const pause = /sampleMs = 1e4/g;
  const changed = readdirSync(dist).filter((name) => {
    const text = name.endsWith(".mjs") ? readFileSync(join(dist, name), "utf8") : "";
    if (text.match(times)?.length !== 1 || text.match(pause)?.length !== 1) return false;
    // A machine that is busy gives nobody nine tenths of a processor; who sleeps gets nothing of it.
    const quick = text.replace(times, "period: 4e3, cores: 0.05, rate: 2e3, age: 3e3");
    writeFileSync(join(dist, name), quick.replace(pause, "sampleMs = 1e3"));
    return true;
  });
  assert.equal(changed.length, 1, "one file of the bundle has both");
}

/** Python with a connection that says nothing after its beginning, and what it does besides. */
const quiet = (then: string) => `python3 -c 'import socket, ssl, time
s = ssl.create_default_context().wrap_socket(socket.create_connection(("allowed.example", 443)), server_hostname="allowed.example")
while True: ${then}'`;

const ofType = (report: JobReport, type: string): Finding[] => report.detections.filter((each) => each.type === type);

describe("a job that turns against its machine", () => {
  let runner: Runner;
  let job: JobResult;
  let report: JobReport;
  const outputOf = (step: string) => job.results.find((each) => each.step === step && each.phase === "main")!.output;

  before(async () => {
    requireTools(["curl", "sudo", "crun", "nft", "iptables", "ip"]);
    runner = await Runner.create({ policy });
    hasten(join(runner.actionFolder, "action/dist"));
    const { home } = runner;
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
    const running = runner.run([
      runner.sallyport(),
      {
        id: "lists",
        run: "sudo nft list tables > /dev/null; sudo iptables -S > /dev/null; ip addr > /dev/null; sleep 1",
      },
      { id: "plain", run: crun("plain") },
      { id: "host", run: crun("host") },
      {
        id: "mines",
        run: `timeout 20 bash -c 'exec 3<>/dev/tcp/allowed.example/443; echo "{\\"id\\":1,\\"method\\":\\"mining.subscribe\\",\\"params\\":[]}" >&3; cat <&3' || true\ncurl -sS --max-time 3 http://xmr.nanopool.org/ || true`,
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
        id: "computes",
        run: [
          `timeout 90 ${quiet("time.sleep(1)")} > /dev/null 2>&1 &`,
          `timeout 90 ${quiet("pass")} > /dev/null 2>&1 &`,
          "SOCKET=$(ls -d /var/lib/sallyport/*/agent.sock | tail -1)",
          'for i in $(seq 40); do curl -sf --unix-socket "$SOCKET" http://agent/finish > /dev/null; grep -q \'"sign": "cpu"\' "$(dirname "$SOCKET")/results/report.json" && break; sleep 1; done',
          "kill %1 %2",
        ].join("\n"),
      },
      {
        id: "reroutes",
        run: [
          "sudo ip link add link $(ip route show default | sed 's/.* dev \\([^ ]*\\).*/\\1/') name aside type macvlan",
          "sudo ip link add around type veth peer name around-end && sudo ip link set around-end up && sudo ip link set around up && sudo ip addr add 10.99.0.1/24 dev around",
          "sudo ip route add default via 10.99.0.2 dev around metric 500",
          `touch ${home}/outside\nfor i in $(seq 150); do test -e ${home}/done && break; sleep 0.1; done`,
        ].join("\n"),
      },
      {
        id: "flushes",
        run: `sudo nft delete table inet sallyport; sudo nft delete table netdev sallyport; sudo iptables -t mangle -F; sudo iptables -t filter -F\nsleep 4.5\n${probe}`,
      },
      { id: "ends", run: probe },
    ]);
    // Neither a step's nor a service's: whoever the runner's user has left on the machine. And root's, who may.
    await until(() => existsSync(join(home, "outside")), 90_000);
    const get = "curl -sS --max-time 3 -o /dev/null";
    runner.root(
      `setpriv --reuid 1001 --regid 1001 --clear-groups ${get} http://203.0.113.12/; ${get} http://203.0.113.13/; ${get} http://169.254.169.254/; touch ${home}/done`,
    );
    job = await running;
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
      ["flushes", "renames", "reroutes"],
      "nobody else, and not ourselves",
    );
  });

  test("a way around the uplink is an event of the record: a device on it, another default route; and a file that names are read from", async () => {
    const changes: Event[] = [];
    for await (const event of readEvents(runner.place(job.outputs["__sallyport_sallyport"]!["record"]!)))
      if (event.kind === "lifecycle") changes.push(event);
    const told = changes.map(({ message }) => message ?? "");
    for (const what of [
      /^device aside came: macvlan on /,
      /^route default by around came: /,
      /^\/etc\/hosts was changed$/,
    ])
      assert.equal(told.filter((each) => what.test(each)).length, 1, `${what}\n${told.join("\n")}`);
    assert.ok(!told.some((each) => each.startsWith("/etc/resolv.conf")), "and nothing that was not changed");
  });

  test("a process that belongs to no step is told when it connects; root's services are not", () => {
    const outside = ofType(report, "outside_connection");
    assert.deepEqual(
      outside.map(({ process, data }) => `${process?.user} ${process?.step} ${String(data.destination)}`),
      ["runner null 203.0.113.12"],
    );
  });

  test("a container that is as good as root is told by its bundle, an ordinary one is not", () => {
    const [one, ...others] = ofType(report, "container_root");
    assert.deepEqual(others, []);
    assert.equal(one?.process?.step, "host");
    assert.equal(one?.data.from, "the runtime's bundle");
    assert.deepEqual(one?.data.dangers, ["namespace pid", "namespace network", "capability CAP_SYS_ADMIN", "mount /"]);
  });

  test("a miner is told by its words, by its pool, and by computing with a quiet connection; who waits with one is none", () => {
    const mining = ofType(report, "mining");
    const found = mining.map(({ process, data }) => `${process?.step} ${String(data.sign)}`);
    const [cpu] = mining.filter(({ data }) => data.sign === "cpu");
    assert.match(cpu?.process?.args.join(" ") ?? "", /while True: pass/);
    assert.match(cpu?.message ?? "", /quiet connection to allowed\.example/);
    assert.deepEqual(
      found.toSorted(),
      ["computes cpu", "mines pool", "mines stratum"],
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
    // Whoever asks is looked for in a fifth of the time at most: the one question that was too many may be nobody's.
    const asker = one?.process ?? null;
    assert.ok(asker === null || asker.step === "tunnels", JSON.stringify(asker));
    const steps = ((one?.data.askers ?? []) as { step: string | null }[]).map(({ step }) => step);
    assert.deepEqual([...new Set(steps.filter((step) => step !== null))], ["tunnels"], JSON.stringify(one?.data));
  });
});
