/**
 * What is kept of an upstream's answer. Pure. An answer to a policed client is not passed on but rebuilt from two
 * parts: the alias chain that starts at the question, inside this one response, and the records of the asked type at its
 * end. Everything else (authority, additional, records for names nobody asked) is dropped, because it is where forged and
 * surplus data lives.
 */
import { type Address, addressFromBytes, addressToBytes } from "../address/ip.ts";
import { foldCase, root, type WireName } from "../wire/dns/name.ts";
import {
  Class,
  type Message,
  Rcode,
  type RecordData,
  type ResourceRecord,
  type SvcParam,
  SvcKey,
  Type,
} from "../wire/dns/types.ts";

/** A longer chain of aliases is refused; public resolvers stop between 8 and 17. */
const maxChain = 16;

/** Records and addresses kept of one answer; more serves nobody and would be bound one by one. */
const maxRecords = 256;

/** Seconds. No answer and no binding outlives a day, whatever its TTL. */
export const maxTtl = 86_400;

/** Seconds; RFC 2308 section 5 suggests hours, but a wrong "no such name" must not outlast a deployment. */
const maxNegativeTtl = 300;

/** An answer's substance, for any source. */
export interface UpstreamAnswer {
  /** NOERROR or NXDOMAIN. */
  rcode: number;
  /** Aliases from the question on, in order; owners and targets in lower case. */
  chain: ResourceRecord[];
  /** Records of the asked type at the end of the chain. */
  records: ResourceRecord[];
  /** Seconds it may be cached and served; 0 for a negative answer without SOA. */
  ttl: number;
}

/** The substance of a response to (`name` in lower case, `type`); null for a chain that loops or is too long. */
export function readAnswer(name: WireName, type: number, message: Message): UpstreamAnswer | null {
  const chain: ResourceRecord[] = [];
  let end = name;
  if (type !== Type.CNAME) {
    const aliases = new Map<WireName, { record: ResourceRecord; target: WireName }>();
    for (const record of message.answers) {
      const owner = foldCase(record.name);
      if (record.type !== Type.CNAME || record.data.kind !== "name" || aliases.has(owner)) continue;
      aliases.set(owner, { record, target: foldCase(record.data.target) });
    }
    for (let alias = aliases.get(end); alias !== undefined; alias = aliases.get(end)) {
      if (chain.length === maxChain) return null;
      chain.push({ ...alias.record, name: end, data: { kind: "name", target: alias.target } });
      // Taking each alias out once makes the walk finite: a loop ends at a name whose alias was already used.
      aliases.delete(end);
      end = alias.target;
      if (end === name || chain.some((link) => link.name === end)) return null;
    }
  }
  const records: ResourceRecord[] = [];
  for (const record of message.answers) {
    if (records.length === maxRecords || message.header.rcode !== Rcode.NOERROR) break;
    if (record.type !== type || record.class !== Class.IN || foldCase(record.name) !== end) continue;
    records.push({ ...record, name: end });
  }
  const ttls = [...chain, ...records].map((record) => record.ttl);
  if (records.length === 0) ttls.push(negativeTtl(message));
  return { rcode: message.header.rcode, chain, records, ttl: Math.min(maxTtl, ...ttls) };
}

/** RFC 2308 section 5: the lesser of the SOA's TTL and its MINIMUM; no SOA, no caching. */
function negativeTtl(message: Message): number {
  for (const record of message.authorities) {
    if (record.data.kind === "soa") return Math.min(record.ttl, record.data.minimum, maxNegativeTtl);
  }
  return 0;
}

/** What one source may see of an answer. */
export interface Admitted {
  records: ResourceRecord[];
  /** Addresses in the records, hints included: what is bound to the name. */
  addresses: Address[];
  /** Addresses taken out because `permitted` refused them. */
  removed: Address[];
}

/** Filters the final records for one source; `permitted` says whether an address may be handed to it. */
export function admit(records: readonly ResourceRecord[], permitted: (address: Address) => boolean): Admitted {
  const out: ResourceRecord[] = [];
  const addresses = new Set<Address>();
  const removed = new Set<Address>();
  const keep = (address: Address): boolean => {
    const set = permitted(address) ? addresses : removed;
    if (set.size < maxRecords) set.add(address);
    return addresses.has(address);
  };
  for (const record of records) {
    if (record.data.kind === "address") {
      if (keep(record.data.address)) out.push(record);
    } else if (record.data.kind === "svcb") {
      const data = admitService(record.name, record.data, keep);
      if (data !== null) out.push({ ...record, data });
    } else out.push(record);
  }
  return { records: out, addresses: [...addresses], removed: [...removed] };
}

type Service = RecordData & { kind: "svcb" };

/** The parameters a client needs to connect. `ech` is not among them: the name must stay visible in the hello. */
const plainParams: ReadonlySet<number> = new Set([
  SvcKey.mandatory,
  SvcKey.alpn,
  SvcKey.noDefaultAlpn,
  SvcKey.port,
  SvcKey.ipv4hint,
  SvcKey.ipv6hint,
]);

/**
 * A service binding without ECH keys, without parameters this code does not know, and with permitted hints only. Null
 * where the record declares one of those mandatory: a client would have to ignore it anyway (RFC 9460 section 8). Null
 * too where it leads to another name: a client would connect to that name's addresses under the asked name, and be
 * refused for it; without the record it takes the asked name's own (section 3).
 */
function admitService(owner: WireName, data: Service, keep: (address: Address) => boolean): Service | null {
  if (data.target !== root && foldCase(data.target) !== owner) return null;
  const params: SvcParam[] = [];
  for (const param of data.params) {
    if (!plainParams.has(param.key)) continue;
    if (param.key === SvcKey.ipv4hint || param.key === SvcKey.ipv6hint) {
      const value = admitHints(param.value, param.key === SvcKey.ipv4hint ? 4 : 16, keep);
      if (value.length > 0) params.push({ key: param.key, value });
    } else params.push(param);
  }
  const mandatory = params.find((param) => param.key === SvcKey.mandatory)?.value ?? new Uint8Array(0);
  for (let i = 0; i + 1 < mandatory.length; i += 2) {
    const key = (mandatory[i]! << 8) | mandatory[i + 1]!;
    if (!params.some((param) => param.key === key)) return null;
  }
  return { ...data, params };
}

function admitHints(value: Uint8Array, size: 4 | 16, keep: (address: Address) => boolean): Uint8Array {
  const out: number[] = [];
  for (let at = 0; at + size <= value.length; at += size) {
    const address = addressFromBytes(value, at, size);
    if (keep(address)) out.push(...addressToBytes(address));
  }
  return Uint8Array.from(out);
}

/** True where a response settles its question; all other codes say more about the server than about the name. */
export function isSettled(rcode: number): boolean {
  return rcode === Rcode.NOERROR || rcode === Rcode.NXDOMAIN;
}
