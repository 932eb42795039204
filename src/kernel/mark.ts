/**
 * The packet mark as the ruleset, the data path and conntrack share it. Ours are the top eight bits; the rest of the
 * mark belongs to whoever else uses it on this host and is left alone.
 *
 * The high nibble is the flow's state and is what CONNMARK saves. The low nibble are facts that rules tell user space
 * about one packet; they are never saved.
 */

/** All bits that are ours. */
export const OUR_BITS = 0xff000000;
/** The state: the only bits saved to and read from the connection mark. */
export const STATE_MASK = 0xf0000000;
export const FLAGS_MASK = 0x0f000000;

/** Let through so far; the flow's first bytes are still to be judged. */
export const PENDING = 0x10000000;
/** Allowed: the kernel forwards it without us. */
export const ALLOW = 0x20000000;
/** Refused: answered by REJECT or dropped. */
export const DENY = 0x30000000;
/** Reserved for TLS inspection; dropped by today's ruleset. */
export const INSPECT = 0x40000000;
/** A question to port 53, on its way to our DNS firewall. */
export const DNS = 0x50000000;
/**
 * Allowed like {@link ALLOW}, but for datagrams that may begin a QUIC connection of their own: those go to user space. The two
 * differ in one bit, so that most rules need not tell them apart.
 */
export const QUIC = 0x60000000;
/** On a machine: the packet stays in the machine (or came from inside it), so nothing is decided. Never saved. */
export const INSIDE = 0x70000000;
/** On a machine: of a connection that was opened from outside; its replies pass. */
export const INBOUND = 0x80000000;
/** On a machine: sent by our own process. Never saved. */
export const OWN = 0x90000000;
/** On a machine: made by the kernel and not by any process. Never saved. */
export const KERNEL = 0xa0000000;
/** Under this mask ALLOW and QUIC, and no other state, are ALLOW. */
export const ALLOWED_MASK = 0xb0000000;

/** The destination is an address of this host. */
export const LOCAL = 0x01000000;
/** Connection tracking calls the packet INVALID, or does not track it. */
export const INVALID = 0x02000000;
/** The destination is a broadcast, multicast or anycast address. */
export const BROADCAST = 0x04000000;
/** The packet comes from the outside towards the inside. */
export const BACK = 0x08000000;

/**
 * Both at once, which no packet from the outside is: the source is not reached by the interface that the packet came by. All
 * four flags are taken.
 */
export const FORGED = 0x0a000000;

/** The state nibble of a mark, comparable with the constants above. */
export function stateOf(mark: number): number {
  return (mark & STATE_MASK) >>> 0;
}

/** Whether the kernel forwards the flow without us (all of it, or nearly). */
export function isAllowed(mark: number): boolean {
  return (mark & ALLOWED_MASK) >>> 0 === ALLOW;
}

/** `mark` with its state replaced, our flags cleared and foreign bits kept: what a verdict sets. */
export function withState(mark: number, state: number): number {
  return ((mark & ~OUR_BITS) | state) >>> 0;
}
