/** Where metrics are served over TCP, as it is written on the command line and in the configuration. */
import { family, parseAddress } from "../address/ip.ts";
import { SallyportError } from "../errors.ts";

export interface MetricsAddress {
  host: string;
  port: number;
}

/** `PORT` on loopback, or `ADDRESS:PORT` (`[::1]:9464`). Throws USAGE; names are refused, they may be anywhere. */
export function parseMetricsAddress(text: string): MetricsAddress {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):)?([0-9]{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? "127.0.0.1";
  const port = Number(match?.[3]);
  const address = parseAddress(host);
  const isWritten = address !== null && (family(address) === 6) === (match?.[1] !== undefined);
  if (match !== null && isWritten && port >= 1 && port <= 65535) return { host, port };
  throw new SallyportError("USAGE", `${text} is not [ADDRESS:]PORT, for example 9464 or [::1]:9464.`);
}
