/**
 * The names and addresses of one run: a namespace for the command, one for the gateway in front of it, and the links
 * between command, gateway and host. Derived from the slot's number, so that a later process can take it all away.
 */
export interface Place {
  slot: number;
  /** Network namespaces. */
  command: string;
  gateway: string;
  /** Interfaces: the command's, the gateway's two, and the host's end. */
  commandLink: string;
  insideLink: string;
  outsideLink: string;
  hostLink: string;
  v4: Plan;
  v6: Plan;
}

/** Addresses without prefix length; `bits` is the prefix of both links. */
export interface Plan {
  bits: number;
  command: string;
  inside: string;
  outside: string;
  host: string;
  /** The whole of it, as CIDR: what must not collide with the host's own routes. */
  prefix: string;
}

/**
 * `host` is the number of the network namespace that the run stands in. Names of namespaces are shared by all of them, so
 * it is part of ours: runs in two containers' networks never meet.
 *
 * IPv4 from 198.18.0.0/15 (RFC 2544): never on the internet and rare in networks. IPv6 is unique local (RFC 4193) unless
 * the host itself has a global address, so that address selection (RFC 6724) prefers IPv4 just as on the host. Where it
 * has one, ours is from the documentation prefix (RFC 3849), which selection treats like a global address: a job sees the
 * same order of addresses with us and without us.
 */
export function placeOf(host: number, slot: number, hostHasGlobalV6: boolean): Place {
  const hex = slot.toString(16);
  const v4 = `198.18.${slot}`;
  const v6 = hostHasGlobalV6 ? `2001:db8:5a11:${hex}` : `fd5a:1174:bd0c:${hex}`;
  return {
    slot,
    command: `sallyport-${host}-run${slot}-command`,
    gateway: `sallyport-${host}-run${slot}-gateway`,
    commandLink: "eth0",
    insideLink: "inside",
    outsideLink: "outside",
    hostLink: `sallyport${slot}`,
    v4: { bits: 30, command: `${v4}.2`, inside: `${v4}.1`, outside: `${v4}.6`, host: `${v4}.5`, prefix: `${v4}.0/24` },
    v6: {
      bits: 126,
      command: `${v6}::2`,
      inside: `${v6}::1`,
      outside: `${v6}::6`,
      host: `${v6}::5`,
      prefix: `${v6}::/64`,
    },
  };
}
