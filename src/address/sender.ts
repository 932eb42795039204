/**
 * Who a packet may be said to come from, where what one machine uses is bounded. A machine chooses its addresses freely
 * inside its IPv6 /64 (RFC 4291 section 2.5.1, RFC 8981), so all of a /64 is one sender; each IPv4 address is one. A machine
 * can claim its neighbours' addresses too: what must hold against that cannot go by addresses.
 */
import { type Address, formatAddress } from "./ip.ts";

/** One sender: 4 bytes of an IPv4 address or the first 8 of an IPv6 one, as a key for maps. */
export type Sender = string;

export function senderOf(address: Address): Sender {
  return address.length === 4 ? address : address.slice(0, 8);
}

/** As people read it: an address, or a prefix with its length. */
export function formatSender(sender: Sender): string {
  return sender.length === 4
    ? formatAddress(sender as Address)
    : `${formatAddress(sender.padEnd(16, "\0") as Address)}/64`;
}
