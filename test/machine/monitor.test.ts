/**
 * Promise: around a machine in monitor mode nothing is refused and nothing answers differently, for its processes and its containers;
 * everything that enforcement would have refused has an event.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { requireTools } from "../lab/tools.ts";
import { Agent, Host } from "./setup.ts";

const policy = `version: 1
rules:
  - { name: web, to: [allowed.example] }
default: { mode: monitor }
`;
const sender = fileURLToPath(new URL("./send.py", import.meta.url));

let host: Host;
let agent: Agent;

before(async () => {
  requireTools(["ip", "curl", "dig", "ping"]);
  host = await Host.create({ quic: true });
});
after(async () => {
  await agent?.stop();
  await host?.close();
});

/** What the places hear, without what changes by itself. */
async function heard(): Promise<string[]> {
  const lines: string[] = [];
  for (const [name, at] of [
    ["machine", host.host],
    ["container", host.container(1, 1)],
    ["aside", host.aside],
  ] as const) {
    const run = async (command: string, ...args: string[]) => {
      const { code, stdout } = await at.exec(command, args);
      const text = stdout
        .replaceAll(/"port":\d+|;; Query time.*|;; WHEN.*|, id: \d+|; COOKIE.*|time[ =][\d.]+ ?ms|rtt .*/g, "")
        .trim();
      lines.push(`${name}: ${command} ${args.join(" ")}: ${code} ${text}`);
    };
    for (const v of ["-4", "-6"]) {
      await run("curl", "-sS", v, "--max-time", "8", "https://allowed.example/");
      await run(
        "curl",
        "-sS",
        v,
        "--max-time",
        "8",
        "-k",
        "--connect-to",
        "evil.example:443:allowed.example:443",
        "https://evil.example/",
      );
      await run("curl", "-sS", v, "--max-time", "8", "http://evil.example/");
      await run("ping", v, "-c1", "-W2", v === "-4" ? "203.0.113.66" : "2001:db8:200::66");
    }
    await run("curl", "-sS", "--max-time", "5", "-k", "https://203.0.113.66/");
    await run("curl", "-sS", "--max-time", "5", "http://203.0.113.66:9999/");
    // Servers that exist: what is refused by a closed port is only not answered here (docs/limits.md).
    for (const server of ["203.0.113.53", "203.0.113.54", "2001:db8:200::54"]) {
      await run("dig", "+tries=1", "+time=2", `@${server}`, "evil.example", "TXT");
      await run("dig", "+tries=1", "+time=2", "+tcp", `@${server}`, "nothing.example");
    }
    await run("sh", "-c", "(echo hello; sleep 1) | ncat -u -w 2 203.0.113.91 9100");
    await run("ncat", "-w", "2", "203.0.113.90", "9001");
  }
  return lines;
}

test("the same is heard with and without, and every refusal it would have been is told", async () => {
  const without = await heard();
  agent = await Agent.start(host, policy);
  const from = agent.events.length;
  assert.deepEqual(await heard(), without);
  const told = agent.events.slice(from);
  assert.deepEqual(
    told.filter(({ verdict }) => verdict === "deny"),
    [],
  );
  for (const source of ["198.51.100.2", "2001:db8:100::2", "172.30.1.2", "fd30:1::2", "10.20.1.2", "fd20:1::2"]) {
    for (const name of ["evil.example", "allowed.example"]) {
      const verdict = name === "evil.example" ? "would_deny" : "allow";
      const found = told.some(
        (event) =>
          event.kind === "connection" &&
          event.source?.ip === source &&
          event.destination?.name === name &&
          event.verdict === verdict,
      );
      assert.ok(found, `${source} ${name}`);
    }
  }
  for (const server of ["203.0.113.53", "203.0.113.54", "2001:db8:200::54"]) {
    const asked = told.filter(({ kind, destination }) => kind === "dns" && destination?.ip === server);
    assert.ok(asked.length >= 6, `${server}: the server that was asked is told`);
  }
});

test("packet sockets pass and are counted, until a policy enforces", async () => {
  const world = await host.lab.world.exec("ip", ["-j", "link", "show", `${host.lab.id}-net`]);
  const router = (JSON.parse(world.stdout) as { address: string }[])[0]!.address;
  const send = async () => {
    const marker = host.lab.marker();
    const args = [sender, "packet", host.uplink, "0", marker, "198.51.100.2", "203.0.113.91", "9100", router];
    await host.host.exec("/usr/bin/python3", args);
    return host.lab.sink.saw(marker);
  };
  const from = agent.events.length;
  assert.equal(await send(), true);
  const event = await agent.expect(({ reason }) => reason === "packet_socket", from);
  assert.equal(event.verdict, "would_deny");
  await agent.setPolicy(policy.replace("monitor", "enforce"));
  assert.equal(await send(), false);
  await agent.setPolicy(policy);
  assert.equal(await send(), true);
});
