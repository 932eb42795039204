/**
 * The sink on a server of the user's: everything that techniques go to, and a file with its testimony that is written anew
 * every second, for when nobody inside the firewall can ask for it.
 */
import { renameSync, writeFileSync } from "node:fs";
import { parseAddress } from "../../address/ip.ts";
import { SallyportError } from "../../errors.ts";
import { techniques } from "../catalogue.ts";
import type { Zone } from "./name-server.ts";
import { Sink } from "./sink.ts";

export interface ServeOptions {
  token: string;
  /** Null: every port that a technique uses. */
  ports: readonly number[] | null;
  /** Domain that is delegated here, and the addresses its names get. */
  zone: string | null;
  addresses: readonly string[];
  capture: boolean;
  /** Where the testimony is written; null: nowhere. */
  out: string | null;
}

export interface Served {
  sink: Sink;
  stop(): void;
}

const writeMs = 1_000;

/** Throws USAGE where an address is none or the file cannot be written; PORT_IN_USE where nothing at all can be served. */
export async function serveSink(options: ServeOptions): Promise<Served> {
  const { token, zone, addresses, capture, out } = options;
  for (const each of addresses) {
    if (parseAddress(each) === null) throw new SallyportError("USAGE", `${each} is not an address.`);
  }
  const ports = (kind: "tcp" | "udp") =>
    techniques.flatMap(({ channel }) =>
      channel.kind === kind && (options.ports?.includes(channel.port) ?? true) ? [channel.port] : [],
    );
  const dns = zone === null ? [] : [53];
  const udp = [...new Set([...ports("udp"), ...dns])];
  const sink = await Sink.start({
    token,
    tcp: [...ports("tcp"), ...(options.ports ?? []), ...dns],
    // Both families on one socket; the second is for machines without IPv6.
    udp: udp.map((port) => ({ address: "::", port })),
    zone: zoneOf(zone, addresses),
    zoneName: zone,
    capture: capture ? "auto" : false,
  });
  if (sink.serving.tcp.length === 0 && sink.serving.udp.length === 0) {
    sink.close();
    throw new SallyportError("PORT_IN_USE", `Nothing can be served: ${sink.missing.join("; ")}`);
  }
  const write = () => {
    if (out === null) return;
    // Whole or not at all: somebody reads it meanwhile.
    writeFileSync(`${out}.part`, `${JSON.stringify(sink.testimony())}\n`, { mode: 0o644 });
    renameSync(`${out}.part`, out);
  };
  try {
    write();
  } catch (error) {
    sink.close();
    throw new SallyportError(
      "USAGE",
      `The testimony cannot be written to ${out}: ${(error as Error).message}.`,
      {},
      error,
    );
  }
  const timer = setInterval(write, writeMs);
  return {
    sink,
    stop: () => {
      clearInterval(timer);
      write();
      sink.close();
    },
  };
}

/** Every name of the zone is here; no other name is anywhere. */
function zoneOf(zone: string | null, addresses: readonly string[]): Zone {
  return (name, family) => {
    if (zone === null || (name !== zone && !name.endsWith(`.${zone}`))) return null;
    return addresses.find((each) => each.includes(":") === (family === 6)) ?? null;
  };
}
