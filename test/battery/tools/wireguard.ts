/** WireGuard in user space: wireguard-go(1), set up with wg(8). */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Attack } from "../case.ts";
import { runTool } from "../../lab/tools.ts";
import { bracketed } from "../job.ts";
import type { Machine } from "../../lab/machine.ts";
import { ownRunScript } from "./attacker.ts";
import { nameless, toolCase, withClient, type Ends } from "./tool.ts";
import { deliverInside, inner } from "./tun.ts";

/** The tunnel's device; its control socket stands in /run, named after the device alone. */
const upScript = `
wireguard-go -f "$1" &
until wg setconf "$1" "$2" 2>/dev/null; do sleep 0.05; done
ip addr add "$3/24" dev "$1" && ip link set "$1" up && echo the tunnel is set up
wait`;

function up(machine: Machine, args: readonly string[]): string[] {
  return ["-c", ownRunScript, "run", machine.home, "sh", "-c", upScript, "up", ...args];
}

type Keys = { secret: string; open: string };

async function newKeys(): Promise<Keys> {
  const secret = await runTool("wg", ["genkey"]);
  return { secret: secret.trim(), open: (await runTool("wg", ["pubkey"], secret)).trim() };
}

function keysOf({ attacker }: Ends): Promise<{ server: Keys; client: Keys }> {
  return attacker.once("wireguard keys", async () => ({ server: await newKeys(), client: await newKeys() }));
}

function configure({ attacker, name }: Ends, end: string, lines: readonly string[]): string {
  const path = join(attacker.directory(name), `${end}.conf`);
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

function wireguard(n: number, port: number): Attack {
  // Its server listens at every address of a machine: one is there for both families.
  const inside = inner(n, 4);
  return toolCase({
    variant: `wireguard-go: UDP port ${port}`,
    n,
    server: async (ends) => {
      const { server, client } = await keysOf(ends);
      const lines = [
        ...["[Interface]", `PrivateKey = ${server.secret}`, `ListenPort = ${port}`],
        ...["[Peer]", `PublicKey = ${client.open}`, `AllowedIPs = ${inside.client}/32`],
      ];
      const args = up(ends.attacker.machine, [`wg${n}`, configure(ends, "server", lines), inside.server]);
      await ends.attacker.once(`wg${n}`, () => ends.attacker.spawn("sh", args, /the tunnel is set up/));
    },
    client: async (ends) => {
      const { server, client } = await keysOf(ends);
      const lines = [
        ...["[Interface]", `PrivateKey = ${client.secret}`],
        ...["[Peer]", `PublicKey = ${server.open}`, `AllowedIPs = ${inside.net}/24`],
        `Endpoint = ${bracketed(ends.address)}:${port}`,
      ];
      const args = up(ends.job.machine, [ends.name, configure(ends, "client", lines), inside.client]);
      await withClient(ends, "sh", args, /the tunnel is set up/, () => deliverInside(ends, inside.server));
    },
    ...nameless(n, port, "udp"),
  });
}

export const wireguardCases: Attack[] = [wireguard(146, 51820), wireguard(147, 443)];
