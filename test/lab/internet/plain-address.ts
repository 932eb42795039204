/** A socket's address as the lab writes it: IPv4 without the mapping that a dual-stack listener adds. */
export function plainAddress(address: string | undefined): string {
  return (address ?? "").replace(/^::ffff:(?=\d+\.)/, "");
}
