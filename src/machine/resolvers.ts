/**
 * Whom our DNS firewall asks on a machine: never a resolver on this machine, whose own questions come back to us. Where
 * resolv.conf names systemd-resolved's stub, the servers it asks are in a file of its own (systemd-resolved(8)).
 */
import { parseAddress } from "../address/ip.ts";
import { specialClass } from "../address/special.ts";
import { type Resolver, systemResolvers } from "../enforcer/resolvers.ts";
import { SallyportError } from "../errors.ts";

const files = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/** Throws AGENT where every known server is on this machine. */
export function machineResolvers(from: readonly string[] = files): Resolver[] {
  for (const file of from) {
    const found = listOf(file).filter(({ address }) => specialClass(parseAddress(address)!) !== "loopback");
    if (found.length > 0) return found;
  }
  throw new SallyportError(
    "AGENT",
    `Which DNS servers this machine uses is not known: ${from.join(" and ")} name none but local ones. Write one into /etc/resolv.conf.`,
  );
}

function listOf(file: string): Resolver[] {
  try {
    return systemResolvers(file);
  } catch {
    return [];
  }
}
