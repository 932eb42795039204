/** Who sends a query, as the policy knows it. Pure. */
import { type Address, parseAddress } from "../address/ip.ts";

/** A peer's address as the policy knows it: without zone, and IPv4 where a dual-stack socket shows it mapped. */
export function peerAddress(text: string): Address | null {
  const address = parseAddress(text.replace(/%.*$/, ""));
  if (address === null || address.length === 4) return address;
  return address.startsWith("\0".repeat(10) + "\xff\xff") ? (address.slice(12) as Address) : address;
}
