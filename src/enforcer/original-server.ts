/** Where a query that the ruleset redirected to our DNS firewall was going: the kernel knows, by the answer's tuple. */
import { type Address, formatAddress, parseAddress } from "../address/ip.ts";
import { cidrContains } from "../address/cidr.ts";
import type { DnsTransport, Endpoint } from "../dns/types.ts";
import type { Conntrack } from "../kernel/conntrack.ts";
import { interfaces } from "../kernel/interfaces.ts";

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

/** Addresses of interfaces are looked up again for a client that none of them explains, this often at most, ms. */
const refreshMs = 1_000;

/**
 * Which of this machine's addresses a client of a socket on every address (`::`, `0.0.0.0`) was answered from: that of the network
 * both are in, which is also the one that the ruleset redirects to.
 */
export class AnsweringAddresses {
  #networks: { address: Address; bits: number }[] = [];
  #at = Number.NEGATIVE_INFINITY;
  readonly #within: <T>(fn: () => T) => T;

  constructor(within: <T>(fn: () => T) => T) {
    this.#within = within;
  }

  /** `local` itself where the socket has an address of its own. */
  of(local: Endpoint, client: Endpoint): Endpoint {
    if (local.address !== "0.0.0.0" && local.address !== "::") return local;
    const address = parseAddress(client.address.replace(/%.*$/, ""));
    if (address === null) return local;
    const found = this.#find(address) ?? this.#findAgain(address);
    return found === undefined ? local : { address: formatAddress(found), port: local.port };
  }

  #find(client: Address): Address | undefined {
    return this.#networks.find(({ address, bits }) => cidrContains({ address, length: bits }, client))?.address;
  }

  #findAgain(client: Address): Address | undefined {
    const now = Date.now();
    if (now - this.#at < refreshMs) return undefined;
    this.#at = now;
    this.#networks = this.#within(interfaces).flatMap(({ addresses }) => addresses);
    return this.#find(client);
  }
}
