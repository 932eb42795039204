/** What `--accept` names: destinations that are held back, as the report shows them, with the doubt where there are several. */
import { SallyportError } from "../errors.ts";
import type { Doubt } from "./doubt.ts";
import type { Evidence, Seen } from "./evidence.ts";

/** What `--accept` is compared with: as the report shows it. */
export function acceptKey({ host, port }: Pick<Seen, "host" | "port">): string {
  return port === 0 ? host : host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Whoever accepts a webhook site must not with the same word accept an address that somebody hid behind its name: where one
 * endpoint is held back for several reasons, `accept` has to say which. Returns what it names in vain.
 */
export function checkAccept({ sources }: Evidence, accept: ReadonlySet<string>): string[] {
  const doubts = new Map<string, Set<Doubt>>();
  for (const { passed } of sources) {
    for (const seen of passed.values()) {
      if (seen.doubt === null) continue;
      const key = acceptKey(seen);
      doubts.set(key, (doubts.get(key) ?? new Set()).add(seen.doubt));
    }
  }
  for (const [key, those] of doubts) {
    if (!accept.has(key) || those.size === 1) continue;
    const which = [...those].toSorted().map((doubt) => `--accept '${key}=${doubt}'`);
    throw new SallyportError(
      "USAGE",
      `${key} is held back for ${those.size} reasons, which are different things to accept: ${which.join(", ")}.`,
    );
  }
  const known = new Set([...doubts].flatMap(([key, those]) => [key, ...[...those].map((doubt) => `${key}=${doubt}`)]));
  return [...accept].filter((key) => !known.has(key)).toSorted();
}

/** Somebody accepted the destination, whatever it is held back for or for just that. */
export function isAccepted(seen: Seen, accept: ReadonlySet<string>): boolean {
  return accept.has(acceptKey(seen)) || accept.has(`${acceptKey(seen)}=${seen.doubt}`);
}
