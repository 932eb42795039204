/**
 * The rdata of an HTTPS record (RFC 9460, ECH parameter of RFC 9848), which `dns-packet` cannot encode. Called by the
 * lab's DNS server; input is the lab's own zone, so malformed data is a defect of the test and throws.
 */
import { addressToBytes, parseAddress } from "../../../src/address/ip.ts";

/** One HTTPS binding. `target` "." means the owner itself; `ech` is base64 of an ECHConfigList. */
export type HttpsBinding = {
  priority: number;
  target: string;
  alpn?: string[];
  port?: number;
  ipv4hint?: string[];
  ipv6hint?: string[];
  ech?: string;
};

/** The record's rdata: priority, uncompressed target, parameters in ascending key order (RFC 9460 section 2.2). */
export function encodeHttpsBinding(binding: HttpsBinding): Buffer {
  const parameters: Buffer[] = [];
  if (binding.alpn !== undefined) {
    parameters.push(parameter(1, Buffer.concat(binding.alpn.map((id) => lengthPrefixed(Buffer.from(id, "latin1"))))));
  }
  if (binding.port !== undefined) parameters.push(parameter(3, uint16(binding.port)));
  if (binding.ipv4hint !== undefined) parameters.push(parameter(4, hints(binding.ipv4hint)));
  if (binding.ech !== undefined) parameters.push(parameter(5, Buffer.from(binding.ech, "base64")));
  if (binding.ipv6hint !== undefined) parameters.push(parameter(6, hints(binding.ipv6hint)));
  return Buffer.concat([uint16(binding.priority), wireName(binding.target), ...parameters]);
}

/** A domain name in wire form; "." is the root. */
function wireName(name: string): Buffer {
  const labels = name.split(".").filter((label) => label !== "");
  return Buffer.concat([...labels.map((label) => lengthPrefixed(Buffer.from(label, "latin1"))), Buffer.of(0)]);
}

function parameter(key: number, value: Buffer): Buffer {
  return Buffer.concat([uint16(key), uint16(value.length), value]);
}

function hints(addresses: string[]): Buffer {
  return Buffer.concat(
    addresses.map((text) => {
      const address = parseAddress(text);
      if (address === null) throw new Error(`the zone has an address hint that is no address: ${text}`);
      return addressToBytes(address);
    }),
  );
}

function lengthPrefixed(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

function uint16(value: number): Buffer {
  return Buffer.of((value >> 8) & 255, value & 255);
}
