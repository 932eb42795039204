/**
 * What is wrong with an OCSF event, by a slice of the schema (`scripts/ocsf-slice.ts`, `test/schemas/`): unknown attributes, missing
 * ones, types, enumerations and the captions beside them, constraints, profiles, and the arithmetic of `type_uid`.
 */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import type { Attribute, Item, Slice } from "../../scripts/ocsf-slice.ts";

type Value = Record<string, unknown>;

/** The slice of a release that lies in `test/schemas`. */
export function ocsfSlice(version: string): Slice {
  return JSON.parse(readFileSync(new URL(`../schemas/ocsf-${version}.json`, import.meta.url), "utf8")) as Slice;
}

/** One line for each thing that is wrong; empty where the event is as the schema wants it. */
export function ocsfProblems(slice: Slice, event: object): string[] {
  const value = event as Value;
  const found = Object.values(slice.classes).find(({ uid }) => uid === value["class_uid"]);
  if (found === undefined) return [`class_uid: ${String(value["class_uid"])} is no class of the slice`];
  const metadata = value["metadata"] as { version?: unknown; profiles?: unknown } | undefined;
  const profiles = Array.isArray(metadata?.profiles) ? (metadata.profiles as string[]) : [];
  const problems = itemProblems(slice, found, value, "", profiles);
  const expected: Value = {
    category_uid: found.category_uid,
    class_name: found.caption,
    category_name: found.category,
    type_uid: found.uid * 100 + Number(value["activity_id"]),
  };
  for (const [name, right] of Object.entries(expected)) {
    if (value[name] !== undefined && value[name] !== right) problems.push(`${name}: not ${String(right)}`);
  }
  if (metadata?.version !== slice.version) problems.push(`metadata.version: not ${slice.version}`);
  const known = Object.values(found.attributes).map(({ profile }) => profile);
  for (const each of profiles)
    if (!known.includes(each)) problems.push(`metadata.profiles: ${each} is not of the class`);
  return problems;
}

function itemProblems(slice: Slice, item: Item, value: Value, path: string, profiles: readonly string[]): string[] {
  const problems: string[] = [];
  for (const [name, each] of Object.entries(value)) {
    const attribute = item.attributes[name];
    if (attribute === undefined) problems.push(`${path}${name}: no such attribute`);
    else if (attribute.profile !== undefined && !profiles.includes(attribute.profile)) {
      problems.push(`${path}${name}: of the profile ${attribute.profile}, which the event does not name`);
    } else problems.push(...attributeProblems(slice, attribute, each, `${path}${name}`, profiles));
    problems.push(...siblingProblems(attribute, each, value, path));
  }
  for (const [name, { required, profile }] of Object.entries(item.attributes)) {
    const isMeant = profile === undefined || profiles.includes(profile);
    if (required === true && isMeant && value[name] === undefined) problems.push(`${path}${name}: missing`);
  }
  const { at_least_one: some, just_one: one } = item.constraints ?? {};
  const present = (names: readonly string[]) => names.filter((name) => value[name] !== undefined).length;
  if (some !== undefined && present(some) === 0) problems.push(`${path}: none of ${some.join()}`);
  if (one !== undefined && present(one) !== 1) problems.push(`${path}: not just one of ${one.join()}`);
  return problems;
}

function attributeProblems(
  slice: Slice,
  attribute: Attribute,
  value: unknown,
  path: string,
  profiles: readonly string[],
): string[] {
  if (attribute.array === true) {
    if (!Array.isArray(value)) return [`${path}: not an array`];
    const { array: _, ...single } = attribute;
    return value.flatMap((each, i) => attributeProblems(slice, single, each, `${path}[${i}]`, profiles));
  }
  if (slice.types[attribute.type] === undefined) {
    const item = slice.objects[attribute.type];
    if (item === undefined) return [`${path}: an object, ${attribute.type}, that is not in the slice`];
    if (typeof value !== "object" || value === null || Array.isArray(value)) return [`${path}: no object`];
    // The object without attributes of its own is anybody's.
    if (attribute.type === "object") return [];
    return itemProblems(slice, item, value as Value, `${path}.`, profiles);
  }
  if (!hasType(slice, attribute.type, value)) return [`${path}: not ${attribute.type}: ${JSON.stringify(value)}`];
  const isKnown = attribute.enum === undefined || String(value) in attribute.enum;
  return isKnown ? [] : [`${path}: ${String(value)} is none of its values`];
}

/** The caption beside a value is that value's, but where the caption is Other: then it is the source's own word. */
function siblingProblems(attribute: Attribute | undefined, value: unknown, owner: Value, path: string): string[] {
  const { sibling, enum: captions } = attribute ?? {};
  const said = sibling === undefined ? undefined : owner[sibling];
  if (said === undefined || captions === undefined || attribute?.array === true) return [];
  const caption = captions[String(value)];
  return caption === undefined || caption === "Other" || caption === said
    ? []
    : [`${path}${sibling!}: not “${caption}”`];
}

function hasType(slice: Slice, type: string, value: unknown): boolean {
  if (type === "ip_t") return typeof value === "string" && isIP(value) !== 0;
  if (type === "json_t") return value !== undefined;
  const { base = type, range } = slice.types[type]!;
  switch (base) {
    case "string_t":
      return typeof value === "string";
    case "boolean_t":
      return typeof value === "boolean";
    case "integer_t":
    case "long_t":
      return (
        Number.isSafeInteger(value) &&
        (range === undefined || ((value as number) >= range[0] && (value as number) <= range[1]))
      );
    default:
      return false;
  }
}
