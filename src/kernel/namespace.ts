/**
 * Named network namespaces (`ip netns`): making, listing and removing them, and running code inside one. Called by every
 * room that stands in a place of its own (gateway, run) and by the tests' labs.
 */
import { readdirSync } from "node:fs";
import { CommandError, run } from "./commands.ts";
import { NAMED, namespacePath } from "./enter.ts";

export { inNamespace, namespacePath } from "./enter.ts";

/** The prefix of every namespace the product makes, so that leftovers of a crash can be told from other people's. */
export const namespacePrefix = "sallyport-";

/** Makes a namespace with its loopback interface up. Throws CommandError where the name is taken. */
export function addNamespace(name: string): void {
  namespacePath(name);
  run("ip", ["netns", "add", name]);
  try {
    run("ip", ["-n", name, "link", "set", "lo", "up"]);
  } catch (error) {
    deleteNamespace(name);
    throw error;
  }
}

/**
 * Removes a namespace; one that does not exist is no error. The kernel keeps what was in it alive until the last process
 * and socket inside is gone.
 */
export function deleteNamespace(name: string): void {
  namespacePath(name);
  try {
    run("ip", ["netns", "delete", name]);
  } catch (error) {
    if (error instanceof CommandError && !listNamespaces("").includes(name)) return;
    throw error;
  }
}

/** Names under /run/netns that start with `prefix`. */
export function listNamespaces(prefix: string = namespacePrefix): string[] {
  try {
    return readdirSync(NAMED)
      .filter((name) => name.startsWith(prefix))
      .toSorted();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
