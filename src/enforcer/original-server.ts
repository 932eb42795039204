/** Where a query that the ruleset redirected to our DNS firewall was going: the kernel knows, by the answer's tuple. */
import { formatAddress, parseAddress } from "../address/ip.ts";
import type { DnsTransport, Endpoint } from "../dns/types.ts";
import type { Conntrack } from "../kernel/conntrack.ts";

/** Null where it is not known, or where the query was for one of `own`, the firewall's addresses. */
export function originalServer(
  conntrack: Conntrack,
  own: ReadonlySet<string>,
  transport: DnsTransport,
  client: Endpoint,
  local: Endpoint,
): Endpoint | null {
  const source = parseAddress(local.address.replace(/%.*$/, ""));
  const destination = parseAddress(client.address.replace(/%.*$/, ""));
  if (source === null || destination === null) return null;
  const protocol = transport === "udp" ? 17 : 6;
  const tuple = { protocol, source, sourcePort: local.port, destination, destinationPort: client.port };
  const flow = conntrack.lookup(tuple, "reply");
  if (flow === null) return null;
  const address = formatAddress(flow.original.destination);
  return own.has(address) ? null : { address, port: flow.original.destinationPort };
}
