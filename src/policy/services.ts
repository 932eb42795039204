/** Which ports and protocols a rule means for an endpoint: the endpoint's own ports, else the list's, else the rule's. */
import type { Protocol } from "./decision.ts";
import type { Ports } from "./endpoint.ts";
import type { Service } from "./model.ts";

/** Why ports and protocol do not go together, and the fix. */
export interface ServiceDefect {
  readonly code: "protocol_needed" | "port_needed";
  readonly message: string;
  readonly fix: string;
}

const protocolOfPort: ReadonlyMap<number, Protocol> = new Map([
  [443, "tls"],
  [80, "http"],
  [22, "ssh"],
]);

const usualPort: Partial<Record<Protocol, number>> = { http: 80, ssh: 22 };

/** True for the failure arm of {@link servicesFor}. */
export function isServiceDefect(value: readonly Service[] | ServiceDefect): value is ServiceDefect {
  return "code" in value;
}

/**
 * The services of an endpoint. `ports` null means none were written anywhere: 443, except that `http` and `ssh` then need
 * a port written, because 443 is hardly what was meant. `protocol` null means by port.
 */
export function servicesFor(ports: Ports, protocol: Protocol | null): readonly Service[] | ServiceDefect {
  if (protocol === "icmp") {
    if (ports === null) return [{ port: null, protocol }];
    return {
      code: "port_needed",
      message: "icmp has no ports",
      fix: "Remove the ports, or move icmp to its own rule.",
    };
  }
  if (ports === null && protocol !== null && usualPort[protocol] !== undefined) {
    const port = usualPort[protocol];
    return {
      code: "port_needed",
      message: `no port is written, which means 443, for a rule about ${protocol}`,
      fix: `Add ports: [${port}] to the rule (or [443], if that is meant).`,
    };
  }
  if (ports === "any") {
    if (protocol !== null) return [{ port: null, protocol }];
    return { code: "protocol_needed", message: "every port (`*`) needs a protocol", fix: protocolFix };
  }
  const services: Service[] = [];
  for (const port of ports ?? [443]) {
    const spoken = protocol ?? protocolOfPort.get(port);
    if (spoken === undefined) {
      return { code: "protocol_needed", message: `port ${port} has no protocol of its own`, fix: protocolFix };
    }
    services.push({ port, protocol: spoken });
  }
  return services;
}

const protocolFix = "Add protocol: tls (or http, ssh, quic; tcp or udp for anything opaque) to the rule.";
