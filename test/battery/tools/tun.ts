/** What tunnels that carry IP have in common: addresses inside, and a datagram with the marker through them. */
import type { Family } from "../case.ts";
import { catcherPort } from "./attacker.ts";
import { deliver, type Ends } from "./tool.ts";

/** The tunnel's network; another for each case and family, because they all end on one machine. */
export function inner(n: number, v: Family): { server: string; client: string; net: string } {
  const net = `10.${v === 4 ? 66 : 67}.${n}`;
  return { server: `${net}.1`, client: `${net}.2`, net: `${net}.0` };
}

/** Until it has come out at this address. */
export function deliverInside(ends: Ends, server: string): Promise<void> {
  return deliver(ends, () => ends.job.datagram(server, catcherPort, `${ends.marker}\n`));
}
