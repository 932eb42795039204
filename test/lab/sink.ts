/**
 * The far end's verdict: did a marker reach the internet? Three witnesses are asked: the packet capture (every byte of
 * every protocol on the outside link), the log of DNS queries, and what servers read after decryption. "No" is only said
 * when the capture has caught up and lost nothing; otherwise the sink throws.
 *
 * It does not see: timing, header fields other than options, and data encrypted towards a server that is not the lab's.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Packet } from "./capture/packet.ts";
import { CaptureStore } from "./capture/store.ts";
import type { FlowCount, FlowFilter, WireSighting } from "./capture/store.ts";
import { Tcpdump } from "./capture/tcpdump.ts";
import type { QueryRecord } from "./internet/dns-server.ts";
import type { PlaintextSighting } from "./internet/marker-watch.ts";
import type { Internet } from "./internet.ts";
import { markerForms } from "./marker.ts";

export type Sighting =
  | ({ witness: "wire" } & WireSighting)
  | ({ witness: "dns" } & QueryRecord)
  | ({ witness: "server" } & PlaintextSighting);

export type SinkOptions = {
  /** How long packets may still be on their way before the capture is asked, in milliseconds; 150 when absent. */
  settleMs?: number;
};

/** Of a UUID in text. */
const tokenLength = 36;

export class Sink {
  readonly #store = new CaptureStore();
  readonly #barriers = new Map<string, () => void>();
  #tcpdump: Tcpdump | undefined;
  #internet: Internet | undefined;
  #dropped = 0;

  /** Starts the capture; `attach` must follow before the sink is asked anything. */
  async start(namespace: string): Promise<void> {
    this.#tcpdump = await Tcpdump.start(namespace, (packet) => this.#receive(packet));
  }

  attach(internet: Internet): void {
    this.#internet = internet;
  }

  /** True when the marker, in any of its forms, reached the internet. */
  async saw(marker: string, options: SinkOptions = {}): Promise<boolean> {
    return (await this.find(marker, options)).length > 0;
  }

  /** Every place where the marker was seen. Throws when there is none and something was lost. */
  async find(marker: string, options: SinkOptions = {}): Promise<Sighting[]> {
    const internet = await this.#settle(options.settleMs ?? 150);
    const forms = markerForms(marker);
    const queries = await internet.dns.queries();
    const found: Sighting[] = [
      ...this.#store.find(marker).map((sighting) => ({ witness: "wire" as const, ...sighting })),
      ...queries.filter((query) => inName(query.name, forms)).map((query) => ({ witness: "dns" as const, ...query })),
      ...internet.sightings
        .filter((sighting) => sighting.marker === marker.toLowerCase())
        .map((sighting) => ({ witness: "server" as const, ...sighting })),
    ];
    if (found.length === 0 && this.#store.lost !== undefined)
      throw new Error(`the sink cannot tell: ${this.#store.lost}`);
    return found;
  }

  /** Packet and byte counts of the 5-tuples that match, as they arrived (after the gateway's address translation). */
  async packets(filter: FlowFilter = {}, options: SinkOptions = {}): Promise<FlowCount[]> {
    await this.#settle(options.settleMs ?? 150);
    if (this.#store.lost !== undefined) throw new Error(`the sink cannot tell: ${this.#store.lost}`);
    return this.#store.flows(filter);
  }

  /** Forgets everything seen so far, in all three places. */
  async clear(): Promise<void> {
    const internet = await this.#settle(0);
    this.#store.clear();
    await internet.forget();
  }

  async close(): Promise<void> {
    await this.#tcpdump?.close();
  }

  /** Lets late packets arrive, then waits until the capture has shown one that was sent after them. */
  async #settle(settleMs: number): Promise<Internet> {
    if (this.#tcpdump === undefined || this.#internet === undefined) throw new Error("this lab has no sink");
    await sleep(settleMs);
    const token = randomUUID();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const late = setTimeout(() => reject(new Error("the sink's capture did not catch up in 10 s")), 10_000);
    this.#barriers.set(token, resolve);
    try {
      await this.#internet.call("barrier", { token });
      await promise;
    } finally {
      clearTimeout(late);
      this.#barriers.delete(token);
    }
    const dropped = await this.#tcpdump.dropped();
    if (dropped > this.#dropped) {
      this.#store.lost = `the kernel dropped ${dropped - this.#dropped} captured packets`;
      this.#dropped = dropped;
    }
    return this.#internet;
  }

  #receive(packet: Packet): void {
    if (!packet.loopback) return this.#store.add(packet);
    if (packet.destinationPort === 9) this.#barriers.get(packet.payload.toString("latin1", 0, tokenLength))?.();
  }
}

/** In one label, or spread over several. */
function inName(name: string, forms: string[]): boolean {
  const whole = name.toLowerCase();
  const joined = whole.replaceAll(".", "");
  return forms.some((form) => whole.includes(form) || joined.includes(form));
}
