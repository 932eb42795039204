/**
 * Endpoints as text: where to, and on which ports.
 *
 *   pypi.org                 pypi.org:443,8443          pypi.org:*
 *   *.example.com            **.example.com:443         sa{0-49}.blob.example
 *   203.0.113.0/24           203.0.113.7:8443           203.0.113.0/24:443,8443
 *   2001:db8::/32            [2001:db8::/32]:443        [2001:db8::7]:*
 *
 * An IPv6 address, and an IPv6 prefix with ports, stands in brackets, as in URLs (RFC 3986).
 */
import { formatCidr, isCidrDefect, parseCidr } from "../address/cidr.ts";
import { parseAddress } from "../address/ip.ts";
import { formatPattern, isPatternDefect, parsePattern } from "../address/pattern.ts";
import type { Endpoint } from "./model.ts";

/** Null: the endpoint names no port. `any`: every port. */
export type Ports = readonly number[] | "any" | null;

export interface ParsedEndpoint {
  readonly endpoint: Endpoint;
  readonly ports: Ports;
}

export interface EndpointDefect {
  readonly code: "bad_endpoint" | "bad_cidr";
  readonly message: string;
  readonly fix: string;
}

/** True for the failure arm of {@link parseEndpoint}. */
export function isEndpointDefect(value: ParsedEndpoint | EndpointDefect): value is EndpointDefect {
  return "code" in value;
}

/** Parses one endpoint; `text` of the result is canonical without ports. */
export function parseEndpoint(text: string): ParsedEndpoint | EndpointDefect {
  if (text === "") return bad("the endpoint is empty", "Write a host name such as pypi.org.");
  const scheme = text.indexOf("://");
  if (scheme >= 0) {
    const host = /^[^/?#]*/.exec(text.slice(scheme + 3))![0];
    return bad(`“${text}” is a URL`, host === "" ? "Write the host alone." : `Write ${host}.`);
  }
  if (text.startsWith("[")) return parseBracketed(text);
  const colon = text.indexOf(":");
  const single = colon >= 0 && colon === text.lastIndexOf(":");
  const host = single ? text.slice(0, colon) : text;
  const ports = single ? parsePorts(text.slice(colon + 1)) : null;
  if (ports === undefined)
    return bad(`“${text}” has no ports from 1 to 65535`, "Write host:443, host:443,8443 or host:*.");
  if (colon >= 0 && !single) {
    // 2001:db8::1:443 is an address of its own: whether a port was meant cannot be told.
    if (!text.includes("/") && parseAddress(text) !== null) {
      const split = text.lastIndexOf(":");
      const ported = parseAddress(text.slice(0, split)) !== null;
      const other = ported ? `, or [${text.slice(0, split)}]:${text.slice(split + 1)} if a port was meant` : "";
      const fix = `Write [${text}]${other}.`;
      return { code: "bad_cidr", message: `“${text}”: an IPv6 address as an endpoint stands in brackets`, fix };
    }
    return cidrEndpoint(text, null);
  }
  if (/^[0-9.]+(\/.*)?$/.test(host)) return cidrEndpoint(host, ports);
  const pattern = parsePattern(host);
  if (isPatternDefect(pattern)) return bad(`“${text}” is not an endpoint: ${pattern.defect}`, pattern.fix);
  return { endpoint: { kind: "name", pattern, text: formatPattern(pattern) }, ports: ports };
}

function parseBracketed(text: string): ParsedEndpoint | EndpointDefect {
  const match = /^\[([^\]]*)\](?:\/[0-9]+)?(?::(.*))?$/s.exec(text);
  if (match === null || text.includes("]/")) {
    return bad(`“${text}” is not an endpoint`, "Write an IPv6 prefix with ports as [2001:db8::/32]:443.");
  }
  const ports = match[2] === undefined ? null : parsePorts(match[2]);
  if (ports === undefined)
    return bad(`“${text}” has no ports from 1 to 65535`, "Write [2001:db8::/32]:443 or [2001:db8::/32]:*.");
  return cidrEndpoint(match[1]!, ports);
}

function cidrEndpoint(text: string, ports: Ports): ParsedEndpoint | EndpointDefect {
  const cidr = parseCidr(text);
  if (isCidrDefect(cidr)) {
    const ported = /^(.*):([0-9,*]+)$/.exec(text);
    if (ported !== null && parseAddress(ported[1]!.split("/")[0]!) !== null) {
      return { code: "bad_cidr", message: cidr.message, fix: `Write [${ported[1]}]:${ported[2]}.` };
    }
    return { code: "bad_cidr", message: cidr.message, fix: cidr.fix };
  }
  return { endpoint: { kind: "cidr", cidr, text: formatCidr(cidr) }, ports };
}

/** Undefined where the text is not a list of ports. */
function parsePorts(text: string): Ports | undefined {
  if (text === "*") return "any";
  const out = new Set<number>();
  for (const part of text.split(",")) {
    if (!/^[1-9][0-9]{0,4}$/.test(part) || Number(part) > 65535) return undefined;
    out.add(Number(part));
  }
  return [...out].toSorted((a, b) => a - b);
}

function bad(message: string, fix: string): EndpointDefect {
  return { code: "bad_endpoint", message, fix };
}
