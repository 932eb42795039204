/** dns2tcp(1): TCP over the answers to TXT and KEY questions. IPv4 only. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Attack } from "../case.ts";
import { catcherPort } from "./attacker.ts";
import { delegate, deliver, toolCase, withClient, zoneless, type Ends } from "./tool.ts";

const localPort = 2201;

async function server(ends: Ends): Promise<void> {
  const { attacker, address, zone, name } = ends;
  await delegate(ends);
  const directory = attacker.directory(name);
  // It changes into an unprivileged user.
  chmodSync(directory, 0o777);
  const lines = [
    ...[`listen = ${address}`, "port = 53", "user = nobody", `chroot = ${directory}`, `domain = ${zone}`],
    ...["key = correct-horse", `resources = catcher:127.0.0.1:${catcherPort}`],
  ];
  writeFileSync(join(directory, "dns2tcpd.conf"), `${lines.join("\n")}\n`);
  await attacker.spawn("dns2tcpd", ["-F", "-d", "1", "-f", join(directory, "dns2tcpd.conf")], /Change to user/);
}

function client(type: "TXT" | "KEY", isDirect: boolean): (ends: Ends) => Promise<void> {
  return (ends) => {
    const { job, zone, address, marker } = ends;
    const through = isDirect ? address : job.resolver;
    const args = ["-z", zone, "-r", "catcher", "-k", "correct-horse", "-l", String(localPort), "-d", "1", "-T", type];
    return withClient(ends, "dns2tcpc", [...args, through], /Listening on port/i, () =>
      deliver(ends, () => job.stream("127.0.0.1", localPort, `${marker}\n`)),
    );
  };
}

function dns2tcp(n: number, type: "TXT" | "KEY", isDirect: boolean): Attack {
  return toolCase({
    variant: `dns2tcp: ${type} queries, ${isDirect ? "straight to its server" : "through the resolver"}`,
    n,
    families: [4],
    server,
    client: client(type, isDirect),
    // It begins with a name that is no host's (`=auth`); in monitor mode it gets to those that could be.
    refusal: type === "TXT" ? zoneless(n, type, "invalid_name") : zoneless(n, "TYPE25", "query_type"),
    foretold: type === "TXT" ? zoneless(n, type) : null,
  });
}

export const dns2tcpCases: Attack[] = [
  dns2tcp(138, "TXT", false),
  dns2tcp(139, "KEY", false),
  dns2tcp(140, "TXT", true),
  dns2tcp(141, "KEY", true),
];
