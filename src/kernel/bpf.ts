/**
 * What the kernel can tell of a packet by itself: matches in classic BPF (linux/filter.h) for rules of iptables. They decide
 * what need not come to user space, so each says yes only where it is certain; a byte outside the packet is a no.
 */
/** Operation, jump if true, jump if false, constant. */
type Step = readonly [number, number, number, number];

/**
 * The segment carries nothing but an acknowledgement. A third of all packets user space would see, and nearly all of a long
 * download over plain HTTP. "Nothing" is exact: the packet's length is that of its headers (length matches cannot say it, TCP
 * options vary). IPv6 with extension headers is not looked into.
 */
export function bareAck(family: 4 | 6): string {
  return match(family === 4 ? bareAckV4 : bareAckV6);
}

/**
 * The datagram begins no QUIC connection: a short header (the first bit is 0, RFC 9000 section 17.3), which fills its datagram.
 * User space knows them by the same signs (`beginsNothing` in `flow/quic.ts`). A packet here may be several datagrams that
 * the sender's kernel has not cut yet (UDP_SEGMENT), of which any but the first may have a long header. All but the last
 * are of one size and the last is not larger; servers discard Initials in less than 1200 bytes (section 14.1). So from 2400
 * bytes on the answer is no. IPv6 with extension headers is not looked into.
 */
export function shortHeader(family: 4 | 6): string {
  return match(family === 4 ? shortHeaderV4 : shortHeaderV6);
}

function match(program: readonly Step[]): string {
  return `-m bpf --bytecode "${program.length},${program.map((step) => step.join(" ")).join(",")}"`;
}

/** The least size of UDP, header included, that could be several datagrams with an Initial in a later one. */
const several = 2 * 1200 + 8;

/** A TCP data offset, in bytes, is in X. */
const headerLengthToX: readonly Step[] = [
  [0x74, 0, 0, 4], // A >>= 4
  [0x64, 0, 0, 2], // A <<= 2
  [0x07, 0, 0, 0], // X = A
  [0x60, 0, 0, 0], // A = M[0]
  [0x1d, 0, 1, 0], // A == X ?
  [0x06, 0, 0, 0xffff],
  [0x06, 0, 0, 0],
];
const bareAckV4: readonly Step[] = [
  [0xb1, 0, 0, 0], // X = header length (IHL)
  [0x28, 0, 0, 2], // A = total length
  [0x1c, 0, 0, 0], // A -= X
  [0x02, 0, 0, 0], // M[0] = A
  [0x50, 0, 0, 12], // A = TCP data offset byte
  ...headerLengthToX,
];
const bareAckV6: readonly Step[] = [
  [0x30, 0, 0, 6], // A = next header
  [0x15, 1, 0, 6], // TCP at once ?
  [0x06, 0, 0, 0],
  [0x28, 0, 0, 4], // A = payload length
  [0x02, 0, 0, 0], // M[0] = A
  [0x30, 0, 0, 52], // A = TCP data offset byte
  ...headerLengthToX,
];

const firstByteShort: readonly Step[] = [
  [0x45, 0, 1, 0x80], // A & 0x80 ?
  [0x06, 0, 0, 0],
  [0x06, 0, 0, 0xffff],
];
const shortHeaderV4: readonly Step[] = [
  [0xb1, 0, 0, 0], // X = header length (IHL)
  [0x28, 0, 0, 2], // A = total length
  [0x1c, 0, 0, 0], // A -= X
  [0x35, 0, 1, several], // A >= several ?
  [0x06, 0, 0, 0],
  [0x50, 0, 0, 8], // A = first byte after the UDP header; none: no match
  ...firstByteShort,
];
const shortHeaderV6: readonly Step[] = [
  [0x30, 0, 0, 6], // A = next header
  [0x15, 1, 0, 17], // UDP at once ?
  [0x06, 0, 0, 0],
  [0x28, 0, 0, 4], // A = payload length
  [0x35, 0, 1, several], // A >= several ?
  [0x06, 0, 0, 0],
  [0x30, 0, 0, 48], // A = first byte after the UDP header
  ...firstByteShort,
];
