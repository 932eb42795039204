/**
 * What is wrong with a document of the Elastic Common Schema, by Elastic's own list of fields: the package `@elastic/ecs`, made
 * from `generated/ecs/ecs_flat.yml` of the release that its version names.
 */
import { isIP } from "node:net";
import { EcsFlat, EcsVersion } from "@elastic/ecs";

interface Field {
  type: string;
  required?: boolean;
  normalize: readonly string[];
  allowed_values?: readonly { name: string; expected_event_types?: readonly string[] }[];
  expected_values?: readonly string[];
}

const fields = EcsFlat as Readonly<Record<string, Field>>;

/** The release whose fields these are. */
export const ecsVersion: string = EcsVersion;

/** One line for each thing that is wrong; empty where the document is as ECS wants it. Members under `own` are anybody's. */
export function ecsProblems(document: object, own: string): string[] {
  const problems: string[] = [];
  const leaves = leavesOf(document, "").filter(([path]) => path !== own && !path.startsWith(`${own}.`));
  for (const [path, value] of leaves) {
    const field = fields[path];
    if (field === undefined) problems.push(`${path}: no field of ECS`);
    else problems.push(...valueProblems(field, value).map((problem) => `${path}: ${problem}`));
  }
  for (const [path, { required }] of Object.entries(fields)) {
    if (required === true && !leaves.some(([each]) => each === path)) problems.push(`${path}: missing`);
  }
  return [...problems, ...typeProblems(new Map(leaves))];
}

/** Values by dotted path; an array of objects gives each of their members. */
function leavesOf(value: unknown, path: string): [string, unknown][] {
  const isObject = (each: unknown): each is object => typeof each === "object" && each !== null && !Array.isArray(each);
  if (Array.isArray(value) && value.some(isObject)) return value.flatMap((each) => leavesOf(each, path));
  if (!isObject(value)) return [[path, value]];
  return Object.entries(value).flatMap(([name, each]) => leavesOf(each, path === "" ? name : `${path}.${name}`));
}

function valueProblems(field: Field, value: unknown): string[] {
  const isList = field.normalize.includes("array");
  if (isList !== Array.isArray(value)) {
    // Of an array of objects each member stands alone here.
    return [isList ? "not an array" : "an array"];
  }
  const closed = field.allowed_values?.map(({ name }) => name) ?? field.expected_values;
  return (isList ? (value as unknown[]) : [value]).flatMap((each) => {
    if (!hasType(field.type, each)) return [`not ${field.type}: ${JSON.stringify(each)}`];
    return closed === undefined || closed.includes(each as string) ? [] : [`${String(each)} is none of its values`];
  });
}

function hasType(type: string, value: unknown): boolean {
  switch (type) {
    case "long":
      return Number.isInteger(value) && Math.abs(value as number) < 2 ** 63;
    case "ip":
      return typeof value === "string" && isIP(value) !== 0;
    case "date":
      return typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(value);
    case "keyword":
    case "match_only_text":
    case "wildcard":
      return typeof value === "string";
    case "boolean":
      return typeof value === "boolean";
    default:
      return false;
  }
}

/** Each type of an event must be one that a category of it expects. */
function typeProblems(leaves: ReadonlyMap<string, unknown>): string[] {
  const [categories, types] = [leaves.get("event.category"), leaves.get("event.type")] as [string[], string[]];
  if (!Array.isArray(categories) || !Array.isArray(types)) return ["event.category and event.type: not both there"];
  const expected = fields["event.category"]!.allowed_values!.filter(({ name }) => categories.includes(name)).flatMap(
    ({ expected_event_types: each = [] }) => each,
  );
  return types
    .filter((type) => !expected.includes(type))
    .map((type) => `event.type: ${type} is not of ${categories.join()}`);
}
