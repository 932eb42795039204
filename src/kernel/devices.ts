/**
 * Which network devices lead out of this machine, in the namespace of the calling thread. Called
 * by the machine's ruleset and by whoever sets up enforcement around a machine.
 */
import { type Cidr, maskAddress } from "../address/cidr.ts";
import type { Address } from "../address/ip.ts";
import { insideKinds, type Uplink } from "./machine-hooks.ts";
import { readAddresses, readDefaultRoutes, readLinks } from "./route-netlink.ts";

export interface Device {
  name: string;
  /** What `ip -d link` calls its kind; null for a network card and the loopback. */
  kind: string | null;
  ethernet: boolean;
  loopback: boolean;
  /** The bridge or bond it is a port of. */
  master: string | null;
  /** The device that it sends by (macvlan, ipvlan, VLANs); null where that is none of this namespace. */
  lower: string | null;
  addressed: boolean;
  addresses: { address: Address; bits: number }[];
}

export function devices(): Device[] {
  const links = readLinks();
  const names = new Map(links.map(({ index, name }) => [index, name]));
  const addresses = readAddresses();
  return links.map(({ index, name, kind, ethernet, loopback, master, lower }) => {
    const own = addresses.filter((each) => each.index === index);
    return {
      ...{ name, kind, ethernet, loopback },
      master: master === null ? null : (names.get(master) ?? `device ${master}`),
      lower: lower === null ? null : (names.get(lower) ?? null),
      addressed: own.some(({ linkLocal }) => !linkLocal),
      addresses: own.map(({ address, bits }) => ({ address, bits })),
    };
  });
}

/** Names of the devices of default routes, each once. */
export function defaultDevices(): string[] {
  const names = new Map(readLinks().map(({ index, name }) => [index, name]));
  return [...new Set(readDefaultRoutes().flatMap((index) => names.get(index) ?? []))];
}

const isInside = ({ kind }: Device) => kind !== null && (insideKinds as readonly string[]).includes(kind);

/**
 * The uplinks to name when enforcement starts: devices of default routes, and a veth of its own with an address, since nobody can tell
 * from here whether its other end is in this machine (a runner that is itself a container has such uplinks).
 */
export function findUplinks(): string[] {
  const found = new Set(defaultDevices());
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
