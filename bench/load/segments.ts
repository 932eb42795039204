/**
 * TCP segments over IPv4 to be sent again and again: made once, and only addresses, ports and numbers are filled in, with the two
 * checksums (RFC 1071) carried over from what never changes. Pure.
 */

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

/** A segment's own side and the other's: addresses as numbers, ports. */
export interface Ends {
  source: number;
  destination: number;
  sourcePort: number;
  destinationPort: number;
}

const headers = 40;
const mss = [2, 4, 1460 >> 8, 1460 & 255];

export class Template {
  readonly #bytes: Buffer;
  readonly #ipSum: number;
  readonly #tcpSum: number;

  constructor(flags: number, payload: Uint8Array = new Uint8Array(0)) {
    const options = (flags & SYN) === 0 ? [] : mss;
    const length = headers + options.length + payload.length;
    const bytes = Buffer.alloc(length);
    bytes.writeUInt8(0x45, 0);
    bytes.writeUInt16BE(length, 2);
    bytes.writeUInt16BE(0x4000, 6);
    bytes.writeUInt8(64, 8);
    bytes.writeUInt8(6, 9);
    bytes.writeUInt8(((20 + options.length) / 4) << 4, 32);
    bytes.writeUInt8(flags, 33);
    bytes.writeUInt16BE(65_535, 34);
    bytes.set(options, headers);
    bytes.set(payload, headers + options.length);
    this.#bytes = bytes;
    this.#ipSum = sum(bytes, 0, 20);
    // The pseudo header's protocol and length belong to it as well.
    this.#tcpSum = sum(bytes, 20, length) + 6 + (length - 20);
  }

  /** Writes the packet into `into` at `at`; returns its length. */
  write(into: Buffer, at: number, ends: Ends, sequence: number, acknowledged: number): number {
    const { source, destination, sourcePort, destinationPort } = ends;
    this.#bytes.copy(into, at);
    into.writeUInt32BE(source, at + 12);
    into.writeUInt32BE(destination, at + 16);
    into.writeUInt16BE(sourcePort, at + 20);
    into.writeUInt16BE(destinationPort, at + 22);
    into.writeUInt32BE(sequence >>> 0, at + 24);
    into.writeUInt32BE(acknowledged >>> 0, at + 28);
    const addresses = halves(source) + halves(destination);
    into.writeUInt16BE(folded(this.#ipSum + addresses), at + 10);
    const numbers = sourcePort + destinationPort + halves(sequence) + halves(acknowledged);
    into.writeUInt16BE(folded(this.#tcpSum + addresses + numbers), at + 36);
    return this.#bytes.length;
  }
}

/** What one arrived segment says; read into the same object each time. */
export class Segment implements Ends {
  source = 0;
  destination = 0;
  sourcePort = 0;
  destinationPort = 0;
  sequence = 0;
  acknowledged = 0;
  flags = 0;
  /** Bytes of payload, which may not all have been kept. */
  length = 0;
  /** Where the payload begins. */
  payload = 0;

  /** False where the packet at `at` is no TCP segment. */
  read(bytes: Buffer, at: number): boolean {
    if (bytes[at + 9] !== 6) return false;
    const ip = (bytes[at]! & 15) * 4;
    this.source = bytes.readUInt32BE(at + 12);
    this.destination = bytes.readUInt32BE(at + 16);
    const tcp = at + ip;
    this.sourcePort = bytes.readUInt16BE(tcp);
    this.destinationPort = bytes.readUInt16BE(tcp + 2);
    this.sequence = bytes.readUInt32BE(tcp + 4);
    this.acknowledged = bytes.readUInt32BE(tcp + 8);
    const header = (bytes[tcp + 12]! >> 4) * 4;
    this.flags = bytes[tcp + 13]!;
    this.length = bytes.readUInt16BE(at + 2) - ip - header;
    this.payload = tcp + header;
    return true;
  }
}

/** The number of a dotted address. */
export function addressNumber(text: string): number {
  return text.split(".").reduce((number, part) => number * 256 + Number(part), 0);
}

function halves(number: number): number {
  return ((number >>> 16) & 0xffff) + (number & 0xffff);
}

function sum(bytes: Buffer, from: number, to: number): number {
  let total = 0;
  for (let i = from; i < to; i += 2) total += (bytes[i]! << 8) | (i + 1 < to ? bytes[i + 1]! : 0);
  return total;
}

function folded(total: number): number {
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return ~total & 0xffff;
}
