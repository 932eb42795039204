/**
 * Network namespaces of this machine, by the addresses that are in them: a container's packet shows a source address, and its
 * socket is known in its own namespace only. Each has a diagnostic socket, made inside and kept.
 *
 * A socket keeps its namespace alive. So a place is given up as soon as no process is left in it, at the next {@link Places.tick} at the latest.
 */
import { readlinkSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { type Address, parseAddress } from "../address/ip.ts";
import { inNamespace } from "../kernel/enter.ts";
import { SockDiag } from "../kernel/sock-diag.ts";
import type { ProcessRecord } from "./record.ts";

export interface Place {
  /** `net:[…]`, as /proc names it. */
  readonly name: string;
  /** A process that is in it. */
  pid: number;
  readonly diag: SockDiag;
  addresses: ReadonlySet<Address>;
}

/** How long what was seen holds, and how soon an unknown address makes us look again, ms. */
const LOOK_AGAIN = 5000;
const LOOK_SOON = 100;
const MOST_PLACES = 256;

export class Places {
  readonly #own: Place;
  readonly #others = new Map<string, Place>();
  readonly #processes: () => readonly ProcessRecord[];
  #lookedAt = Number.NEGATIVE_INFINITY;

  /** `processes` are those that may be in a namespace of their own. */
  constructor(processes: () => readonly ProcessRecord[]) {
    this.#processes = processes;
    this.#own = { name: namespaceOf("thread-self") ?? "", pid: process.pid, diag: new SockDiag(), addresses: ours() };
  }

  /**
   * The places that have this address: our own first; none where nobody has it. `missed` says that the ones known so far do not
   * have the socket: then there may be a new one.
   */
  of(source: Address, missed = false): Place[] {
    const known = this.#having(source);
    const age = performance.now() - this.#lookedAt;
    if (age < (known.length > 0 && !missed ? LOOK_AGAIN : LOOK_SOON)) return known;
    this.#lookedAt = performance.now();
    this.#own.addresses = ours();
    this.#look();
    return this.#having(source);
  }

  /** Places other than our own. */
  get size(): number {
    return this.#others.size;
  }

  /** Gives up what no process is left in; cheap where there is nothing to give up. */
  tick(): void {
    if (this.#others.size === 0 || performance.now() - this.#lookedAt < LOOK_AGAIN) return;
    this.#lookedAt = performance.now();
    this.#look();
  }

  get own(): Place {
    return this.#own;
  }

  close(): void {
    for (const { diag } of [this.#own, ...this.#others.values()]) diag.close();
    this.#others.clear();
  }

  #having(source: Address): Place[] {
    return [this.#own, ...this.#others.values()].filter(({ addresses }) => addresses.has(source));
  }

  #look(): void {
    const seen = new Set<string>();
    for (const { pid } of this.#processes()) {
      const name = namespaceOf(pid);
      if (name === null || name === this.#own.name || seen.has(name)) continue;
      seen.add(name);
      const place = this.#others.get(name);
      if (place === undefined && this.#others.size >= MOST_PLACES) continue;
      try {
        // Its addresses may be given after it was made: read each time.
        const { diag, addresses } = inNamespace(`/proc/${pid}/ns/net`, () => ({
          diag: place?.diag ?? new SockDiag(),
          addresses: ours(),
        }));
        if (place === undefined) this.#others.set(name, { name, pid, diag, addresses });
        else Object.assign(place, { pid, addresses });
      } catch {
        // Ended between the two; the next look will not see it.
      }
    }
    for (const [name, place] of this.#others) {
      if (seen.has(name)) continue;
      place.diag.close();
      this.#others.delete(name);
    }
  }
}

function namespaceOf(pid: number | "thread-self"): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return null;
  }
}

/** Addresses of this thread's namespace that others can see. */
function ours(): ReadonlySet<Address> {
  const addresses = new Set<Address>();
  for (const each of Object.values(networkInterfaces()).flat()) {
    const address = each === undefined || each.internal ? null : parseAddress(each.address.split("%")[0]!);
    if (address !== null) addresses.add(address);
  }
  return addresses;
}
