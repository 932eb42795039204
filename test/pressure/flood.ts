/**
 * A flood at a rate, from a job with root in its container: packets that no socket sends, each another one, with any source
 * address it likes. Runs in a runner's namespace. `node flood.ts JSON` (a {@link Flood}) prints `started`, and at the end
 * JSON: packets sent and seconds taken.
 */
import { addressToBytes, parseAddress } from "../../src/address/ip.ts";
import { addWords, finish } from "../../src/wire/ip/checksum.ts";
import { RawBurst } from "../../bench/load/sockets.ts";

export interface Flood {
  kind: "syn" | "dns";
  /** Source and destination addresses, one after the other; of one family. */
  from: string[];
  to: string[];
  port: number;
  /** Packets a second, as far as this machine goes, and for how long. */
  rate: number;
  seconds: number;
  /** `dns`: each packet asks for another name below this one. */
  below?: string;
  /** Tells one flood's names from another's; four letters. */
  tag?: string;
}

export interface Flooded {
  sent: number;
  seconds: number;
}

const perBurst = 64;

/** What stands before the counting label of a name, and how many digits count. */
const digits = 8;

if (import.meta.main) run(JSON.parse(process.argv[2]!) as Flood);

function run(flood: Flood): void {
  const from = flood.from.map(bytesOf);
  const to = flood.to.map(bytesOf);
  const isV4 = from[0]!.length === 4;
  const payload = flood.kind === "dns" ? question(flood) : Buffer.alloc(0);
  const transport = flood.kind === "dns" ? 8 + payload.length : 20;
  const header = isV4 ? 20 : 40;
  const length = header + transport;
  const burst = new RawBurst(to[0]!, perBurst, length);
  for (let i = 0; i < perBurst; i++) template(burst.bytes.subarray(i * length, (i + 1) * length), flood, isV4, payload);

  console.log("started");
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const start = performance.now();
  const end = start + flood.seconds * 1000;
  let sent = 0;
  for (let number = 0; ; number += perBurst) {
    let now = performance.now();
    for (; now < end && sent > ((now - start) / 1000) * flood.rate; now = performance.now())
      Atomics.wait(pause, 0, 0, 1);
    if (now >= end) break;
    for (let i = 0; i < perBurst; i++) {
      const packet = burst.bytes.subarray(i * length, (i + 1) * length);
      const n = number + i;
      packet.set(from[n % from.length]!, isV4 ? 12 : 8);
      packet.set(to[Math.floor(n / from.length) % to.length]!, isV4 ? 16 : 24);
      // All ports of one source before the first comes again, whatever the number of sources and destinations.
      packet.writeUInt16BE(1024 + (Math.floor(n / from.length / to.length) % 64_000), header);
      if (flood.kind === "dns") name(packet, header + 8, n);
      else packet.writeUInt32BE((n * 2654435761) >>> 0, header + 4);
      checksum(packet, header, transport, isV4, flood.kind);
    }
    sent += burst.send(perBurst);
  }
  console.log(JSON.stringify({ sent, seconds: (performance.now() - start) / 1000 } satisfies Flooded));
}

function bytesOf(text: string): Uint8Array {
  return addressToBytes(parseAddress(text)!);
}

/** All that is the same in every packet. */
function template(packet: Buffer, flood: Flood, isV4: boolean, payload: Buffer): void {
  const protocol = flood.kind === "dns" ? 17 : 6;
  const header = isV4 ? 20 : 40;
  if (isV4) {
    packet[0] = 0x45;
    packet.writeUInt16BE(packet.length, 2);
    packet[8] = 64;
    packet[9] = protocol;
  } else {
    packet[0] = 0x60;
    packet.writeUInt16BE(packet.length - 40, 4);
    packet[6] = protocol;
    packet[7] = 64;
  }
  packet.writeUInt16BE(flood.port, header + 2);
  if (flood.kind === "dns") {
    packet.writeUInt16BE(packet.length - header, header + 4);
    packet.set(payload, header + 8);
  } else {
    packet[header + 12] = 5 << 4;
    packet[header + 13] = 2;
    packet.writeUInt16BE(65_535, header + 14);
  }
}

function checksum(packet: Buffer, header: number, transport: number, isV4: boolean, kind: Flood["kind"]): void {
  const at = header + (kind === "dns" ? 6 : 16);
  packet.writeUInt16BE(0, at);
  const pseudo = addWords((kind === "dns" ? 17 : 6) + transport, packet, isV4 ? 12 : 8, header);
  packet.writeUInt16BE(finish(addWords(pseudo, packet, header, packet.length)), at);
}

/** A query for an A record of `tag00000000.below`. */
function question({ below = "", tag = "" }: Flood): Buffer {
  const labels = [`${tag}${"0".repeat(digits)}`, ...below.split(".")];
  const name = Buffer.concat([
    ...labels.map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`)),
    Buffer.of(0),
  ]);
  const head = Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([head, name, Buffer.of(0, 1, 0, 1)]);
}

/** Counts in the last eight letters of the first label. */
function name(packet: Buffer, message: number, n: number): void {
  const end = message + 12 + 1 + packet[message + 12]!;
  let rest = n;
  for (let at = end - 1; at >= end - digits; at--) {
    packet[at] = 0x30 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
}
