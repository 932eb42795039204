/**
 * An internet in a box: runners, a gateway for the product under test, and an internet full of servers, made of network
 * namespaces on one Linux host. The lab puts no firewall anywhere and leaves forwarding off unless asked: what protects
 * or connects is the product's doing. Addresses and names are in `README.md`. Needs root.
 */
import { join } from "node:path";
import { authorityFiles, createAuthority } from "./internet/certificates.ts";
import { defaultZone, resolverAddresses } from "./internet/default-zone.ts";
import { defaultHosting } from "./internet/hosting.ts";
import type { Hosting } from "./internet/hosting.ts";
import type { Zone } from "./internet/zone.ts";
import { Internet } from "./internet.ts";
import { claimLab, pruneStale, releaseLab } from "./lifetime.ts";
import { Machine } from "./machine.ts";
import { newMarker } from "./marker.ts";
import { Quic } from "./quic.ts";
import { Sink } from "./sink.ts";
import { labTools, requireTools } from "./tools.ts";
import { buildTopology, insideLink, labNames, maxRunners, outsideLink } from "./topology.ts";

export type LabOptions = {
  /** How many runners, each on its own subnet; 1 when absent. */
  runners?: number;
  /** Turns plain forwarding on in the gateway, for baselines; the product does this itself. */
  forwarding?: boolean;
  /** Gives the internet a route to the inside subnets, so that nothing need be masqueraded. */
  routeInside?: boolean;
  /** False: no packet capture, for measurements of throughput. */
  sink?: boolean;
  /** Names added to the default zone, or replacing some of it. */
  zone?: Zone;
  /** Tenants added to the default hosting, or replacing some of it. */
  hosting?: Hosting;
  /** Name servers of the runners; the provider's IPv4 resolver when absent. */
  resolver?: string[];
  /** Starts a QUIC server for `quic.example` (needs the packages ngtcp2-server and ngtcp2-client). */
  quic?: boolean;
};

/** The gateway: a machine, and the names of its interfaces. */
export type Gateway = Machine & { readonly outside: string; readonly inside: readonly string[] };

type LabParts = Pick<Lab, "id" | "caFile" | "gateway" | "runners" | "world" | "internet" | "sink" | "machine">;

export class Lab {
  readonly id: string;
  /** Of the lab's own certificate authority, PEM. */
  readonly caFile: string;
  readonly gateway: Gateway;
  readonly runners: readonly Machine[];
  /** A machine of the internet, for servers that only one test needs. Every address is its own. */
  readonly world: Machine;
  readonly internet: Internet;
  readonly sink: Sink;
  /** A machine for a network namespace that is not the lab's own: the product's, behind one of the lab's machines. */
  readonly machine: (namespace: string) => Machine;
  readonly #closeable: { close(): Promise<void> }[];
  #closed: Promise<void> | undefined;

  private constructor(parts: LabParts, quic?: Quic) {
    this.id = parts.id;
    this.caFile = parts.caFile;
    this.gateway = parts.gateway;
    this.runners = parts.runners;
    this.world = parts.world;
    this.machine = parts.machine;
    this.internet = parts.internet;
    this.sink = parts.sink;
    this.#closeable = [parts.sink, parts.internet, ...(quic === undefined ? [] : [quic])];
  }

  /**
   * Makes a lab; resolves when every server listens and the capture runs. Throws NOT_ROOT or MISSING_TOOL, and leaves
   * nothing behind when it fails.
   */
  static async create(options: LabOptions = {}): Promise<Lab> {
    requireTools(options.quic === true ? [...labTools, "gtlsserver"] : labTools);
    const runners = options.runners ?? 1;
    if (runners < 1 || runners > maxRunners) throw new RangeError(`a lab has 1 to ${maxRunners} runners`);
    pruneStale();
    const { id, directory } = claimLab();
    try {
      return await Lab.#build(id, directory, runners, options);
    } catch (error) {
      await releaseLab(id);
      throw error;
    }
  }

  static async #build(id: string, directory: string, runners: number, options: LabOptions): Promise<Lab> {
    const names = labNames(id);
    const { forwarding = false, routeInside = false } = options;
    await Promise.all([createAuthority(directory), buildTopology(id, { runners, forwarding, routeInside })]);
    const { caFile } = authorityFiles(directory);
    const zone = { ...defaultZone(), ...options.zone };
    const hosting = { ...defaultHosting(zone), ...options.hosting };
    const dnsAddresses = [...resolverAddresses.provider, ...resolverAddresses.public];
    const sink = new Sink();
    // Both to their end before either's failure counts: a program that is only just entering its namespace is not found there,
    // and would outlive the lab.
    const [started, watching] = await Promise.allSettled([
      Internet.start(names.internet, { directory, zone, hosting, dnsAddresses }),
      options.sink === false ? undefined : sink.start(names.internet),
    ]);
    if (started.status === "rejected") throw started.reason;
    if (watching.status === "rejected") throw watching.reason;
    const internet = started.value;
    sink.attach(internet);
    const quic = options.quic === true ? await Quic.start(names.internet, internet, directory) : undefined;
    const machine = (namespace: string, resolver: string[]): Machine =>
      new Machine({ namespace, directory: join(directory, namespace), resolver, caFile });
    const resolver = options.resolver ?? [resolverAddresses.provider[0]];
    const numbers = Array.from({ length: runners }, (_, k) => k + 1);
    const gateway = Object.assign(machine(names.gateway, [resolverAddresses.provider[0]]), {
      outside: names.outside,
      inside: numbers.map(names.inside),
    });
    const machines = numbers.map((i) => machine(names.runner(i), resolver));
    const world = machine(names.internet, [resolverAddresses.provider[0]]);
    const other = (namespace: string): Machine => machine(namespace, resolver);
    return new Lab({ id, caFile, gateway, runners: machines, world, internet, sink, machine: other }, quic);
  }

  /** Runner `i`, counted from 1 as its subnet is. */
  runner(i: number): Machine {
    const found = this.runners[i - 1];
    if (found === undefined) throw new RangeError(`this lab has ${this.runners.length} runners: no runner ${i}`);
    return found;
  }

  /** The addresses of runner `i`'s link, and of the link outside. */
  inside(i: number): ReturnType<typeof insideLink> {
    return insideLink(i);
  }

  readonly outside = outsideLink;

  /** A token to send and then to look for: `lab.sink.saw(marker)`. */
  marker(): string {
    return newMarker();
  }

  /** Ends every process of the lab and removes all of it. May be called more than once. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#closeable.map((part) => part.close()));
    await releaseLab(this.id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
