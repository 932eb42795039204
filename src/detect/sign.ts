/**
 * Whether a single decision can be a sign of something (`enforcer/signs.ts` says of what): a quick look at each, so that only the few
 * that may be are handed on whole. Pure.
 */
import { metadataService } from "./metadata.ts";
import { mayBePool } from "./mining.ts";

/** Of a connection: `name` as shown or handed out, `ip` as text, `speaks` what its bytes are, where that was told. */
export function maybeSign(name: string | null, ip: string, speaks: unknown): boolean {
  return speaks !== undefined || (name !== null && mayBePool(name)) || metadataService(ip) !== null;
}
