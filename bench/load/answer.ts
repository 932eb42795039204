/**
 * The far end of new connections, without state: each SYN is answered, and a server's first words to whoever has sent a whole hello. Its first
 * sequence number is the client's own, so that every later segment says by itself how much of the hello it completes.
 * `node answer.ts DEVICE NEIGHBOUR_MAC PORT HELLO_BYTES`; the kernel of this namespace must be kept from answering at that port.
 */
import { Link } from "./packets.ts";
import { ACK, FIN, PSH, RST, Segment, SYN, Template } from "./segments.ts";

const [device, neighbour, portText, bytesText] = process.argv.slice(2) as [string, string, string, string];
const port = Number(portText);
const wanted = Number(bytesText);
const link = new Link(device, neighbour, 1000);
const greet = new Template(SYN | ACK);
/**
 * As much as a server says at once, with its certificates: less could still be a request for another hello, and who watches for that
 * would have to go on watching.
 */
const answer = new Template(ACK | PSH, Buffer.alloc(1400, "!"));
const end = new Template(RST);
const segment = new Segment();

function reply(template: Template, sequence: number, acknowledged: number): void {
  const back = {
    source: segment.destination,
    destination: segment.source,
    sourcePort: segment.destinationPort,
    destinationPort: segment.sourcePort,
  };
  link.send((into, at) => template.write(into, at, back, sequence, acknowledged));
}

console.log("listening");
for (;;) {
  const count = link.receive();
  for (let i = 0; i < count; i++) {
    if (!segment.read(link.received, i * Link.slot) || segment.destinationPort !== port) continue;
    const { flags, sequence, acknowledged, length } = segment;
    if ((flags & RST) !== 0) continue;
    if ((flags & SYN) !== 0) reply(greet, sequence, sequence + 1);
    else if ((flags & FIN) !== 0) reply(end, acknowledged, 0);
    else if (length > 0 && ((sequence - acknowledged) | 0) + length >= wanted)
      reply(answer, acknowledged, sequence + length);
  }
  link.flush();
}
