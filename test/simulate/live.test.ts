/**
 * Behind another firewall, plain iptables between a client and the owner's sink: what passes is reached, what does not is
 * blocked only on the sink's word and after a control, and everything else is inconclusive. Never a stranger's server.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import type { Simulation } from "../../src/simulate/outcome.ts";
import type { LabProcess, Outcome } from "../lab/process.ts";
import { OtherFirewall, server } from "./other-firewall.ts";
import { simulate, verdicts } from "./program.ts";

/** A firewall of addresses, as many have: one server is allowed, on port 443, and DNS. */
const oneServer = {
  v4: [`-d ${server.v4} -p tcp --dport 443`, `-d ${server.v4} -p udp --dport 53`],
  v6: ["-p icmpv6 --icmpv6-type neighbour-solicitation"],
};
const shut = { v4: [], v6: [] };

function said(outcome: Outcome): Simulation {
  if (!outcome.stdout.startsWith("{")) throw new Error(`no result: exit ${outcome.code}\n${outcome.stderr}`);
  return JSON.parse(outcome.stdout) as Simulation;
}

describe("live, behind another firewall", () => {
  let place: OtherFirewall;
  before(() => (place = new OtherFirewall()));
  after(() => place.close());

  test("an address filter lets names and DNS through and holds the rest, and each verdict is the sink's", async () => {
    const sink = await place.sink(["--out", place.file("testimony.json")]);
    // Before any control nothing can be said of what does not arrive.
    place.allow(oneServer);
    const before = said(await place.live(["--only", "reverse-shell", "--only", "sni-spoof-own-address"]));
    assert.deepEqual(verdicts(before), { "sni-spoof-own-address": "reached", "reverse-shell": "inconclusive" });
    assert.match(before.techniques.find(({ id }) => id === "reverse-shell")!.why, /never arrived at this sink/);

    place.allow(null);
    const control = said(await place.live([]));
    const open = control.techniques.filter(({ verdict }) => verdict !== "reached");
    for (const { id, why } of open)
      assert.match(why, /only in a range|needs a name that is allowed|needs a wildcard/, id);
    assert.ok(control.summary.reached >= 40, `${control.summary.reached} reached`);
    assert.equal(control.summary.blocked, 0);

    place.allow(oneServer);
    const outcome = await place.live(["--report", place.file("report.md")]);
    const behind = said(outcome);
    assert.equal(outcome.code, 3);
    const found = verdicts(behind);
    const reached = [
      "https-post-unknown-host",
      "sni-spoof-own-address",
      "sni-data",
      "no-sni",
      "ip-literal-sni",
      "doh-by-name",
    ];
    for (const id of [...reached, "dns-label", "dns-txt-base32", "direct-resolver", "domain-fronting"]) {
      assert.equal(found[id], "reached", id);
    }
    const blocked = [
      "http-post-raw-ipv4",
      "http-post-raw-ipv6",
      "udp-datagram",
      "quic-initial",
      "icmp-payload",
      "reverse-shell",
    ];
    for (const id of [...blocked, "raw-ip-protocol", "dns-over-tls", "ssh-tunnel", "detached-process", "miner-pool"]) {
      assert.equal(found[id], "blocked", `${id}: ${behind.techniques.find((row) => row.id === id)!.why}`);
    }
    assert.equal(found["metadata-credentials"], undefined, "never touched outside a range");
    assert.match(readFileSync(place.file("report.md"), "utf8"), /whatever stands between this machine and the sink/);

    // All shut: nobody here can ask the sink. Its testimony, brought some other way, can tell; without one nothing can.
    place.allow(shut);
    const only = ["--only", "no-sni", "--only", "udp-datagram"];
    const mute = await place.live(only);
    assert.deepEqual(verdicts(said(mute)), { "no-sni": "inconclusive", "udp-datagram": "inconclusive" });
    assert.equal(mute.code, 1);
    const told = await place.live([...only, "--testimony", place.file("testimony.json")]);
    assert.deepEqual(verdicts(said(told)), { "no-sni": "blocked", "udp-datagram": "blocked" });
    assert.equal(told.code, 0);

    // A testimony somebody edited is none.
    const text = readFileSync(place.file("testimony.json"), "utf8");
    const forged = JSON.parse(text) as { until: string };
    forged.until = new Date(Date.now() + 3_600_000).toISOString();
    writeFileSync(place.file("forged.json"), JSON.stringify(forged));
    await sink.kill("SIGTERM");
    const last = await place.live(["--only", "no-sni", "--testimony", place.file("forged.json")]);
    assert.deepEqual(verdicts(said(last)), { "no-sni": "inconclusive" });
    assert.match(said(last).techniques[0]!.why, /signature/);
  });

  test("a sink that is down is inconclusive, not blocked, also with an old testimony", async () => {
    place.allow(null);
    const none = await place.live(["--only", "no-sni", "--only", "dns-label", "--only", "icmp-payload"]);
    assert.deepEqual(new Set(Object.values(verdicts(said(none)))), new Set(["inconclusive"]));
    const old = await place.live(["--only", "no-sni", "--testimony", place.file("testimony.json")]);
    assert.deepEqual(verdicts(said(old)), { "no-sni": "inconclusive" });
    assert.match(said(old).techniques[0]!.why, /too early/);
    assert.equal(old.code, 1);
  });

  test("a server that does not hold the token gets one question and no probe", async () => {
    place.allow(null);
    const other: LabProcess = await place.sink(["--port", "443", "--no-capture", "--out", place.file("other.json")]);
    writeFileSync(place.file("another-token"), "not-the-token-of-that-sink\n");
    const at = ["--sink", server.v4, "--token-file", place.file("another-token"), "--only", "no-sni"];
    const asked = place.spawn("client", ["simulate", "--live", "--json", "--quiet", ...at]);
    const { code, stderr, stdout } = await asked.exited;
    await other.kill("SIGTERM");
    assert.deepEqual([code, stdout], [4, ""]);
    assert.match(stderr, /does not hold the token; no probe was sent to it[\s\S]*NOT_YOUR_SINK/);
    assert.deepEqual((JSON.parse(readFileSync(place.file("other.json"), "utf8")) as { sightings: [] }).sightings, []);
  });

  test("without a sink or a token nothing is sent anywhere", async () => {
    // On this machine itself: a sink that would be noticed.
    let requests = 0;
    const stranger = http.createServer((_, response) => {
      requests++;
      response.end();
    });
    await new Promise<void>((resolve) => stranger.listen(0, "127.0.0.1", resolve));
    const { port } = stranger.address() as { port: number };
    for (const args of [["--live"], ["--live", "--sink", `127.0.0.1:${port}`], ["--sink", `127.0.0.1:${port}`]]) {
      const { code, stderr } = await simulate(args);
      assert.equal(code, 2, stderr);
      assert.match(stderr, /--sink|--live|token/);
    }
    assert.equal(requests, 0);
    stranger.close();
  });
});
