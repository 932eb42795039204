/** ncat(1): a listener on the attacker's machine, and a line to it. */
import type { Attack } from "../case.ts";
import { nameless, toolCase, type Ends } from "./tool.ts";

function ncat(
  n: number,
  how: string,
  port: number,
  options: readonly string[],
  clientOnly: readonly string[] = [],
): Attack {
  const isUdp = options.includes("--udp");
  return toolCase({
    variant: `ncat: ${how}`,
    n,
    server: ({ attacker, address }: Ends) =>
      attacker.spawn(
        "ncat",
        ["-v", "--listen", ...(isUdp ? [] : ["--keep-open"]), ...options, address, String(port)],
        /Listening on/,
      ),
    client: ({ job, address, marker }) =>
      job.exec("ncat", ["-w", "2", "--send-only", ...options, ...clientOnly, address, String(port)], {
        input: `${marker}\n`,
        timeoutMs: 4_000,
      }),
    ...nameless(n, port, isUdp ? "udp" : "tcp"),
  });
}

export const ncatCases: Attack[] = [
  ncat(155, "TCP port 80", 80, []),
  ncat(156, "TLS with the name of an allowed host", 443, ["--ssl"], ["--ssl-servername", "allowed.example"]),
  ncat(157, "UDP port 123", 123, ["--udp"]),
];
