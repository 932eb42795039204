/**
 * How wide a principal's permissions are, over all actions that AWS has: which it may do to any resource although a policy could name
 * the resources. And permissions that name no action of AWS's: they allow nothing, and somebody believes that they do.
 */
import { shown } from "../cloud/value.ts";
import type { ActionFacts, Catalogue } from "./catalogue.ts";
import type { Patterns, Statement } from "./document.ts";
import { decide } from "./evaluate.ts";
import type { Say } from "./finding.ts";
import { exampleOf, globMatches } from "./glob.ts";
import { isBroad } from "./grant.ts";
import type { Principal } from "./principal.ts";
import { contextOf, layersOf } from "./rights.ts";

/** AWS's limits on policies allow some hundred; more patterns are not judged, and that is said. */
const mostPatterns = 500;

export function judgeBreadth(principal: Principal, catalogue: Catalogue, say: Say): void {
  const statements = principal.policies
    .flatMap((policy) => policy.statements)
    .filter(({ effect }) => effect === "Allow");
  if (statements.length === 0) return;
  const patterns = statements.reduce((sum, { actions }) => sum + actions.globs.length, 0);
  if (patterns > mostPatterns) {
    say("breadth", `has ${patterns} patterns of actions, more than are judged`, "Join what belongs together.", {
      outcome: "unknown",
    });
    return;
  }
  const layers = layersOf(principal);
  const context = contextOf(principal);
  const wide = new Map<string, ActionFacts>();
  let place = statements[0]!.place;
  for (const statement of statements) {
    for (const resource of broadResources(statement)) {
      for (const action of actionsOf(statement.actions, catalogue)) {
        if (!action.onResources || action.level === "Read" || action.level === "List" || wide.has(action.name))
          continue;
        if (decide(layers, { action: action.name, resource, context }) !== "yes") continue;
        if (wide.size === 0) place = statement.place;
        wide.set(action.name, action);
      }
    }
  }
  judgeNames(statements, catalogue, say);
  if (wide.size === 0) {
    say("breadth", "changes only what its policies name", "", { outcome: "pass" });
    return;
  }
  const found = [...wide.values()];
  const permissions = found.filter(({ level }) => level === "Permissions management");
  const services = [...new Set(found.map(({ name }) => name.split(":")[0]!))];
  const whole = services.filter((service) =>
    catalogue.get(service)!.every((each) => !isChanging(each) || wide.has(each.name)),
  );
  const few =
    found.length <= 4 ? found.map(({ name }) => name).join(", ") : `${found.length} actions of ${listed(services)}`;
  const parts = [
    `may do ${few} to any resource`,
    ...(whole.length > 0 && found.length > 4 ? [`all that ${listed(whole)} can be told to change`] : []),
    ...(permissions.length > 0 ? [`${permissions.length} of them decide who may do what`] : []),
  ];
  say("breadth", parts.join("; "), "Name the resources in Resource, and leave out actions that no job uses.", {
    place,
    severity: permissions.length > 0 ? "high" : "medium",
  });
}

function isChanging({ level, onResources }: ActionFacts): boolean {
  return onResources && level !== "Read" && level !== "List";
}

/** One resource for each pattern that means any of a kind. */
function broadResources({ resources }: Statement): string[] {
  if (resources === null) return [];
  if (resources.not) return ["arn:aws:any:any:any:any/any"];
  return resources.globs.filter(({ text }) => isBroad(text)).map((glob) => exampleOf(glob, "any"));
}

/** The actions that the patterns name. */
export function* actionsOf({ not, globs }: Patterns, catalogue: Catalogue): Generator<ActionFacts, void> {
  // A pattern that begins with a service's whole name can name no other's actions.
  const prefixes = globs.map(({ text }) => /^([a-z0-9-]+):/.exec(text)?.[1] ?? null);
  const services = not || prefixes.includes(null) ? [...catalogue.keys()] : [...new Set(prefixes)].map((each) => each!);
  for (const service of services) {
    for (const action of catalogue.get(service) ?? []) {
      const name = action.name.toLowerCase();
      if (globs.some((glob) => globMatches(glob, name) !== "no") !== not) yield action;
    }
  }
}

function judgeNames(statements: readonly Statement[], catalogue: Catalogue, say: Say): void {
  for (const { actions, place } of statements) {
    if (actions.not) continue;
    const nothing = actions.globs.filter(
      (glob) => actionsOf({ not: false, globs: [glob], partial: false }, catalogue).next().done === true,
    );
    if (nothing.length > 0)
      say(
        "no-such-action",
        `allows what AWS has no action for: ${shown(nothing.map(({ text }) => text).join(", "))}`,
        "Correct the name, or take it out.",
        { place },
      );
  }
}

function listed(names: readonly string[]): string {
  return names.length <= 6 ? names.join(", ") : `${names.slice(0, 5).join(", ")} and ${names.length - 5} more services`;
}
