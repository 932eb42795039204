/** hping3(8): packets with data of every kind that it makes. IPv4 only. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Attack } from "../case.ts";
import { refused } from "../refusals.ts";
import { nameless, toolCase, type Told } from "./tool.ts";

function hping3(n: number, how: string, args: readonly string[], told: Told = nameless(n)): Attack {
  return toolCase({
    variant: `hping3: ${how}`,
    n,
    families: [4],
    client: async ({ job, address, marker }) => {
      const file = join(job.machine.home, `hping3-${n}`);
      writeFileSync(file, `${marker}\n`.repeat(8));
      const data = ["-d", "128", "--file", file];
      return job.exec("hping3", ["-n", "-q", "-c", "2", "-i", "u100000", ...args, ...data, address], {
        timeoutMs: 4_000,
      });
    },
    ...told,
  });
}

/** Packets of no connection. */
const midStream = (n: number): Told => ({
  untranslated: [4],
  refusal: (job) => refused("mid_stream", { ip: job.dot(n), port: 443, protocol: "tcp" }),
});

const denied = (n: number, protocol: string): Told => ({
  refusal: (job) => refused("protocol_denied", { ip: job.dot(n), protocol }),
});

export const hping3Cases: Attack[] = [
  hping3(166, "data in ICMP echo requests (-1)", ["-1"], denied(166, "icmp")),
  hping3(167, "data in datagrams (-2)", ["-2", "-p", "5353"], nameless(167, 5353, "udp")),
  hping3(168, "data in SYNs (-S)", ["-S", "-p", "443"], nameless(168, 443, "tcp")),
  hping3(169, "data in acknowledgements (-A)", ["-A", "-p", "443"], midStream(169)),
  hping3(170, "data in resets (-R)", ["-R", "-p", "443"], midStream(170)),
  hping3(
    171,
    "data in packets with every flag (-FSRPAU)",
    ["-F", "-S", "-R", "-P", "-A", "-U", "-p", "443"],
    midStream(171),
  ),
  hping3(172, "a datagram in fragments (-f)", ["-2", "-f", "-p", "5353"], nameless(172, 5353, "udp")),
  hping3(173, "raw IP (-0)", ["-0", "--ipproto", "47"], denied(173, "other")),
];
