/**
 * Composite actions of the repository itself: a firewall that is a step of one is a step of every job that uses it, where nobody sees
 * it. A local action's steps have no phase before the job, so ours in one would not watch what came before either.
 */
import { isSeq } from "yaml";
import type { Node } from "yaml";
import { finding } from "./finding.ts";
import type { Finding } from "./finding.ts";
import { firewallOf, stepOf, withBeside } from "./jobs.ts";
import type { Job } from "./jobs.ts";
import { isOurs } from "./options.ts";
import type { LocalAction, Scope } from "./options.ts";
import { readYaml } from "./source.ts";
import type { Source } from "./source.ts";

/** What a composite action has in it; nothing where the text is no composite action. Never throws, whatever the text. */
export function readLocalAction(path: string, text: string, scope: Pick<Scope, "repository">): LocalAction {
  const source = readYaml(path, text);
  const list = "code" in source ? null : source.value(source.root, "runs", "steps");
  if ("code" in source || !isSeq(list)) return { firewalls: [], uses: [] };
  const own = list.items.map((item) => stepOf(source, item as Node));
  const steps = withBeside(source, own);
  return {
    firewalls: steps.flatMap((step) => (isOurs(scope, step) ? ["Sallyport"] : (firewallOf(step) ?? []))),
    uses: steps.flatMap(({ action }) => (isLocal(action) ? [action] : [])),
  };
}

/** `./x`, and `$/x`, which is the same folder at the workflow's own commit. */
function isLocal(action: string | null): action is string {
  return action !== null && /^[.$]\//.test(action);
}

/** The folder of a local action, as the repository names it. */
export function folderOf(action: string): string {
  return action.replace(/^[.$]\/+/, "").replace(/\/+$/, "");
}

/** Firewalls that come into a job by its local actions, or stand beside other steps (`parallel`). */
export function hiddenFirewalls(source: Source, job: Job, scope: Scope): Finding[] {
  const { actions = new Map<string, LocalAction>() } = scope;
  return withBeside(source, job.steps).flatMap((step) => {
    const { action, node } = step;
    const product = isOurs(scope, step) ? "Sallyport" : firewallOf(step);
    if (product !== null && !job.steps.includes(step)) {
      const message = `${product} is among steps that run beside each other (parallel), which is too late`;
      const fix = "Take it out of the list: the step belongs to the job, as its first.";
      return [finding(source.path, job.id, source.spot(node), "other_firewall", message, fix)];
    }
    if (!isLocal(action)) return [];
    const found = within(action, actions, new Set());
    if (found.length === 0) return [];
    const message = `the action ${action} that it uses has a firewall in it: ${found.join(", ")}`;
    const fix = "Take it out of the action: the step belongs to the job, as its first.";
    return [finding(source.path, job.id, source.spot(node), "other_firewall", message, fix)];
  });
}

function within(action: string, actions: ReadonlyMap<string, LocalAction>, seen: Set<string>): string[] {
  const folder = folderOf(action);
  if (seen.has(folder)) return [];
  seen.add(folder);
  const known = actions.get(folder);
  if (known === undefined) return [];
  return [...new Set([...known.firewalls, ...known.uses.flatMap((each) => within(each, actions, seen))])];
}
