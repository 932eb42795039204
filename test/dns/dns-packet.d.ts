/** The part of dns-packet that the differential tests use; the package brings no types. */
declare module "dns-packet" {
  interface PacketRecord {
    name: string;
    type: string;
    ttl?: number;
    data?: unknown;
  }
  interface Packet {
    id: number;
    flags: number;
    questions: { name: string; type: string }[];
    answers: PacketRecord[];
    authorities: PacketRecord[];
    additionals: PacketRecord[];
  }
  const dnsPacket: {
    decode(bytes: Buffer): Packet;
    encode(message: Partial<Packet> & { type: "query" | "response" }): Buffer;
  };
  export default dnsPacket;
}
