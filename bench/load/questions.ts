/** Questions of DNS on a bare link, from many sources. */
import dnsPacket from "dns-packet";
import { Link } from "./packets.ts";
import type { Order } from "./outcome.ts";
import { addressNumber, Template } from "./segments.ts";

/** A resolver may be busy with something else for a while, with a new policy for one; ms. */
const patience = 30_000;
const againMs = 500;
const blank = new Template(0);

/** Has every source ask for the name, as a program would, and waits until each was answered; throws after half a minute. */
export function askFromAll(link: Link, order: Pick<Order, "sources" | "name" | "resolver">): void {
  const waiting = new Set(order.sources.map(addressNumber));
  const server = addressNumber(order.resolver);
  const questions = [{ type: "A" as const, name: order.name }];
  const question = dnsPacket.encode({ type: "query", id: 7, flags: 0x100, questions });
  const started = performance.now();
  for (let asked = -Infinity; waiting.size > 0;) {
    const now = performance.now();
    if (now - started > patience)
      throw new Error(`${waiting.size} of ${order.sources.length} sources got no answer for ${order.name}`);
    if (now - asked > againMs) {
      asked = now;
      for (const source of waiting) link.send((into, at) => datagram(into, at, source, server, question));
      link.flush();
    }
    const count = link.receive();
    for (let i = 0; i < count; i++) {
      const at = i * Link.slot;
      if (link.received[at + 9] === 17) waiting.delete(link.received.readUInt32BE(at + 16));
    }
  }
}

/** A DNS question as a UDP datagram; 0 is IPv4's word for no UDP checksum (RFC 768). */
function datagram(into: Buffer, at: number, source: number, server: number, question: Buffer): number {
  const ends = { source, destination: server, sourcePort: 0, destinationPort: 0 };
  const length = blank.write(into, at, ends, 0, 0);
  const total = 28 + question.length;
  into.fill(0, at + 20, at + length);
  into.writeUInt16BE(total, at + 2);
  into.writeUInt8(17, at + 9);
  into.writeUInt16BE(0, at + 10);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += into.readUInt16BE(at + i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  into.writeUInt16BE(~sum & 0xffff, at + 10);
  into.writeUInt16BE(40_000, at + 20);
  into.writeUInt16BE(53, at + 22);
  into.writeUInt16BE(8 + question.length, at + 24);
  question.copy(into, at + 28);
  return total;
}
