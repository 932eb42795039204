/**
 * The loop that the product is about, with real clients: a monitored run shows what a command contacts and changes nothing
 * for it; its report and its policy say the same; the policy loads, and enforced it lets that very command work and
 * nothing else.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Verification } from "../../src/audit/verify.ts";
import { curl, Host, sallyport } from "./support.ts";

describe("watching a command", () => {
  let host: Host;
  before(async () => {
    host = await Host.create();
  });
  after(() => host.close());

  test("a table of what was contacted, and a policy that works when it is enforced", async () => {
    const command = [
      "sh",
      "-c",
      `${curl("https://allowed.example/").join(" ")} && ${curl("http://plain.example/").join(" ")}`,
    ];
    const watched = await host.run(["--", ...command]);
    assert.equal(watched.code, 0, watched.stderr);
    assert.match(watched.stderr, /DESTINATION +PORT +PROTOCOL +VERDICT +RULE +CONNS +UP +DOWN/);
    assert.match(
      watched.stderr,
      /^allowed\.example +443 +tls +would deny +default: default +1 +[\d.]+ k?B +[\d.]+ k?B$/m,
    );
    assert.match(watched.stderr, /^plain\.example +80 +http +would deny/m);
    const policy = /^version: 1\n[^]*?mode: enforce$/m.exec(watched.stderr)?.[0];
    assert.ok(policy, watched.stderr);

    const file = join(host.home, "sallyport.yaml");
    writeFileSync(file, `${policy}\n`);
    const enforced = await host.run(["--policy", file, "--", ...command]);
    assert.equal(enforced.code, 0, enforced.stderr);
    assert.equal(enforced.stdout, watched.stdout);
    assert.match(enforced.stderr, /^allowed\.example +443 +tls +allow +seen while monitoring/m);

    const marker = host.lab.marker();
    const other = await host.run(["--policy", file, "--", ...curl(`https://${marker}.evil.example/`, "-k")]);
    assert.notEqual(other.code, 0);
    assert.match(other.stderr, /deny/);
    assert.equal(await host.lab.sink.saw(marker), false);
  });

  test("npm installs the same, watched, and enforced with the policy that watching gave", async () => {
    const npm = ["npm", "install", "--registry", "https://registry.npm.example", "--no-audit", "lab-greeting"];
    const watched = await host.report(["--", ...npm]);
    assert.equal(watched.code, 0, watched.stderr);
    assert.deepEqual(
      watched.report.destinations.map(({ name, port, protocol, verdict }) => ({ name, port, protocol, verdict })),
      [{ name: "registry.npm.example", port: 443, protocol: "tls", verdict: "would_deny" }],
    );
    const again = await host.report(["--allow", "registry.npm.example", "--", ...npm, "--force"]);
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual([...new Set(again.report.destinations.map((row) => row.verdict))], ["allow"]);
    assert.equal(
      readFileSync(join(host.home, "node_modules/lab-greeting/package.json"), "utf8").includes("1.0.0"),
      true,
    );
  });

  test("the report holds what the schema promises, with the bytes that were sent", async () => {
    const size = 300_000;
    const { code, report, stderr } = await host.report([
      ...["--allow", "allowed.example", "--", "sh", "-c"],
      `${curl(`https://allowed.example/bytes/${size}`, "-o", "/dev/null").join(" ")}; ${curl("https://only.example/").join(" ")}; exit 7`,
    ]);
    assert.equal(code, 7, stderr);
    const { schema, command, exit_code, mode, policy, started, ended, destinations, events } = report;
    assert.deepEqual({ schema, exit_code, mode }, { schema: "sallyport.run/1", exit_code: 7, mode: "enforce" });
    assert.deepEqual(command.slice(0, 2), ["sh", "-c"]);
    assert.match(policy, /^[0-9a-f]{64}$/);
    assert.ok(Date.parse(started) <= Date.parse(ended) && Date.parse(ended) <= Date.now());

    const [allowed, refused] = destinations;
    assert.ok(allowed !== undefined && refused !== undefined);
    const { bytes_up: up, bytes_down: down, ...rest } = allowed;
    assert.deepEqual(rest, {
      ...{ name: "allowed.example", ip: allowed.ip, port: 443, protocol: "tls", verdict: "allow", enforced: true },
      ...{ rule: "allow allowed.example", tier: 2, reason: "rule", connections: 1, ech: false },
    });
    assert.ok(["203.0.113.10", "2001:db8:200::10"].includes(allowed.ip!));
    assert.ok(up > 500 && up < 50_000, `${up} bytes up`);
    assert.ok(down > size && down < size * 1.2, `${down} bytes down`);
    assert.deepEqual(
      { ...refused, connections: undefined },
      {
        ...{ name: "only.example", ip: null, port: null, protocol: "dns", verdict: "deny", enforced: true, rule: null },
        ...{ tier: 3, reason: "default", connections: undefined, bytes_up: 0, bytes_down: 0, ech: false },
      },
    );

    for (const event of events) {
      assert.equal(event.schema, "sallyport.event/1");
      assert.match(event.hash, /^[0-9a-f]{64}$/);
    }
    const seqs = events.map((event) => event.seq);
    assert.deepEqual(
      seqs,
      seqs.map((_, i) => seqs[0]! + i),
    );
    const kinds = new Set(events.map((event) => event.kind));
    for (const kind of ["lifecycle", "dns", "connection", "flow_end"] as const) assert.ok(kinds.has(kind), kind);
    const end = events.find((event) => event.kind === "flow_end");
    assert.deepEqual(end?.bytes, { up, down });
    assert.equal(end?.rule?.name, "allow allowed.example");
  });

  test("monitor mode gives the answers and addresses that there are without us", async () => {
    const commands = [
      "dig +short allowed.example A",
      "dig +short allowed.example AAAA",
      "dig +short https.example HTTPS",
      "dig +short mail.example TXT",
      "dig +short @203.0.113.54 cdn.example A",
      "getent hosts allowed.example",
      curl("https://shared.example/", "-w", "%{remote_ip}", "-o", "/dev/null").join(" "),
    ];
    const bare = await host.exec("sh", ["-c", commands.join("\n")]);
    const watched = await host.run(["-q", "--", "sh", "-c", commands.join("\n")]);
    assert.equal(bare.code, 0, bare.stderr);
    assert.equal(watched.stdout, bare.stdout);
  });

  test("--state keeps the record and its chain holds; a second run adds to it", async () => {
    const state = join(host.home, "record");
    for (const name of ["allowed.example", "only.example"]) {
      const ran = await host.report(["--state", state, "--", ...curl(`https://${name}/`)]);
      assert.equal(ran.code, 0, ran.stderr);
      // The report is of this run alone.
      assert.deepEqual(
        ran.report.destinations.map((row) => row.name),
        [name],
      );
      assert.equal(
        ran.report.events.some((event) => event.destination?.name === name),
        true,
      );
      assert.equal(ran.report.events.filter((event) => event.message === "started").length, 1);
    }
    const verified = await host.exec(sallyport, ["logs", "verify", "--state", state, "--json"]);
    assert.equal(verified.code, 0, verified.stderr + verified.stdout);
    assert.equal((JSON.parse(verified.stdout) as { ok: boolean }).ok, true);
    const logs = await host.exec(sallyport, ["logs", "--state", state, "--kind", "connection"]);
    assert.match(logs.stdout, /"name":"allowed\.example"/);
    assert.match(logs.stdout, /"name":"only\.example"/);
  });

  test("--sign-key signs the kept record to its last event, run after run", async () => {
    const [state, key] = [join(host.home, "signed"), join(host.home, "record.key")];
    assert.equal((await host.exec(sallyport, ["logs", "keygen", "--out", key])).code, 0);
    for (const name of ["allowed.example", "only.example"]) {
      const ran = await host.run(["-q", "--state", state, "--sign-key", key, "--", ...curl(`https://${name}/`)]);
      assert.equal(ran.code, 0, ran.stderr);
    }
    const verify = ["logs", "verify", "--state", state, "--key", `${key}.pub`, "--json"];
    const verified = await host.exec(sallyport, verify);
    assert.equal(verified.code, 0, verified.stderr + verified.stdout);
    const { seals, segments, notes } = JSON.parse(verified.stdout) as Verification;
    assert.deepEqual([seals.closed, seals.signed, segments, notes], [2, 2, 2, []]);
  });

  test("without --state nothing is kept anywhere", async () => {
    const before = host.snapshot();
    const command = `${sallyport} run -q -- ${curl("https://allowed.example/", "-o", "/dev/null").join(" ")}`;
    const ran = await host.exec("sh", [
      "-c",
      `mount -n -t tmpfs none /tmp && ${command} && find /tmp /run/sallyport/run -name '*.ndjson' -path "*$(stat -Lc %i /proc/self/ns/net)*"; find /tmp -type f`,
    ]);
    assert.deepEqual([ran.code, ran.stdout], [0, ""], ran.stderr);
    assert.deepEqual(host.changes(before), []);
  });

  test("what /etc/hosts names is reachable by that name, and by a policy of that name", async () => {
    const script = `echo "203.0.113.66 pinned.example" >> /etc/hosts
      exec ${sallyport} run --allow pinned.example -- ${curl("https://pinned.example/", "-k").join(" ")}`;
    const ran = await host.exec("sh", ["-c", script]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /203\.0\.113\.66/);
  });

  test("a resolver on loopback is as good as any: systemd-resolved and dnsmasq hosts", async () => {
    const forwarder = host.lab.gateway.spawn("socat", [
      "UDP4-RECVFROM:53,bind=127.0.0.53,fork,reuseaddr",
      "UDP4:203.0.113.53:53",
    ]);
    try {
      await host.exec("ip", ["link", "set", "lo", "up"]);
      for (const mode of [[], ["--allow", "allowed.example"]]) {
        const ran = await host.report([...mode, "--", ...curl("https://allowed.example/")], {
          resolver: ["127.0.0.53"],
        });
        assert.equal(ran.code, 0, ran.stderr);
        assert.equal(ran.report.destinations[0]?.name, "allowed.example");
      }
    } finally {
      await forwarder.kill();
    }
  });
});
