/** Where a query that the ruleset redirected to our DNS firewall was going: the kernel knows, by the answer's tuple. */
import { type Address, formatAddress, parseAddress } from "../address/ip.ts";
import { cidrContains } from "../address/cidr.ts";
import type { DnsTransport, Endpoint, Redirected } from "../dns/types.ts";
import type { Conntrack, Tuple } from "../kernel/conntrack.ts";
import { KernelError } from "../kernel/libc.ts";
import { interfaces } from "../kernel/interfaces.ts";

/**
 * In the order of `queries`; null where it is not known, or where the query was for one of `own`, the firewall's addresses; undefined where
 * asking failed. Throws KernelError where the kernel does not answer.
 */
export function originalServers(
  conntrack: Conntrack,
  own: ReadonlySet<string>,
  transport: DnsTransport,
  queries: readonly Redirected[],
): (Endpoint | null | undefined)[] {
  const protocol = transport === "udp" ? 17 : 6;
  const tuples = queries.map(({ client, local }): Tuple | null => {
    const source = parseAddress(local.address.replace(/%.*$/, ""));
    const destination = parseAddress(client.address.replace(/%.*$/, ""));
    if (source === null || destination === null) return null;
    return { protocol, source, sourcePort: local.port, destination, destinationPort: client.port };
  });
  const known = tuples.filter((tuple) => tuple !== null);
  const flows = conntrack.lookupAll(known, "reply");
  let next = 0;
  return tuples.map((tuple) => {
    const flow = tuple === null ? null : (flows[next++] ?? null);
    if (flow === null) return null;
    if (flow instanceof KernelError) return undefined;
    const address = formatAddress(flow.original.destination);
    return own.has(address) ? null : { address, port: flow.original.destinationPort };
  });
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
