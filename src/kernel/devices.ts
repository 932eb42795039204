/**
 * Which network devices lead out of this machine, in the namespace of the calling thread: asked of `ip`, as `interfaces.ts` does. Called
 * by the machine's ruleset and by whoever sets up enforcement around a machine.
 */
import { type Cidr, maskAddress } from "../address/cidr.ts";
import { type Address, parseAddress } from "../address/ip.ts";
import { run } from "./commands.ts";
import { routes } from "./interfaces.ts";
import { insideKinds, type Uplink } from "./machine-hooks.ts";

export interface Device {
  name: string;
  /** What `ip -d link` calls its kind; null for a network card and the loopback. */
  kind: string | null;
  ethernet: boolean;
  loopback: boolean;
  /** The bridge or bond it is a port of. */
  master: string | null;
  addressed: boolean;
  addresses: { address: Address; bits: number }[];
}

export function devices(): Device[] {
  const rows = JSON.parse(run("ip", ["-j", "-d", "address", "show"])) as {
    ifname?: string;
    link_type?: string;
    master?: string;
    linkinfo?: { info_kind?: string };
    addr_info?: { scope?: string; local?: string; prefixlen: number }[];
  }[];
  return rows.flatMap((row) =>
    row.ifname === undefined
      ? []
      : [
          {
            name: row.ifname,
            kind: row.linkinfo?.info_kind ?? null,
            ethernet: row.link_type === "ether",
            loopback: row.link_type === "loopback",
            master: row.master ?? null,
            addressed: (row.addr_info ?? []).some(({ scope }) => scope !== "link"),
            addresses: (row.addr_info ?? []).flatMap(({ local, prefixlen: bits }) => {
              const address = local === undefined ? null : parseAddress(local);
              return address === null ? [] : [{ address, bits }];
            }),
          },
        ],
  );
}

const isInside = ({ kind }: Device) => kind !== null && (insideKinds as readonly string[]).includes(kind);

/**
 * The uplinks to name when enforcement starts: devices of default routes, and a veth of its own with an address, since nobody can tell
 * from here whether its other end is in this machine (a runner that is itself a container has such uplinks).
 */
export function findUplinks(): string[] {
  const found = new Set<string>();
  for (const { destination, device } of routes()) if (destination === "default" && device !== null) found.add(device);
  for (const device of devices()) {
    if (device.kind === "veth" && device.master === null && device.addressed) found.add(device.name);
  }
  return [...found].toSorted();
}

/**
 * Devices that lead out now: the named uplinks, and whatever is neither loopback nor inside by its kind. Ports of a bridge that is
 * an uplink are among them by their own kind.
 */
export function leavingDevices(uplinks: readonly string[]): Uplink[] {
  return devices()
    .filter((device) => isLeaving(device, uplinks))
    .map(({ name, ethernet }) => ({ name, ethernet }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function isLeaving(device: Device, uplinks: readonly string[]): boolean {
  return !device.loopback && (uplinks.includes(device.name) || !isInside(device));
}

/** The addresses of this machine, and the networks behind devices that are inside it. */
export function insideAddresses(uplinks: readonly string[]): { own: Address[]; networks: Cidr[] } {
  const own: Address[] = [];
  const networks: Cidr[] = [];
  for (const device of devices()) {
    for (const { address, bits } of device.addresses) {
      own.push(address);
      if (!isLeaving(device, uplinks)) networks.push({ address: maskAddress(address, bits), length: bits });
    }
  }
  return { own, networks };
}
