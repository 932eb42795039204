/** Network interfaces, their addresses and the routes, as `ip -j` tells them, in the namespace of the calling thread. */
import { type Address, parseAddress } from "../address/ip.ts";
import { SallyportError } from "../errors.ts";
import { run } from "./commands.ts";

export interface Interface {
  index: number;
  name: string;
  mtu: number;
  up: boolean;
  addresses: { address: Address; bits: number }[];
}

export interface Route {
  family: 4 | 6;
  /** CIDR text, or `default`. */
  destination: string;
  device: string | null;
}

export function interfaces(): Interface[] {
  const rows = JSON.parse(run("ip", ["-j", "address", "show"])) as {
    ifindex: number;
    ifname: string;
    mtu: number;
    flags: string[];
    addr_info: { local?: string; prefixlen: number }[];
  }[];
  return rows
    .filter((row) => row.ifname !== undefined)
    .map((row) => ({
      index: row.ifindex,
      name: row.ifname,
      mtu: row.mtu,
      up: row.flags.includes("UP"),
      addresses: row.addr_info.flatMap((info) => {
        const address = info.local === undefined ? null : parseAddress(info.local);
        return address === null ? [] : [{ address, bits: info.prefixlen }];
      }),
    }));
}

/** The routes of the main table. */
export function routes(): Route[] {
  return ([4, 6] as const).flatMap((family) => {
    const text = run("ip", [`-${family}`, "-j", "route", "show"]).trim();
    const rows = (text === "" ? [] : JSON.parse(text)) as { dst: string; dev?: string; type?: string }[];
    return rows
      .filter((row) => row.type !== "unreachable")
      .map((row) => ({ family, destination: row.dst, device: row.dev ?? null }));
  });
}

const SHOWN = 5;

/** Throws UNKNOWN_INTERFACE for the first name that is not here, with the nearest ones that are. */
export function requireInterfaces(names: readonly string[]): void {
  const known = interfaces().map((each) => each.name);
  for (const name of names) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    const rest = known.length > near.length ? ` (of ${known.length})` : "";
    throw new SallyportError(
      "UNKNOWN_INTERFACE",
      `There is no interface ${name}; nearest: ${near.join(", ")}${rest}.`,
      {
        name,
        nearest: near,
      },
    );
  }
}

/** The few of `known` that are the least edits away. A host with containers has hundreds of interfaces. */
export function nearest(name: string, known: readonly string[]): string[] {
  const distance = new Map(known.map((each) => [each, editDistance(name, each)]));
  return known.toSorted((a, b) => distance.get(a)! - distance.get(b)!).slice(0, SHOWN);
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
