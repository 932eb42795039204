/**
 * The host is as it was: after a run, an interrupted one, one that failed half way, and after the next run where one was
 * killed. And while a run lives the host does for nobody else what it did not do before.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inNamespace } from "../../src/kernel/namespace.ts";
import { writeSysctl } from "../../src/kernel/sysctl.ts";
import { attempts, scriptOf } from "./attempts.ts";
import { curl, Host, sallyport } from "./support.ts";

describe("the host", () => {
  let host: Host;
  const set = (values: Record<string, string>) =>
    inNamespace(host.lab.gateway.namespace, () => {
      for (const [name, value] of Object.entries(values)) writeSysctl(name, value);
    });
  const allowed = ["--allow", "allowed.example", "-q", "--"];
  before(async () => {
    host = await Host.create();
  });
  after(() => host.close());

  test("is as it was after a run that made connections, allowed and refused", async () => {
    await host.exec("iptables", ["-A", "FORWARD", "-i", "nowhere0", "-j", "ACCEPT"]);
    const before = host.snapshot();
    const ran = await host.run([
      ...allowed,
      "sh",
      "-c",
      `${curl("https://allowed.example/").join(" ")}; ${scriptOf(attempts.map(() => "x"))}`,
    ]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.deepEqual(host.changes(before), []);
  });

  test("is as it was after SIGINT to the group, SIGTERM and SIGHUP, and the command heard of it", async () => {
    const before = host.snapshot();
    const script = "trap 'echo interrupted; exit 5' INT TERM HUP; echo up; while :; do sleep 0.05; done";
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      const running = host.start([...allowed, "sh", "-c", script]);
      await running.waitFor(/up/);
      if (signal === "SIGINT") running.signal(signal);
      else process.kill(running.pid, signal);
      const { code, stdout } = await running.exited;
      assert.equal(code, 5, signal);
      // Of a signal to the group it hears twice, where no terminal says so: once as one of the group, once from us.
      assert.match(stdout, /^up\n(?:interrupted\n){1,2}$/, signal);
      assert.deepEqual(host.changes(before), []);
    }
  });

  test("is as it was whenever an interrupt comes, also while everything is only being built", async () => {
    const before = host.snapshot();
    for (let ms = 0; ms <= 1_400; ms += 200) {
      const running = host.start([...allowed, "sleep", "30"]);
      await sleep(ms);
      running.signal(ms % 400 === 0 ? "SIGINT" : "SIGTERM");
      const { code, stderr } = await running.exited;
      assert.ok(code === 130 || code === 143 || code === null, `${code} ${stderr}`);
      assert.deepEqual(host.changes(before), [], `after ${ms} ms`);
    }
  });

  test("a killed run takes its command along, leaves no way out, and the next run leaves no trace of it", async () => {
    const before = host.snapshot();
    // The shell keeps the mount namespace, where the names of network namespaces are, as init does on a host.
    const script = `${sallyport} run --allow allowed.example -q -- sh -c 'echo up; sleep 300.125' & echo "pid $!."; wait; echo over; sleep 100`;
    const shell = host.lab.gateway.spawn("sh", ["-c", script]);
    const pid = Number((await shell.waitFor(/pid (\d+)\./))[1]);
    await shell.waitFor(/up/);
    const beside = (...words: string[]) => host.exec("nsenter", ["-t", String(shell.pid), "-m", "-n", "--", ...words]);
    process.kill(pid, "SIGKILL");
    await shell.waitFor(/over/);
    assert.equal((await host.exec("pgrep", ["-fx", "sleep 300.125"])).stdout, "", "nothing of it runs");

    const { ino } = statSync(`/run/netns/${host.lab.gateway.namespace}`);
    const inside = ["ip", "netns", "exec", `sallyport-${ino}-run0-command`];
    const markers = attempts.map(() => host.lab.marker());
    const tried = await beside(...inside, "sh", "-c", `ip -br link show eth0\n${scriptOf(markers)}`);
    assert.match(tried.stdout, /^eth0@/, "the namespace and its link are still there");
    for (const [i, marker] of markers.entries())
      assert.equal(await host.lab.sink.saw(marker, { settleMs: 20 }), false, attempts[i]!.title);
    const notEven = await beside(
      ...inside,
      ...curl("https://allowed.example/", "--resolve", "allowed.example:443:203.0.113.10", "--max-time", "2"),
    );
    assert.notEqual(notEven.code, 0);
    assert.notDeepEqual(host.changes(before), []);

    const next = await beside(sallyport, "run", ...allowed, ...curl("https://allowed.example/"));
    assert.equal(next.code, 0, next.stderr);
    assert.deepEqual(host.changes(before), []);
    assert.equal((await beside("ip", "netns", "list")).stdout.includes(`sallyport-${ino}-`), false);
    await shell.kill("SIGKILL");
  });

  test("what another boot left is not put back into this one", async () => {
    const before = host.snapshot();
    const folder = `/run/sallyport/run/${statSync(`/run/netns/${host.lab.gateway.namespace}`).ino}`;
    const stale = { "net/ipv4/conf/all/forwarding": "1", [`net/ipv4/conf/${host.lab.gateway.outside}/rp_filter`]: "1" };
    writeFileSync(join(folder, "host"), "another boot");
    writeFileSync(join(folder, "settings.json"), JSON.stringify(stale));
    writeFileSync(join(folder, "slot-0.json"), JSON.stringify({ pid: 1, started: "1" }));
    const ran = await host.run([...allowed, ...curl("https://allowed.example/")]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.deepEqual(host.changes(before), []);
  });

  test("two runs at once have each their own place, policy and end", async () => {
    const before = host.snapshot();
    const script = (name: string) =>
      `read _; ${curl(`https://${name}/`, "-o", "/dev/null", "-w", '"%{http_code} "').join(" ")}; echo done; read _`;
    const [a, b] = ["allowed.example", "only.example"].map((name) =>
      host.start([
        "--allow",
        name,
        "--",
        "sh",
        "-c",
        `echo up; ${script("allowed.example")}; ${script("only.example")}`,
      ]),
    );
    await Promise.all([a!.waitFor(/up/), b!.waitFor(/up/)]);
    for (const each of [a!, b!]) each.write("\n");
    await Promise.all([a!.waitFor(/done/), b!.waitFor(/done/)]);
    // The first to come goes first: the other's way out stays.
    a!.write("\n\n\n\n");
    const first = await a!.exited;
    b!.write("\n\n\n\n");
    const second = await b!.exited;
    assert.match(first.stdout, /^up\n200 done\n000 done\n$/, first.stderr);
    assert.match(second.stdout, /^up\n000 done\n200 done\n$/, second.stderr);
    assert.deepEqual(host.changes(before), []);
  });

  test("does not become a router for others, and stays one where it was", async () => {
    const running = host.start(["-q", "--", "sh", "-c", "echo up; read _; echo again; read _"]);
    await running.waitFor(/up/);
    const send = async () => {
      const marker = host.lab.marker();
      for (const to of ["UDP4:203.0.113.91:9100", "UDP6:[2001:db8:200::91]:9100"]) {
        await host.lab.runner(1).exec("socat", ["-t0.1", "-", to], { input: marker });
      }
      return (await host.lab.sink.find(marker)).length;
    };
    assert.equal(await send(), 0);
    running.write("\n\n");
    await running.exited;
    set({ "net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1" });
    try {
      const again = host.start(["-q", "--", "sh", "-c", "echo up; read _"]);
      await again.waitFor(/up/);
      assert.ok((await send()) >= 2);
      again.write("\n");
      await again.exited;
      assert.ok((await send()) >= 2);
    } finally {
      set({ "net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0" });
    }
  });

  test("keeps the default route that a router advertised, and is a host again afterwards", async () => {
    const { outside, namespace } = host.lab.gateway;
    const internet = namespace.replace("-gateway", "-internet");
    // A neighbour that does not say it is a router is forgotten as one (RFC 4861 section 7.2.5).
    inNamespace(internet, () => writeSysctl("net/ipv6/conf/all/forwarding", "1"));
    await host.exec("ip", ["-6", "route", "del", "default"]);
    set({ [`net/ipv6/conf/${outside}/accept_ra`]: "1", [`net/ipv6/conf/${outside}/forwarding`]: "0" });
    // A router advertisement (RFC 4861 section 4.2) with a lifetime of 1800 s; the kernel fills in the checksum.
    const advertise = `printf '\\206\\0\\0\\0\\100\\0\\007\\010\\0\\0\\0\\0\\0\\0\\0\\0' |
      socat -u - "IP6-SENDTO:[ff02::1%$(ip -n ${internet} -br link | grep -o '^splab[^@ ]*-net')]:58,setsockopt-int=41:18:255"`;
    await host.exec("sh", ["-c", `nsenter --net=/run/netns/${internet} sh -c '${advertise.replaceAll("'", "'\\''")}'`]);
    const route = async () => (await host.exec("ip", ["-6", "route", "show", "default"])).stdout;
    assert.match(await route(), /proto ra/);
    const before = host.snapshot();
    const running = host.start([
      ...allowed,
      "sh",
      "-c",
      `${curl("https://allowed.example/", "-6", "-o", "/dev/null", "-w", "%{http_code}").join(" ")}; read _`,
    ]);
    await running.waitFor(/200/);
    assert.match(await route(), /proto ra/);
    running.write("\n");
    assert.equal((await running.exited).code, 0);
    assert.deepEqual(host.changes(before), []);
    await host.exec("ip", ["-6", "route", "del", "default"]);
  });

  test("without IPv6 of its own the command is told so at once, and IPv4 works", async () => {
    const before = host.snapshot();
    const six = curl("https://[2001:db8:200::10]/", "-k").join(" ");
    const four = curl("https://allowed.example/", "-o", "/dev/null", "-w", "%{http_code}").join(" ");
    for (const off of ["0", "1"]) {
      set({ "net/ipv6/conf/all/disable_ipv6": off, "net/ipv6/conf/default/disable_ipv6": off });
      const ran = await host.run([
        "-q",
        "--",
        "sh",
        "-c",
        `s=$(date +%s%N); ${six}; e=$(date +%s%N); echo $(((e-s)/1000000)); ${four}`,
      ]);
      const [ms, status] = ran.stdout.split("\n");
      assert.equal(status, "200", ran.stderr);
      assert.ok(Number(ms) < 1_500, `${ms} ms`);
    }
    set({ "net/ipv6/conf/all/disable_ipv6": "0", "net/ipv6/conf/default/disable_ipv6": "0" });
    // The addresses that switching IPv6 off took away come back with the next link event only.
    assert.deepEqual(
      host.changes(before).filter((line) => !/IPv6/.test(line)),
      [],
    );
  });

  test("whatever fails on the way: exit 4, the command is not started, and nothing stays", async () => {
    const ran = join(host.home, "ran");
    const tools = join(host.home, "tools");
    mkdirSync(tools);
    const before = host.snapshot();
    // Of the restore tools six in a row: a refusal is first taken for another program's change, then for a missing match.
    const failures: [tool: string, call: number][] = [
      ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => ["ip", n] as [string, number]),
      ...[1, 2, 3].map((n) => ["iptables-restore", n] as [string, number]),
      ...[1, 2].map((n) => ["ip6tables-restore", n] as [string, number]),
      ["unshare", 1],
      ["mount", 1],
    ];
    for (const [tool, call] of failures) {
      // Found before the real one; fails at the given call.
      writeFileSync(
        join(tools, tool),
        `#!/bin/sh\necho >> ${tools}/calls\nn=$(wc -l < ${tools}/calls)\n[ $n -lt ${call} ] || [ $n -ge ${call + (tool.endsWith("restore") ? 6 : 1)} ] || { echo "no ${tool} today" >&2; exit 1; }\nPATH=/usr/sbin:/usr/bin:/sbin:/bin exec ${tool} "$@"\n`,
      );
      chmodSync(join(tools, tool), 0o755);
      const script = `mount -n --bind ${tools} /usr/local/sbin && exec ${sallyport} run --allow allowed.example -- touch ${ran}`;
      const outcome = await host.exec("sh", ["-c", script]);
      const what = `${tool}, call ${call}: ${outcome.stderr}`;
      assert.equal(outcome.code, 4, what);
      assert.match(outcome.stderr, new RegExp(`no ${tool} today`), what);
      assert.throws(() => statSync(ran), what);
      assert.deepEqual(host.changes(before), [], what);
      rmSync(tools, { recursive: true });
      mkdirSync(tools);
    }
  });
});
