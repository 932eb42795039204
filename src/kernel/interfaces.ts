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

/** Throws UNKNOWN_INTERFACE for the first name that is not here. */
export function requireInterfaces(names: readonly string[]): void {
  const known = interfaces().map((each) => each.name);
  for (const name of names) {
    if (known.includes(name)) continue;
    throw new SallyportError("UNKNOWN_INTERFACE", `There is no interface ${name}; here are: ${known.join(", ")}.`, { name });
  }
}
