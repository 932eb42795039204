/**
 * What a command inside an enforced run tries to get out never arrives, judged at the far end, and the record says of each
 * attempt what it was and why it was refused. As root inside, too: the namespaces hold without its consent.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { attempts, scriptOf } from "./attempts.ts";
import { curl, Host } from "./support.ts";

describe("inside an enforced run", () => {
  let host: Host;
  before(async () => {
    host = await Host.create();
    for (const address of ["203.0.113.66", "2001:db8:200::66"]) {
      await host.lab.internet.listen({ kind: "udp-echo", port: 9100, address }).catch(() => {});
    }
  });
  after(() => host.close());

  test("nothing arrives that is not on the list, and the record names each attempt", async () => {
    const markers = attempts.map(() => host.lab.marker());
    const ok = `${curl("https://allowed.example/", "-o", "/dev/null").join(" ")} || exit 9`;
    const { code, report, stderr } = await host.report([
      "--allow",
      "allowed.example",
      "--fail-on",
      "deny",
      "--",
      "sh",
      "-c",
      `${ok}\n${scriptOf(markers)}\n${ok}`,
    ]);
    assert.equal(code, 3, stderr);
    assert.equal(report.exit_code, 0, "what is allowed works before and after");
    for (const [i, { title, event }] of attempts.entries()) {
      const marker = markers[i]!;
      assert.deepEqual(await host.lab.sink.find(marker), [], title);
      const found = report.events.filter(
        ({ kind, destination }) =>
          kind === event.kind &&
          (event.ip === undefined || destination?.ip === event.ip) &&
          (event.name === undefined || destination?.name === event.name(marker).toLowerCase()) &&
          destination?.protocol === event.protocol,
      );
      assert.ok(found.length > 0, `${title}: no event; ${JSON.stringify(report.destinations)}`);
      for (const each of found) {
        assert.deepEqual(
          { verdict: each.verdict, enforced: each.enforced, reason: each.reason },
          { verdict: "deny", enforced: true, reason: event.reason },
          title,
        );
      }
    }
  });

  test("each of these is a way out without enforcement: in monitor mode everything arrives", async () => {
    const markers = attempts.map(() => host.lab.marker());
    const { code, stderr } = await host.run(["--", "sh", "-c", scriptOf(markers)]);
    assert.equal(code, 0, stderr);
    const arrived = await Promise.all(markers.map((marker) => host.lab.sink.saw(marker)));
    assert.deepEqual(
      attempts.filter((_, i) => !arrived[i]).map(({ title }) => title),
      [],
    );
  });

  test("root inside finds no other network, and no way to make one", async () => {
    const marker = host.lab.marker();
    const out = `curl -s --max-time 2 -o /dev/null http://203.0.113.66/${marker}`;
    const others = `/run/netns/${host.lab.gateway.namespace} /proc/1/ns/net`;
    const tries = [
      // Each prints its number when it works, which none may.
      `nsenter -t 1 -n ${out}`,
      ...others.split(" ").map((path) => `nsenter --net=${path} ${out}`),
      "ip link set eth0 netns 1",
      "ip link add out type dummy",
      "ip route add 203.0.113.66/32 dev lo",
      "ip address add 198.18.0.200/32 dev eth0",
      "iptables -t nat -F",
      "iptables -A OUTPUT -j ACCEPT",
      "mount -t proc proc /mnt",
      "umount /etc/resolv.conf",
      "unshare -m mount -t tmpfs none /mnt",
      `unshare -n ${out}`,
      `unshare -Urn ${out}`,
      "unshare -Urm umount /proc",
      "mknod /dev/sallyport-test c 1 1",
      "modprobe dummy",
      "sysctl -w kernel.core_pattern='|/bin/true'",
    ];
    const script = tries.map(
      (line, i) => `(${line}) >/dev/null 2>&1 && echo "${i} worked: ${line.replaceAll(/["'$]/g, "")}"`,
    );
    const ran = await host.run(["--allow", "allowed.example", "-q", "--", "sh", "-c", `${script.join("\n")}\ntrue`]);
    assert.equal(ran.stdout, "", ran.stderr);
    assert.equal(await host.lab.sink.saw(marker), false);
    // The first of them is a way out for root of the host.
    await host.exec("sh", ["-c", `nsenter --net=/run/netns/${host.lab.gateway.namespace} ${out}`]);
    assert.equal(await host.lab.sink.saw(marker), true);
  });

  test("raw and packet sockets, which root has, are judged like any other packet", async () => {
    const [raw, packet] = [host.lab.marker(), host.lab.marker()];
    const frame = join(host.home, "frame.mjs");
    // An Ethernet frame with a whole UDP packet in it, straight onto the link.
    writeFileSync(
      frame,
      `import { execFileSync } from "node:child_process";
      const mac = (text) => Buffer.from(text.replaceAll(":", ""), "hex");
      const link = JSON.parse(execFileSync("ip", ["-j", "link", "show", "eth0"]))[0];
      const peer = JSON.parse(execFileSync("ip", ["-j", "neigh", "show", "dev", "eth0"])).find((n) => n.lladdr && n.dst.includes("."));
      const [own] = JSON.parse(execFileSync("ip", ["-j", "-4", "address", "show", "eth0"]))[0].addr_info;
      const payload = Buffer.from(process.argv[2]);
      const udp = Buffer.alloc(8);
      udp.writeUInt16BE(40000, 0); udp.writeUInt16BE(9100, 2); udp.writeUInt16BE(8 + payload.length, 4);
      const ip = Buffer.alloc(20);
      ip[0] = 0x45; ip.writeUInt16BE(28 + payload.length, 2); ip[8] = 64; ip[9] = 17;
      Buffer.from(own.local.split(".").map(Number)).copy(ip, 12);
      Buffer.from([203, 0, 113, 66]).copy(ip, 16);
      let sum = 0;
      for (let i = 0; i < 20; i += 2) sum += ip.readUInt16BE(i);
      while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
      ip.writeUInt16BE(~sum & 0xffff, 10);
      process.stdout.write(Buffer.concat([mac(peer.lladdr), mac(link.address), Buffer.from([8, 0]), ip, udp, payload]));`,
    );
    const script = `ping -c1 -W1 198.18.0.1 >/dev/null
      dig +tries=1 +time=2 +short allowed.example >/dev/null
      printf '%s' ${raw} | socat -t1 - IP4-SENDTO:203.0.113.66:253
      node ${frame} ${packet} | socat -u - INTERFACE:eth0`;
    for (const [mode, arrives] of [
      ["enforce", false],
      ["monitor", true],
    ] as const) {
      const ran = await host.run(["--mode", mode, "-q", "--", "sh", "-c", script]);
      assert.equal(ran.code, 0, ran.stderr);
      assert.deepEqual([await host.lab.sink.saw(raw), await host.lab.sink.saw(packet)], [arrives, arrives], mode);
    }
  });

  test("what a command started ends with it, and what it was about to send goes nowhere", async () => {
    const marker = host.lab.marker();
    const later = `sleep 1; curl -sk --max-time 3 --connect-to ::203.0.113.10:443 https://${marker}.example/`;
    const ran = await host.run([
      ...["--allow", "allowed.example", "-q", "--", "sh", "-c"],
      `dig +short allowed.example >/dev/null; (setsid nohup sh -c '${later}' >/dev/null 2>&1 &) ; exit 0`,
    ]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal((await host.exec("pgrep", ["-f", marker])).stdout, "");
    assert.equal(await host.lab.sink.saw(marker, { settleMs: 1_500 }), false);
  });
});
