/** The event of our own record that belongs to an attempt: by its canary in a name, or by the collector's own address. Pure. */
import type { Event } from "../audit/event.ts";
import { toBase32 } from "./canary.ts";
import type { Denial, Shot, Technique } from "./technique.ts";

/** A refusal before anything else: an attempt may make several events (a lookup that is allowed, then a connection). */
const order = { deny: 0, would_deny: 1, allow: 2 } as const;

export function denialOf(events: readonly Event[], technique: Technique, shot: Shot): Denial | null {
  if (shot.canary === "") return null;
  const isOf = matcher(technique, shot);
  const own = events.filter((event) => event.verdict !== undefined && event.kind !== "flow_end" && isOf(event));
  const [first] = own.toSorted((a, b) => order[a.verdict!] - order[b.verdict!]);
  if (first === undefined) return null;
  return { id: first.id, verdict: first.verdict!, rule: first.rule?.name ?? null, reason: first.reason ?? null };
}

function matcher({ marks }: Technique, shot: Shot): (event: Event) => boolean {
  const { canary, collector } = shot;
  const forms = [canary, Buffer.from(canary).toString("hex"), toBase32(canary)];
  const mark = marks === undefined ? null : marks(shot);
  const exact = new Set([mark, collector.name, collector.v4, collector.v6]);
  return ({ destination }) => {
    const name = destination?.name?.toLowerCase() ?? null;
    const joined = name?.replaceAll(".", "") ?? "";
    if (forms.some((form) => joined.includes(form))) return true;
    return (name !== null && exact.has(name)) || (destination?.ip !== undefined && exact.has(destination.ip));
  };
}
