/** ptunnel-ng: TCP in ICMP echo requests. IPv4 only; its server answers from the machine's own address. */
import type { Attack } from "../case.ts";
import { refused } from "../refusals.ts";
import { catcherPort, unboundNumber } from "./attacker.ts";
import { deliver, toolCase, withClient, type Ends } from "./tool.ts";

const localPort = 2202;
const inside = ["-r127.0.0.1", `-R${catcherPort}`];

export const ptunnelCases: Attack[] = [
  toolCase({
    variant: "ptunnel-ng: as the manual says",
    n: unboundNumber,
    families: [4],
    server: async ({ attacker }) => {
      await attacker.spawn("ptunnel-ng", inside);
      await attacker.listening("raw", 1);
    },
    client: (ends: Ends) =>
      withClient(
        ends,
        "ptunnel-ng",
        ["-p", ends.address, `-l${localPort}`, ...inside],
        async () => {},
        () => deliver(ends, () => ends.job.stream("127.0.0.1", localPort, `${ends.marker}\n`)),
      ),
    refusal: (job) => refused("protocol_denied", { ip: job.dot(unboundNumber), protocol: "icmp" }),
  }),
];
