/** The PTR owner name of an address (RFC 1035 section 3.5, RFC 3596 section 2.5). Used by the lab's default zone. */
import { addressToBytes, parseAddress } from "../../../src/address/ip.ts";

export function reverseName(text: string): string {
  const address = parseAddress(text);
  if (address === null) throw new Error(`not an address: ${text}`);
  const bytes = addressToBytes(address);
  if (bytes.length === 4) return `${[...bytes].toReversed().join(".")}.in-addr.arpa`;
  const nibbles = Buffer.from(bytes).toString("hex").split("");
  return `${nibbles.toReversed().join(".")}.ip6.arpa`;
}
