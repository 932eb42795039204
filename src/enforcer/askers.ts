/**
 * Whose a DNS question is, on the machine it comes from: asked in the thread where the DNS firewall answers, and as the
 * question was addressed (before its redirection). A resolver of the machine that asks for others (systemd-resolved, dockerd's
 * own DNS server) is the one that asks: whom it asks for is not seen here.
 *
 * A flood must not keep the firewall from answering: what was found of a client's socket holds for a moment, and looking takes
 * a fifth of the time at most. What is over it is nobody's, and answered all the same.
 */
import { parseAddress } from "../address/ip.ts";
import type { EventProcess } from "../audit/event.ts";
import type { DnsTransport, Endpoint } from "../dns/types.ts";
import type { FindOwner } from "../flow/owner.ts";

/** Shorter than the time in which a port could become another process's, ms: for the two questions of one look-up. */
const holdsMs = 250;
const mostSockets = 1_024;
/** Time that may be spent, in ms: of each ms that passes, and saved up at most. */
const share = 0.2;
const mostCredit = 100;

export class Askers {
  readonly #find: FindOwner;
  readonly #now: () => number;
  /** In the order in which they were found. */
  readonly #known = new Map<string, { process: EventProcess | null; until: number }>();
  #credit = mostCredit;
  #at: number;

  /** `now` in milliseconds, steady and finer than one. */
  constructor(find: FindOwner, now: () => number = () => performance.now()) {
    this.#find = find;
    this.#now = now;
    this.#at = now();
  }

  /** Null where nobody is known. */
  of(transport: DnsTransport, client: Endpoint, server: Endpoint): EventProcess | null {
    const now = this.#now();
    const key = `${transport} ${client.address} ${client.port} ${server.address}`;
    const known = this.#known.get(key);
    if (known !== undefined && now < known.until) return known.process;
    this.#credit = Math.min(mostCredit, this.#credit + (now - this.#at) * share);
    this.#at = now;
    if (this.#credit <= 0) return null;
    const process = this.#look(transport, client, server);
    this.#credit -= this.#now() - now;
    this.#known.delete(key);
    this.#known.set(key, { process, until: now + holdsMs });
    if (this.#known.size > mostSockets) this.#known.delete(this.#known.keys().next().value!);
    return process;
  }

  #look(transport: DnsTransport, client: Endpoint, server: Endpoint): EventProcess | null {
    const source = parseAddress(withoutScope(client.address));
    const destination = parseAddress(withoutScope(server.address));
    if (source === null || destination === null) return null;
    const owner = this.#find({
      source,
      sourcePort: client.port,
      destination,
      destinationPort: server.port,
      transport,
      protocol: transport === "udp" ? 17 : 6,
    });
    // What `datapath/attribution.ts` found it by; nobody else makes owners.
    return (owner?.detail as EventProcess | null | undefined) ?? null;
  }
}

function withoutScope(address: string): string {
  return address.replace(/%.*$/, "");
}
