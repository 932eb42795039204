/** Scapy, with a few lines of Python as its manual writes them: packets that no other tool makes. */
import type { Attack, Family } from "../case.ts";
import { refused } from "../refusals.ts";
import type { LabProcess } from "../../lab/process.ts";
import type { Job } from "../job.ts";
import type { Stand } from "../stands/stand.ts";
import { nameless, toolCase, type Told } from "./tool.ts";

/** Debian's own Python, which has Debian's scapy. */
const python = "/usr/bin/python3";

/** Takes scripts as an interactive session does, one in a line of JSON, and says when each is done. */
const session = `
import json, sys, traceback
from scapy.all import *
conf.verb = 0
print("ready", flush=True)
for line in sys.stdin:
  asked = json.loads(line)
  dst, marker = asked["address"], asked["marker"].encode()
  try:
    exec(asked["script"])
    print("sent", asked["marker"], flush=True)
  except Exception:
    print("failed", asked["marker"], traceback.format_exc(), flush=True)`;

/** One session in each job's place: loading scapy takes seconds. */
const sessions = new WeakMap<Stand, Promise<LabProcess>>();

function sessionOf({ stand, machine }: Job): Promise<LabProcess> {
  const known = sessions.get(stand);
  if (known !== undefined) return known;
  const started = (async () => {
    const running = machine.spawn(python, ["-c", session]);
    await running.waitFor(/^ready$/m, 60_000);
    return running;
  })();
  sessions.set(stand, started);
  return started;
}

function scapy(n: number, how: string, families: readonly Family[], script: string, told: Told = nameless(n)): Attack {
  return toolCase({
    variant: `scapy: ${how}`,
    n,
    families,
    client: async ({ job, address, marker }) => {
      const running = await sessionOf(job);
      running.write(`${JSON.stringify({ script: script.trim(), address, marker })}\n`);
      await running.waitFor(new RegExp(`^sent ${marker}$`, "m"), 5_000);
    },
    ...told,
  });
}

const of = (n: number, reason: string, protocol: string): Told => ({
  refusal: (job) => refused(reason, { ip: job.dot(n), protocol }),
});

export const scapyCases: Attack[] = [
  scapy(
    174,
    "TCP Fast Open, data behind a cookie",
    [4, 6],
    `send((IPv6 if ":" in dst else IP)(dst=dst)/TCP(sport=20174, dport=443, flags="S", options=[("MSS", 1400), ("TFO", (0x11223344, 0x55667788))])/marker)`,
    nameless(174, 443, "tcp"),
  ),
  scapy(
    175,
    "data in an experimental option of a SYN with data",
    [4, 6],
    `send((IPv6 if ":" in dst else IP)(dst=dst)/TCP(sport=20175, dport=443, flags="S", options=[(253, marker)])/b"x")`,
    nameless(175, 443, "tcp"),
  ),
  scapy(
    176,
    "data in an IP option",
    [4],
    `send(IP(dst=dst, options=[IPOption(bytes([0x9e, 2 + len(marker)]) + marker)])/UDP(sport=20176, dport=5353)/b"x")`,
    nameless(176, 5353, "udp"),
  ),
  scapy(
    177,
    "a datagram in tiny fragments, last first",
    [4],
    `for f in reversed(fragment(IP(dst=dst, id=20177)/UDP(sport=20177, dport=5353)/(b"x" * 64 + marker), fragsize=8)): send(f)`,
    nameless(177, 5353, "udp"),
  ),
  scapy(
    180,
    "ICMP of a type that nobody uses",
    [4, 6],
    `
data = bytes([200, 0, 0, 0, 0, 0, 0, 0]) + marker
send(IPv6(dst=dst, nh=58)/Raw(data) if ":" in dst else IP(dst=dst, proto=1)/Raw(data))`,
    { ...of(180, "invalid_packet", "icmp"), untranslated: [4, 6] },
  ),
  scapy(
    181,
    "IP in IP",
    [4, 6],
    `send((IPv6 if ":" in dst else IP)(dst=dst)/IP(src="192.0.2.1", dst="192.0.2.2")/UDP(dport=5353)/marker)`,
    of(181, "protocol_denied", "other"),
  ),
  scapy(
    182,
    "data in a destination options header",
    [6],
    `send(IPv6(dst=dst)/IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x1e, optdata=marker)])/UDP(sport=20182, dport=5353)/b"x")`,
    nameless(182, 5353, "udp"),
  ),
  scapy(
    183,
    "a datagram in fragments",
    [6],
    `for f in fragment6(IPv6(dst=dst)/IPv6ExtHdrFragment(id=20183)/UDP(sport=20183, dport=5353)/(b"x" * 2500 + marker), 1280): send(f)`,
    nameless(183, 5353, "udp"),
  ),
];
