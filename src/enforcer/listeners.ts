/**
 * The DNS firewall's sockets, UDP and TCP. Between links one pair per address of the inside interfaces, so that an answer leaves
 * from the very address its query was redirected to (the kernel's REDIRECT picks an address of the interface the query came
 * in by). On a machine a pair on each loopback address, for its own processes (REDIRECT takes these there), and on another port a
 * pair for every address there is or will be: networks of containers come and go, and the kernel answers a container from the
 * address of its network, which is the one that REDIRECT took.
 */
import { closeSync } from "node:fs";
import net from "node:net";
import { networkInterfaces } from "node:os";
import { type Address, family, formatAddress, parseAddress } from "../address/ip.ts";
import { SallyportError } from "../errors.ts";
import { DatagramSocket } from "../kernel/datagrams.ts";
import { KernelError } from "../kernel/libc.ts";
import { interfaces } from "../kernel/interfaces.ts";
import { anyAddress, listenTcp, listenUdp } from "../kernel/sockets.ts";
import type { Stand } from "./options.ts";

export interface Listeners {
  /** One for each address, with the interface that has it. */
  pairs: { link: string; udp: DatagramSocket; tcp: net.Server }[];
  /** The addresses listened on, as text. */
  addresses: ReadonlySet<string>;
  close(): void;
}

/** An address's sockets, opened and not yet adopted. */
export interface Opened {
  link: string;
  address: Address;
  udp: number;
  tcp: number;
}

/** Opens the sockets in this thread's network namespace: call it where the interfaces are. Throws PORT_IN_USE. */
export function openFor(stand: Stand, port: number): Opened[] {
  return stand.kind === "machine" ? openMachineSockets(port) : openSockets(stand.inside, port);
}

function openSockets(inside: readonly string[], port: number): Opened[] {
  const opened: Opened[] = [];
  for (const each of interfaces()) {
    if (!inside.includes(each.name)) continue;
    for (const { address } of each.addresses) {
      const scope = isLinkLocal(address) ? each.index : 0;
      try {
        const [udp, tcp] = [listenUdp(address, port, { scope }), listenTcp(address, port, { scope })];
        opened.push({ link: each.name, address, udp, tcp });
      } catch (error) {
        if (error instanceof KernelError && error.code === "EADDRINUSE") {
          throw new SallyportError(
            "PORT_IN_USE",
            `Port ${port} on ${formatAddress(address)} is in use.`,
            { port },
            error,
          );
        }
        throw error;
      }
    }
  }
  return opened;
}

/** All links of a machine are one: its processes and containers have one budget. */
export const machineLink = "machine";

/** The same for a machine: `port` on the loopback, the one after it everywhere. Throws PORT_IN_USE. */
function openMachineSockets(port: number): Opened[] {
  const opened: Opened[] = [];
  const loopback = (["127.0.0.1", "::1"] as const).map((text) => parseAddress(text)!);
  // Of Node, not of `ip`: a machine with a hundred containers has many, and a job waits for it.
  const has = new Set(
    Object.values(networkInterfaces()).flatMap((each) => each?.map(({ address }) => parseAddress(address)) ?? []),
  );
  for (const address of loopback) {
    if (!has.has(address)) continue;
    for (const [at, each] of [
      [address, port],
      [anyAddress(family(address)), port + 1],
    ] as const) {
      opened.push({ link: machineLink, address: at, udp: listenUdp(at, each), tcp: listenTcp(at, each) });
    }
  }
  return opened;
}

/** For sockets that nobody adopts. */
export function closeSockets(opened: readonly Opened[]): void {
  for (const { udp, tcp } of opened) for (const each of [udp, tcp]) closeSync(each);
}

/** Hands the sockets to Node. */
export async function adopt(opened: readonly Opened[]): Promise<Listeners> {
  const pairs: Listeners["pairs"] = [];
  for (const each of opened) {
    const udp = await DatagramSocket.adopt(each.udp, family(each.address));
    const server = net.createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ fd: each.tcp }, () => resolve());
    });
    pairs.push({ link: each.link, udp, tcp: server });
  }
  return {
    pairs,
    addresses: new Set(opened.map((each) => formatAddress(each.address))),
    close() {
      for (const { udp, tcp } of pairs) {
        udp.close();
        tcp.close();
      }
    },
  };
}

function isLinkLocal(address: Address): boolean {
  return address.length === 16 && address.charCodeAt(0) === 0xfe && (address.charCodeAt(1) & 0xc0) === 0x80;
}
