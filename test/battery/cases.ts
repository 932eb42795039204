/** Every case of the battery, in the order of the threat list. A name that is used twice is a mistake. */
import { caseName, type Case } from "./case.ts";
import { addressCases } from "./names/address.ts";
import { toolCases } from "./tools.ts";

export function allCases(): Case[] {
  const cases: Case[] = [...addressCases, ...toolCases];
  const names = cases.map(caseName);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new Error(`two cases are called ${twice}`);
  return cases;
}
