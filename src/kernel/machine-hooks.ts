/**
 * The chains of nf_tables around a machine, beside the iptables ruleset of `rules-machine.ts`:
 *
 * - `in`, `out` and `through` run just before mangle and say in the mark whether a packet's device is inside. A device is
 *   inside by its kind (bridge, veth), so that a container network made later needs nobody's notice; everything else leaves, and so
 *   does each uplink that is named, whatever its kind.
 * - `end` runs after everything else at POSTROUTING. What leaves without one of our states is dropped: no rule of others, no
 *   address translation and no lost rule of ours can let it out. The rest gets the secret mark.
 * - one egress chain for each device that leaves the machine. Packet sockets hand their packets to the device itself, past all
 *   of the above; here what does not carry the secret is dropped. The secret is random and new at each start, and only root
 *   can read it. ARP passes, by what the frame says and not by what its sender told the kernel; so do a DHCP client's
 *   broadcasts, which come from packet sockets (RFC 2131 section 4.1) and go to the link's own server: few and small.
 *
 * A kernel without the egress hook (before 5.16, or built without it) has the first two only, and says so.
 */
import { randomInt } from "node:crypto";
import { KernelError } from "./libc.ts";
import {
  ALLOW,
  ALLOWED_MASK,
  FLAGS_MASK,
  INBOUND,
  INSIDE,
  KERNEL,
  OUR_BITS,
  OWN,
  PENDING,
  STATE_MASK,
} from "./mark.ts";
import {
  type Chain,
  type Expression,
  hooks,
  match,
  type NativeTable,
  removeTables,
  replaceTables,
  act,
} from "./nf-tables.ts";
import { readTable } from "./nf-tables-read.ts";

export interface Uplink {
  name: string;
  /** Frames have an Ethernet header, so that ARP and DHCP can be told. */
  ethernet: boolean;
}

export interface HookOptions {
  /** Devices that leave the machine whatever their kind. */
  uplinks: readonly string[];
  /** Devices that get an egress chain. */
  guarded: readonly Uplink[];
  /** Packets without the secret are dropped at egress; false: only counted. */
  dropUnmarked: boolean;
  secret: number;
}

/** Kinds of devices whose other end is in this machine: `ip -d link` shows them. */
export const insideKinds = ["bridge", "veth"] as const;

const main = { family: "inet", name: "sallyport" } as const;
const device = { family: "netdev", name: "sallyport" } as const;
/** NF_IP_PRI_MANGLE - 1; conntrack is at -200. */
const beforeMangle = -151;
/** After NF_IP_PRI_NAT_SRC (100) and everybody who hooks around it. */
const last = 2_000_000_000;

/** A new secret: never 0, which is the mark of everything. */
export function newSecret(): number {
  return randomInt(1, 0xffffffff);
}

/** How far a set of hooks goes: without `guard` only the classification, for the time in which the rest is put up. */
export function applyHooks(options: HookOptions, guard: boolean): { egress: boolean } {
  const without: NativeTable = { ...main, chains: [...classification(options), ...(guard ? end(options) : [])] };
  if (!guard || options.guarded.length === 0) {
    replaceTables([without]);
    return { egress: false };
  }
  try {
    replaceTables([without, { ...device, chains: options.guarded.map((uplink) => egress(uplink, options)) }]);
    return { egress: true };
  } catch (error) {
    // EOPNOTSUPP and ENOENT: no such hook here. Nothing was changed.
    if (!(error instanceof KernelError) || !["EOPNOTSUPP", "ENOENT", "EINVAL"].includes(error.code)) throw error;
    replaceTables([without]);
    return { egress: false };
  }
}

/** Takes them all out; none is no error. */
export function removeHooks(): void {
  removeTables([main, device]);
}

/** What is in the kernel, comparable; empty where nothing is. */
export function hooksFingerprint(): string {
  const parts = [readTable(main.family, main.name), readTable(device.family, device.name)];
  return parts
    .map(({ fingerprint }) => fingerprint)
    .join("\n")
    .trim();
}

/** Packets dropped (or counted) since the hooks were applied: at the end of POSTROUTING, and at egress by device. */
export function hookCounts(): { unstated: number; unmarked: ReadonlyMap<string, number> } {
  const unstated = readTable(main.family, main.name).counts.get("leaving")?.[0] ?? 0;
  const unmarked = [...readTable(device.family, device.name).counts].map(
    ([chain, counts]) => [chain, counts.at(-1) ?? 0] as const,
  );
  return { unstated, unmarked: new Map(unmarked) };
}

function classification({ uplinks }: HookOptions): Chain[] {
  const inside = act.setMark(INSIDE, STATE_MASK);
  const kinds = (kind: (name: string) => Expression[], name: (name: string) => Expression[]) => [
    ...uplinks.map((uplink) => [...name(uplink), act.accept]),
    ...insideKinds.map((each) => [...kind(each), ...inside]),
  ];
  const out = kinds(match.oifkind, match.oifname);
  // ICMP, IGMP, ICMPv6: what the kernel says by itself.
  const kernel = [1, 2, 58].map((protocol) => [...match.protocol(protocol), ...act.setMark(KERNEL, STATE_MASK)]);
  const notKernel = [...match.ofProcess, ...act.setMark(0, STATE_MASK)];
  const at = (number: number) => ({ number, priority: beforeMangle });
  return [
    {
      name: "in",
      hook: at(hooks.prerouting),
      rules: [act.setMark(0, OUR_BITS), [...match.iifname("lo"), ...inside], ...kinds(match.iifkind, match.iifname)],
    },
    { name: "out", hook: at(hooks.output), rules: [act.setMark(0, OUR_BITS), ...kernel, notKernel, ...out] },
    // The flags of PREROUTING are still to be read.
    { name: "through", hook: at(hooks.forward), rules: [act.setMark(0, ~FLAGS_MASK & OUR_BITS), ...out] },
  ];
}

function end({ uplinks, secret }: HookOptions): Chain[] {
  const states = [PENDING, OWN, INBOUND, KERNEL].map((state) => [...match.mark(state, STATE_MASK), act.goto("seal")]);
  return [
    {
      name: "end",
      hook: { number: hooks.postrouting, priority: last },
      rules: [
        [...match.oifname("lo"), act.accept],
        ...uplinks.map((uplink) => [...match.oifname(uplink), act.goto("leaving")]),
        ...insideKinds.map((kind) => [...match.oifkind(kind), act.accept]),
        [act.goto("leaving")],
      ],
    },
    {
      name: "leaving",
      rules: [[...match.mark(ALLOW, ALLOWED_MASK), act.goto("seal")], ...states, [act.count, act.drop]],
    },
    { name: "seal", rules: [[...act.setMark(secret), act.accept]] },
  ];
}

const broadcast4 = Buffer.from("ffffffff", "hex");

function egress({ name, ethernet }: Uplink, { secret, dropUnmarked }: HookOptions): Chain {
  const type = (value: string) => match.link(12, Buffer.from(value, "hex"));
  const dhcp = [
    ...match.link(0, Buffer.from("ffffffffffff", "hex")),
    ...type("0800"),
    // No IP options, so that the ports are where they are looked for; no fragment; UDP.
    ...match.link(14, Buffer.of(0x45)),
    ...match.link(20, Buffer.of(0, 0), Buffer.from("3fff", "hex")),
    ...match.link(23, Buffer.of(17)),
    ...match.link(30, broadcast4),
    ...match.link(34, Buffer.from("00440043", "hex")),
    ...match.atMost(14 + 600),
    ...match.limit(10, 5),
    act.accept,
  ];
  return {
    name,
    hook: { number: hooks.egress, priority: 0, device: name },
    rules: [
      [...match.mark(secret), act.accept],
      ...(ethernet ? [[...type("0806"), act.accept], dhcp] : []),
      [act.count, dropUnmarked ? act.drop : act.accept],
    ],
  };
}
