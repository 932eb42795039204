/**
 * Who saw which canary, where and in what form. Fed with packets as they arrive and with what listeners read after
 * decryption. It says nothing about what it did not see; `testimony.ts` says what that is worth.
 */
import { formatAddress } from "../../address/ip.ts";
import { Packet, parsePacket } from "../../wire/ip/packet.ts";
import { deriveClientKeys, openInitial } from "../../wire/quic/keys.ts";
import { readHeader } from "../../wire/quic/header.ts";
import { findCanaries, type Form } from "../canary.ts";

export interface Sighting {
  canary: string;
  form: Form;
  /** `tls` and `quic`: after decryption. `packet`: on the wire as it is. */
  channel: "packet" | "quic" | "tcp" | "tls" | "udp" | "dns";
  /** Address and port that it arrived at; no port for protocols without. */
  where: string;
  /** RFC 3339. */
  at: string;
}

/** An attacker's flood must not fill the memory of somebody's server. */
const mostSightings = 20_000;
/** How much of a stream is kept to find a canary that two packets share. */
const tail = 256;
const mostStreams = 4_096;

export class Witness {
  readonly #token: string;
  readonly #seen = new Map<string, Sighting>();
  readonly #tails = new Map<string, string>();
  readonly #packet = new Packet();
  /** True once something had to be forgotten: silence then means nothing. */
  overflowed = false;

  constructor(token: string) {
    this.#token = token;
  }

  /** Looks for canaries; returns those found. */
  see(bytes: Uint8Array, channel: Sighting["channel"], where: string): string[] {
    const found = findCanaries(
      this.#token,
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1"),
    );
    for (const [canary, form] of found) this.#take({ canary, form, channel, where, at: new Date().toISOString() });
    return [...found.keys()];
  }

  /** A whole IP packet. */
  seePacket(bytes: Uint8Array): void {
    const packet = this.#packet;
    parsePacket(bytes, 0, bytes.length, packet);
    if (packet.version === 0) return;
    const at = packet.destination.length === 0 ? "?" : formatAddress(packet.destination);
    const where = endpoint(at, packet.destinationPort);
    this.see(bytes, "packet", where);
    if (packet.defect !== null) return;
    const payload = bytes.subarray(packet.payloadOffset, packet.payloadOffset + packet.payloadLength);
    if (packet.transport === "udp") this.#seeQuic(payload, where);
    if (packet.transport !== "tcp" || payload.length === 0) return;
    const stream = `${packet.source}|${packet.sourcePort}|${where}`;
    const text = Buffer.from(payload).toString("latin1");
    const before = this.#tails.get(stream);
    if (before !== undefined) this.see(Buffer.from(before + text.slice(0, tail), "latin1"), "packet", where);
    if (this.#tails.size > mostStreams) this.#tails.clear();
    this.#tails.set(stream, ((before ?? "") + text).slice(-tail));
  }

  /** The keys of a client's Initial packets are public (RFC 9001 section 5.2). */
  #seeQuic(payload: Uint8Array, where: string): void {
    const header = readHeader(payload, 0);
    if (typeof header === "string" || header.type !== "initial" || header.end > payload.length) return;
    const opened = openInitial(payload, header, deriveClientKeys(header.version, header.dcid), 0);
    if (opened !== null) this.see(opened.payload, "quic", where);
  }

  sightings(): Sighting[] {
    return [...this.#seen.values()];
  }

  #take(sighting: Sighting): void {
    const key = `${sighting.canary} ${sighting.channel}`;
    if (this.#seen.has(key)) return;
    if (this.#seen.size >= mostSightings) this.overflowed = true;
    else this.#seen.set(key, sighting);
  }
}

export function endpoint(address: string, port: number): string {
  if (port === 0) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
