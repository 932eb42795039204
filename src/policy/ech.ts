/**
 * What an allow rule makes of a hello that carries Encrypted Client Hello (RFC 9849): the name it shows is the outer one, and
 * the one meant is sealed (threat N8). Shared by both evaluators, the loader and the lint.
 */
import type { EchChoice, Endpoint } from "./model.ts";
import type { Protocol } from "./decision.ts";
import { entryFor, fronts } from "./sinks.ts";

/** True for protocols whose hello can carry it. */
export function carriesEch(protocol: Protocol): boolean {
  return protocol === "tls" || protocol === "quic";
}

/**
 * True where a rule that matches by this endpoint and protocol does not let such a hello through. Without a choice it goes by
 * the name shown: behind a front that many tenants share, the sealed name can be any of theirs. A CIDR endpoint vouches
 * for an address, whatever is shown there, so only a choice counts.
 */
export function refusesEch(
  choice: EchChoice,
  endpoint: Endpoint["kind"],
  protocol: Protocol,
  shown: string | null,
): boolean {
  if (choice === "allow" || !carriesEch(protocol)) return false;
  if (choice === "deny") return true;
  return endpoint === "name" && shown !== null && entryFor(fronts, shown) !== null;
}
