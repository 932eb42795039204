/**
 * Whether a principal may do something anywhere at all: a search for one request that is allowed, among texts that the policies' own
 * resource patterns match and that pairs of them have in common. Every grant comes with that witness, so it is never a guess; a
 * permission that only three or more patterns together leave open may be missed.
 */
import type { Context } from "./condition.ts";
import type { Statement } from "./document.ts";
import { decide, statementApplies } from "./evaluate.ts";
import type { Layer } from "./evaluate.ts";
import { commonExample, exampleOf } from "./glob.ts";
import type { Glob } from "./glob.ts";
import type { Truth } from "./truth.ts";

export interface Grant {
  /** `maybe`: under conditions that are not known to hold. */
  readonly truth: "yes" | "maybe";
  /** The resource it was found allowed for. */
  readonly witness: string;
  /** The statement that allows it, of the first layer. */
  readonly by: Statement;
  /** True where the witness stands for every resource of its kind, not for named ones. */
  readonly broad: boolean;
}

/** What no policy has in its patterns. */
const fill = "any";
const mostCandidates = 400;

/** Finds the strongest grant of `action`; null: refused for all that was tried. */
export function grantOf(layers: readonly Layer[], action: string, context: Context): Grant | null {
  const lower = action.toLowerCase();
  const own = (layers[0] ?? []).flatMap(({ statements }) => statements);
  // That an unread part of the principal's own policies may allow more is said once, not for every action.
  const relevant = layers.map((layer, i) =>
    layer.map((policy) => narrowed(i === 0 ? { ...policy, partial: null } : policy, lower, context)),
  );
  const allows = own.filter((each) => each.effect === "Allow" && mayName(each, lower, context));
  if (allows.length === 0) return null;
  let best: Grant | null = null;
  for (const { text, broad } of candidates(relevant, lower)) {
    const truth = decide(relevant, { action: lower, resource: text, context });
    if (truth === "no") continue;
    const request = { action: lower, resource: text, context };
    const by = strongest(allows, lower, request);
    if (by === null) continue;
    const grant: Grant = { truth, witness: text, by, broad };
    if (best === null || rank(grant) > rank(best)) best = grant;
    if (rank(grant) === 3) break;
  }
  return best;
}

function rank({ truth, broad }: Grant): number {
  return (truth === "yes" ? 2 : 0) + (broad ? 1 : 0);
}

function strongest(
  allows: readonly Statement[],
  action: string,
  request: Parameters<typeof statementApplies>[2],
): Statement | null {
  let maybe: Statement | null = null;
  for (const statement of allows) {
    const applies: Truth = statementApplies(statement, action, request);
    if (applies === "yes") return statement;
    if (applies === "maybe") maybe ??= statement;
  }
  return maybe;
}

/** The policy's statements that could say something of the action. */
function narrowed(policy: Layer[number], action: string, context: Context): Layer[number] {
  return { ...policy, statements: policy.statements.filter((each) => mayName(each, action, context)) };
}

function mayName(statement: Statement, action: string, context: Context): boolean {
  return statementApplies({ ...statement, resources: null }, action, { action, resource: "*", context }) !== "no";
}

/** Resources to try: one of no name first, then what the patterns match, alone and in pairs. */
function candidates(layers: readonly Layer[], action: string): { text: string; broad: boolean }[] {
  const service = action.split(":")[0]!;
  const globs = new Map<string, Glob>();
  for (const layer of layers)
    for (const { statements } of layer)
      for (const { resources } of statements) for (const glob of resources?.globs ?? []) globs.set(glob.text, glob);
  const anything = `arn:aws:${service}:${fill}:${fill}:${fill}/${fill}`;
  const found = new Map<string, boolean>([
    [anything, true],
    ["*", true],
  ]);
  const list = [...globs.values()].slice(0, mostCandidates);
  for (const glob of list) if (glob.text !== "*") found.set(exampleOf(glob, fill), isBroad(glob.text));
  for (const [i, a] of list.entries()) {
    for (const b of list.slice(i + 1)) {
      if (found.size >= mostCandidates) break;
      const text = commonExample(a, b, fill);
      if (text !== null && !found.has(text)) found.set(text, isBroad(a.text) && isBroad(b.text));
    }
  }
  return [...found].map(([text, broad]) => ({ text, broad }));
}

/** `*`, `arn:aws:iam::*:role/*`: nothing of a name. What stands before a slash is a kind, but in S3, where it is a bucket. */
export function isBroad(pattern: string): boolean {
  const [, service, tail] = /^arn:[^:]*:([^:]*):[^:]*:[^:]*:(.*)$/.exec(pattern) ?? [];
  const resource = tail ?? pattern;
  if (service === "s3") return /^[*?]+(?:\/.*)?$/.test(resource);
  return /^(?:[a-z-]+[/:])?[*?/]+$/.test(resource);
}
