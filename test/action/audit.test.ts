/**
 * The promise of audit: it tells and changes nothing. The same job with the action and without it gets the same answers of every type,
 * the same bytes and the same codes, over TCP, UDP and HTTP/3; and the report says what a policy would have refused.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireTools } from "../lab/tools.ts";
import { type JobResult, Runner, type Step } from "./harness.ts";

const policy = "version: 1\nrules:\n  - { name: web, to: allowed.example }\n";

const lines = (ca: string) => [
  ...["A", "AAAA", "TXT", "MX", "SRV", "HTTPS", "CNAME"].flatMap((type) =>
    ["only.example", "mail.example", "big.example"].map(
      (name) =>
        `dig +tries=1 +time=3 +noall +comments +answer ${name} ${type} | grep -v '^;; [^-]' | sed 's/id: [0-9]*//' | sort`,
    ),
  ),
  "dig +tries=1 +time=3 +short @203.0.113.54 only.example",
  "dig +tries=1 +time=3 +short +tcp @203.0.113.54 only.example",
  ...[
    "https://allowed.example/a",
    "https://only.example/b",
    "-6 https://only.example/c",
    "http://plain.example/d",
    "-k https://203.0.113.66/e",
  ].map(
    (url) => `curl -sS --max-time 5 -w '%{http_code} %{remote_ip}' ${url} | sed 's/"port":[0-9]*//; s/"at":[^,]*//'`,
  ),
  `git -c http.sslCAInfo=${ca} ls-remote https://git.example/repo.git`,
  "timeout 5 gtlsclient --exit-on-all-streams-close 203.0.113.92 443 https://quic.example/ 2>&1 | grep -o ':status: 200'",
  "(echo hello; sleep 0.5) | ncat -u -w 1 203.0.113.91 9100",
  "ping -c 1 -W 2 203.0.113.10 | grep -o '1 received'",
  "cat /etc/resolv.conf /etc/hosts",
];

describe("audit", () => {
  let runner: Runner;
  let without: string[];
  let job: JobResult;

  const parts = ({ results }: JobResult) =>
    results.find(({ step, phase }) => step === "use" && phase === "main")!.output.split("=====\n");

  before(async () => {
    requireTools(["curl", "dig", "git", "ncat", "ping", "sudo", "gtlsclient"]);
    runner = await Runner.create({ policy, quic: true });
    const step: Step = {
      id: "use",
      run: ["set +e", ...lines(runner.host.lab.caFile).flatMap((line) => [line, "echo ====="])].join("\n"),
    };
    without = parts(await runner.run([step]));
    job = await runner.run([runner.sallyport({ "egress-policy": "audit" }), step], { timeout: 100_000 });
  });
  after(() => runner?.close());

  test("gives a job what it gets without us", () => {
    assert.equal(job.failed, false, JSON.stringify(job.results));
    const all = lines(runner.host.lab.caFile);
    assert.ok(
      without.length > all.length && without.filter((text) => text.trim() === "").length < 3,
      without.join("\n"),
    );
    for (const [i, text] of parts(job).entries()) assert.equal(text, without[i], `${all[i]}`);
  });

  test("denies nothing, and says what would be", () => {
    const { report, receipt } = runner.report(job);
    assert.deepEqual(
      [report.mode, report.counts.denied, receipt.whole],
      ["monitor", 0, true],
      JSON.stringify(report.degraded),
    );
    const would = report.connections
      .filter(({ verdict }) => verdict === "would_deny")
      .map(({ name, ip }) => name ?? ip);
    for (const host of ["only.example", "203.0.113.66", "git.example"])
      assert.ok(would.includes(host), `${host}: ${would.join(" ")}`);
    assert.match(job.summary, /would deny/);
    assert.match(job.summary, /only\.example/);
  });
});
