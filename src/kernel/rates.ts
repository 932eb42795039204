/**
 * How many packets of whom may ask user space in a second (threat T10), as rules. A queue is first come, first served: who
 * fills it makes everybody wait, and its losses are everybody's. So what is beyond a bound is dropped before the queue, by
 * source and by the network of the source, in the kernel and for little; SALLYPORT-OVER counts it by interface
 * (`unjudged.ts` reads that). Packets of flows that the kernel forwards alone are never counted or slowed down.
 *
 * By network as well, because a machine can send with any address of its own network, and with any of its IPv6 /64: what one
 * network may ask leaves room for the others, but its machines are not protected from a forging neighbour. An address that
 * is not behind its interface at all is nobody's, and all of those share one small bound.
 *
 * Pure text; called by `rules.ts`.
 */

/** Packets a second for each queue, and as many at once. Far above what jobs do: a busy one opens some hundred connections a second. */
export const rates = {
  /** That begin something: SYNs, first datagrams, whatever belongs to no connection. */
  newOfSource: 6_000,
  newOfNetwork: 8_000,
  newForged: 250,
  /** Of any kind: also the data of connections that stay in user space. */
  allOfSource: 30_000,
} as const;

/** DNS datagrams a second, and as many at once: one thread answers them, whatever the number of queues. */
export const dnsRates = { ofSource: 4_000, ofNetwork: 6_000, forged: 100 } as const;

export const overChain = "SALLYPORT-OVER";
const over = `-j ${overChain}`;

interface Bound {
  /** Shown in /proc/net/ipt_hashlimit. */
  name: string;
  rate: number;
  /** Bits of the source address that tell one bucket from another; null: one bucket for all. */
  bits: number | null;
}

/** Matches what is over the bound. */
function above({ name, rate, bits }: Bound): string {
  const mode = bits === null ? "" : ` --hashlimit-mode srcip --hashlimit-srcmask ${bits}`;
  return `-m hashlimit --hashlimit-above ${rate}/sec --hashlimit-burst ${rate} --hashlimit-name sallyport-${name}${mode}`;
}

const sourceBits = (family: 4 | 6) => (family === 4 ? 32 : 64);
const networkBits = (family: 4 | 6) => (family === 4 ? 24 : 56);
/** No route back to the source by the interface it came in by. */
export const forgedSource = "-m rpfilter --invert";

/**
 * The chains, by name: for packets that begin something, for DNS datagrams, and where the excess ends. `forged` matches
 * packets whose source is not the sender's.
 */
export function rateChains(
  family: 4 | 6,
  queues: number,
  inside: readonly string[],
  forged: string,
): [string, string[]][] {
  const source = sourceBits(family);
  const network = networkBits(family);
  return [
    [
      "SALLYPORT-NEW",
      [
        `${forged} ${above({ name: "new-forged", rate: rates.newForged * queues, bits: null })} ${over}`,
        `${above({ name: "new", rate: rates.newOfSource * queues, bits: source })} ${over}`,
        `${above({ name: "new-net", rate: rates.newOfNetwork * queues, bits: network })} ${over}`,
      ],
    ],
    [
      "SALLYPORT-ASKED",
      [
        `${forged} ${above({ name: "dns-forged", rate: dnsRates.forged, bits: null })} ${over}`,
        `${above({ name: "dns", rate: dnsRates.ofSource, bits: source })} ${over}`,
        `${above({ name: "dns-net", rate: dnsRates.ofNetwork, bits: network })} ${over}`,
      ],
    ],
    [overChain, [...inside.map((name) => `-i ${name} -j DROP`), "-j DROP"]],
  ];
}

/** What stands before DNS is let go to the DNS firewall. */
export const dnsRateRules = [
  "-p udp -m udp --dport 53 -j SALLYPORT-ASKED",
  "-p tcp -m tcp --dport 53 -m conntrack --ctstate NEW -j SALLYPORT-NEW",
] as const;

/** What stands before a packet is queued. */
export function askRateRules(family: 4 | 6, queues: number): string[] {
  return [
    "-m conntrack ! --ctstate ESTABLISHED -j SALLYPORT-NEW",
    `${above({ name: "all", rate: rates.allOfSource * queues, bits: sourceBits(family) })} ${over}`,
  ];
}
