/** What the protocols of rules mean for a flow. Shared by both evaluators, the loader's shadow check and the lint. */
import type { Application, Protocol, Transport } from "./decision.ts";

/** The transport that carries a protocol. */
export function transportOf(protocol: Protocol): "tcp" | "udp" | "icmp" {
  if (protocol === "udp" || protocol === "quic") return "udp";
  return protocol === "icmp" ? "icmp" : "tcp";
}

/** True where a flow of this transport and application is what an allow rule for `protocol` asks for. */
export function accepts(protocol: Protocol, transport: Transport, application: Application): boolean {
  if (transport !== transportOf(protocol)) return false;
  return protocol === "tcp" || protocol === "udp" || protocol === "icmp" || protocol === application;
}

/** True for protocols whose first bytes can show a name: their name rules ask for that very name. */
export function showsName(protocol: Protocol | Application): boolean {
  return protocol === "tls" || protocol === "http" || protocol === "quic";
}

/** The applications a flow of each transport can turn out to be. */
export const applicationsOf: Readonly<Record<Transport, readonly Application[]>> = {
  tcp: ["tls", "http", "ssh", "other"],
  udp: ["quic", "other"],
  icmp: ["other"],
  other: ["other"],
};
