/**
 * The host name that a client shows in its first bytes (SNI or Host), made canonical or refused. Every parser that finds
 * a name ends here, so that rules never meet a name in two spellings (threat N5).
 */
import { canonicalName, isNameDefect, type NameDefectCode } from "../address/name.ts";
import type { HostDefect } from "./http/authority.ts";
import type { ClientHello, SniDefect } from "./tls/hello.ts";

/**
 * - `none`: the bytes show no name, and that is no error of syntax.
 * - `name`: canonical (see `address/name.ts`).
 * - `invalid`: something stands where the name should, and it is no single host name.
 */
export type ShownName =
  | { kind: "none" }
  | { kind: "name"; name: string }
  | { kind: "invalid"; defect: SniDefect | HostDefect | NameDefectCode };

/** The name a ClientHello asks for. */
export function serverName(hello: ClientHello): ShownName {
  if (hello.sni.kind !== "name") return hello.sni;
  const name = canonicalName(hello.sni.raw);
  return isNameDefect(name) ? { kind: "invalid", defect: name.defect } : { kind: "name", name };
}
