/**
 * Connections of this machine that are older than its enforcement. Nobody saw their first bytes, and in block mode one left open would
 * be a way out for as long as it lasts. Known are the kernel's tracking table, which has them where something tracked already, and
 * the sockets, which have the machine's own in any case. For each it is told which way it was opened: those from outside
 * (somebody at a self-hosted runner's sshd) go on; those from here are somebody's to vouch for, or end.
 *
 * Do it before the ruleset is applied: what the kernel does not track by then is in the middle of nothing, and refused.
 */
import type { Address } from "../address/ip.ts";
import { cidrContains, type Cidr } from "../address/cidr.ts";
import { specialClass } from "../address/special.ts";
import type { Conntrack, Flow } from "../kernel/conntrack.ts";
import { insideAddresses } from "../kernel/devices.ts";
import { ALLOW, INBOUND, STATE_MASK, stateOf } from "../kernel/mark.ts";
import type { ConnectedSocket, SocketTable } from "../kernel/socket-table.ts";

export interface EarlierFlow {
  /** IP protocol number: 6 or 17. */
  protocol: number;
  /** Who opened it, and to whom: in `in` flows the outside is the source. */
  source: Address;
  sourcePort: number;
  destination: Address;
  destinationPort: number;
  direction: "out" | "in";
  /** The machine's own socket; null for what it forwards, and where the socket is not connected. */
  socket: { inode: number; uid: number } | null;
}

/** A flow, and what is needed to go on with it or to end it. */
export interface FoundFlow extends EarlierFlow {
  /** The kernel tracks it. */
  entry: Flow | null;
  own: ConnectedSocket | null;
}

/** What stays in the machine is not among them, nor DNS, nor what an enforcer of ours has marked already. */
export function listEarlier(conntrack: Conntrack, sockets: SocketTable, uplinks: readonly string[]): FoundFlow[] {
  const inside = new Inside(uplinks);
  const connected = sockets.connected();
  const byTuple = new Map(
    connected.map((socket) => [
      keyOf(socket.protocol, socket.local, socket.localPort, socket.remote, socket.remotePort),
      socket,
    ]),
  );
  const listening = sockets.listening();
  const found: FoundFlow[] = [];
  const tracked = new Set<ConnectedSocket>();
  for (const entry of conntrack.dump()) {
    const { protocol, original, reply } = entry;
    if (protocol !== 6 && protocol !== 17) continue;
    if (entry.tcpState === "TIME_WAIT" || entry.tcpState === "CLOSE") continue;
    const { source, sourcePort, destination, destinationPort } = original;
    const own =
      byTuple.get(keyOf(protocol, source, sourcePort, destination, destinationPort)) ??
      byTuple.get(keyOf(protocol, reply.source, reply.sourcePort, source, sourcePort)) ??
      null;
    if (own !== null) tracked.add(own);
    if (stateOf(entry.mark) !== 0) continue;
    const [fromInside, toInside] = [inside.has(source), inside.has(reply.source)];
    if (fromInside === toInside || (protocol === 17 && destinationPort === 53)) continue;
    const direction = fromInside ? "out" : "in";
    found.push({ protocol, source, sourcePort, destination, destinationPort, direction, socket: ids(own), entry, own });
  }
  for (const own of connected) {
    const { protocol, local, localPort, remote, remotePort } = own;
    if (tracked.has(own) || inside.has(remote) || (protocol === 17 && remotePort === 53)) continue;
    const isIn = protocol === 6 && listening.has(localPort);
    const [from, to] = isIn
      ? [[remote, remotePort] as const, [local, localPort] as const]
      : [[local, localPort] as const, [remote, remotePort] as const];
    const ends = { source: from[0], sourcePort: from[1], destination: to[0], destinationPort: to[1] };
    found.push({ protocol, ...ends, direction: isIn ? "in" : "out", socket: ids(own), entry: null, own });
  }
  return found;
}

/** Lets the kernel go on with it once the rules are there. False where it is gone. */
export function continueFlow(flow: FoundFlow, conntrack: Conntrack): boolean {
  const mark = flow.direction === "in" ? INBOUND : ALLOW;
  if (flow.entry !== null) return conntrack.setMark(flow.entry, mark, STATE_MASK);
  if (flow.protocol !== 6) return false;
  const { source, sourcePort, destination, destinationPort } = flow;
  return conntrack.createTcp({ protocol: 6, source, sourcePort, destination, destinationPort }, mark);
}

/** Takes DNS of before out of the table, so that the next question on the same ports is redirected. */
export function forgetDns(conntrack: Conntrack): void {
  for (const entry of conntrack.dump()) {
    if (entry.protocol === 17 && entry.original.destinationPort === 53) conntrack.remove(entry);
  }
}

function ids(socket: ConnectedSocket | null): EarlierFlow["socket"] {
  return socket === null ? null : { inode: socket.inode, uid: socket.uid };
}

function keyOf(protocol: number, local: Address, localPort: number, remote: Address, remotePort: number): string {
  return `${protocol} ${localPort} ${remotePort} ${local}${remote}`;
}

/** Which addresses are in the machine: its own, loopback, and those of networks behind its inside devices. */
class Inside {
  readonly #own: ReadonlySet<Address>;
  readonly #networks: readonly Cidr[];

  constructor(uplinks: readonly string[]) {
    const { own, networks } = insideAddresses(uplinks);
    this.#own = new Set(own);
    this.#networks = networks;
  }

  has(address: Address): boolean {
    return (
      this.#own.has(address) ||
      specialClass(address) === "loopback" ||
      this.#networks.some((network) => cidrContains(network, address))
    );
  }
}
