/**
 * What has reached the internet: the bytes, for markers to be searched in, and packet counts by 5-tuple. Markers are
 * looked for in each packet by itself and in streams put together: TCP by sequence number (both ways of settling
 * overlapping segments), fragments by offset, datagrams in order of arrival.
 */
import { markerForms } from "../marker.ts";
import type { Packet, Protocol } from "./packet.ts";

/** Packets of one 5-tuple. `bytes` counts payload; `syns` counts TCP packets with SYN and no ACK. */
export type FlowCount = {
  protocol: Protocol;
  source: string;
  sourcePort: number;
  destination: string;
  destinationPort: number;
  packets: number;
  bytes: number;
  syns: number;
};

/** Every field given must be equal. */
export type FlowFilter = Partial<Omit<FlowCount, "packets" | "bytes" | "syns">>;

/** Where a marker was found on the wire. */
export type WireSighting = {
  protocol: Protocol;
  source: string;
  destination: string;
  destinationPort: number;
  where: string;
};

/** Payload kept for searching, in bytes; a test that sends more clears the sink in between. */
const maxKept = 64 << 20;
/** The widest stretch of one TCP stream that is put together. */
const maxStream = 16 << 20;
const maxFlows = 200_000;

type Stream = { first: Packet; pieces: Packet[] };

export class CaptureStore {
  #streams = new Map<string, Stream>();
  #flows = new Map<string, FlowCount>();
  #kept = 0;
  /** What no longer fits: not finding a marker then proves nothing. */
  lost: string | undefined;

  add(packet: Packet): void {
    this.#count(packet);
    if (packet.protocol === "tcp" && packet.payload.length === 0) return;
    this.#kept += packet.whole.length;
    if (this.#kept > maxKept) {
      this.lost = `more than ${maxKept} bytes reached the internet`;
      return;
    }
    const piece = detached(packet);
    const key = packet.fragmentOf ?? flowKey(packet);
    const stream = this.#streams.get(key);
    if (stream === undefined) this.#streams.set(key, { first: piece, pieces: [piece] });
    else stream.pieces.push(piece);
  }

  clear(): void {
    this.#streams.clear();
    this.#flows.clear();
    this.#kept = 0;
    this.lost = undefined;
  }

  /** Where the marker is, in any of its forms; at most one sighting per stream. */
  find(marker: string): WireSighting[] {
    const forms = markerForms(marker);
    const has = (bytes: Buffer): boolean => {
      const text = bytes.toString("latin1").toLowerCase();
      return forms.some((form) => text.includes(form));
    };
    const sightings: WireSighting[] = [];
    for (const { first, pieces } of this.#streams.values()) {
      const where = pieces.some((piece) => has(piece.whole)) ? "packet" : assembled(pieces).some(has) ? "stream" : null;
      if (where === null) continue;
      const { protocol, source, destination, destinationPort } = first;
      sightings.push({ protocol, source, destination, destinationPort, where });
    }
    return sightings;
  }

  flows(filter: FlowFilter): FlowCount[] {
    const wanted = Object.entries(filter) as [keyof FlowFilter, string | number][];
    return [...this.#flows.values()].filter((flow) => wanted.every(([key, value]) => flow[key] === value));
  }

  #count(packet: Packet): void {
    const key = flowKey(packet);
    let flow = this.#flows.get(key);
    if (flow === undefined) {
      if (this.#flows.size >= maxFlows) {
        this.lost = `more than ${maxFlows} flows reached the internet`;
        return;
      }
      const { protocol, source, sourcePort, destination, destinationPort } = packet;
      flow = { protocol, source, sourcePort, destination, destinationPort, packets: 0, bytes: 0, syns: 0 };
      this.#flows.set(key, flow);
    }
    flow.packets++;
    flow.bytes += packet.payload.length;
    if (packet.protocol === "tcp" && (packet.flags & 0x12) === 0x02) flow.syns++;
  }
}

/** A copy, so that a small packet does not keep the whole chunk of capture that it came in. The payload ends the packet. */
function detached(packet: Packet): Packet {
  const whole = Buffer.from(packet.whole);
  return { ...packet, whole, payload: whole.subarray(whole.length - packet.payload.length) };
}

function flowKey({ protocol, source, sourcePort, destination, destinationPort }: Packet): string {
  return `${protocol} ${source} ${sourcePort} ${destination} ${destinationPort}`;
}

/** The stream as one buffer: for positioned pieces twice, with the earlier and with the later of overlapping bytes. */
function assembled(pieces: Packet[]): Buffer[] {
  if (pieces.length < 2) return [];
  if (pieces.some((piece) => piece.position === undefined))
    return [Buffer.concat(pieces.map((piece) => piece.payload))];
  // Sequence numbers wrap: places are signed distances from the first piece.
  const base = pieces[0]!.position!;
  const placed = pieces
    .map(({ position, payload }) => ({ at: (position! - base) | 0, payload }))
    .filter(({ at }) => Math.abs(at) < maxStream);
  const start = placed.reduce((least, { at }) => Math.min(least, at), 0);
  const end = placed.reduce((most, { at, payload }) => Math.max(most, at + payload.length), 0);
  return [placed, placed.toReversed()].map((order) => {
    const whole = Buffer.alloc(end - start);
    for (const { at, payload } of order) payload.copy(whole, at - start);
    return whole;
  });
}
