/**
 * `node scripts/ocsf-slice.ts CHECKOUT`: the part of OCSF that our events can use, from a checkout of
 * https://github.com/ocsf/ocsf-schema, as one JSON text on stdout, for `test/schemas/`. Facts only: names, types, requirements,
 * enumerations, constraints; no descriptions. `test/support/ocsf.ts` checks events by it.
 *
 * What the checkout's files leave out is filled in as the schema's own server does: an attribute is its entry of the dictionary
 * with what its class or object says over it; a class has what it extends and includes; what comes from a profile counts where
 * the event says that it uses the profile.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export interface Attribute {
  /** A type of {@link Slice.types}, or an object. */
  type: string;
  required?: true;
  array?: true;
  /** Captions by value. */
  enum?: Record<string, string>;
  /** The attribute that has this one's caption. */
  sibling?: string;
  /** Only where this profile is used. */
  profile?: string;
}

export interface Item {
  attributes: Record<string, Attribute>;
  constraints?: { at_least_one?: string[]; just_one?: string[] };
}

export interface Slice {
  version: string;
  source: string;
  licence: string;
  types: Record<string, { base?: string; range?: [number, number] }>;
  classes: Record<string, Item & { uid: number; category_uid: number; caption: string; category: string }>;
  /** An object that an attribute names and that is not here is none that we make. */
  objects: Record<string, Item>;
}

/** The classes, the profile and the objects that `src/export/formats/ocsf.ts` makes. */
const wanted = {
  classes: ["base_event", "network_activity", "dns_activity"],
  profiles: ["security_control"],
  objects: [
    ...["metadata", "product", "network_endpoint", "network_connection_info", "network_traffic", "tls"],
    ...["firewall_rule", "policy", "dns_query", "dns_answer", "object"],
  ],
};

type Raw = Record<string, unknown>;

/** Throws where the checkout lacks something that is wanted. */
export function sliceOf(checkout: string): Slice {
  const read = (path: string) => JSON.parse(readFileSync(join(checkout, path), "utf8")) as Raw;
  const version = read("version.json")["version"] as string;
  const dictionary = read("dictionary.json") as { attributes: Record<string, Raw>; types: { attributes: Raw } };
  const categories = read("categories.json")["attributes"] as Record<string, { uid: number; caption: string }>;
  const events = itemsIn(checkout, "events", read);
  const objects = itemsIn(checkout, "objects", read);

  /** An item with what it extends and includes, before the dictionary. */
  const whole = (items: ReadonlyMap<string, Raw>, name: string): Raw => {
    const item = items.get(name);
    if (item === undefined) throw new Error(`${checkout} has no ${name}`);
    const parent = typeof item["extends"] === "string" ? whole(items, item["extends"]) : {};
    const { $include = [], ...own } = (item["attributes"] ?? {}) as Raw;
    const included = ([$include].flat() as string[]).map((path) => {
      const file = read(path);
      const profile = file["meta"] === "profile" ? { profile: file["name"] } : {};
      return mapValues(file["attributes"] as Record<string, Raw>, (each) => ({ ...each, ...profile }));
    });
    const attributes = [...included, own].reduce<Raw>(merge, (parent["attributes"] ?? {}) as Raw);
    return { ...parent, ...item, attributes };
  };

  const compile = (item: Raw, ofProfiles: Raw = {}): Item => {
    const attributes: Record<string, Attribute> = {};
    const all = { ...ofProfiles, ...(item["attributes"] as Raw) } as Record<string, Raw>;
    for (const name of Object.keys(all).toSorted()) {
      const full = merge(dictionary.attributes[name] ?? {}, all[name]!);
      const profile = full["profile"] as string | null | undefined;
      if (typeof profile === "string" && !wanted.profiles.includes(profile)) continue;
      if (typeof full["type"] !== "string") throw new Error(`attribute ${name} has no type`);
      attributes[name] = attributeOf(full);
    }
    const constraints = item["constraints"] as Item["constraints"];
    return { attributes, ...(constraints === undefined ? {} : { constraints }) };
  };

  const profiles = wanted.profiles.map((name) => {
    const file = read(`profiles/${name}.json`);
    return mapValues(file["attributes"] as Record<string, Raw>, (each) => ({ ...each, profile: name }));
  });
  const ofProfiles = Object.assign({}, ...profiles) as Raw;
  return {
    version,
    source: `https://github.com/ocsf/ocsf-schema, ${version}`,
    licence: "Apache-2.0",
    types: mapValues(dictionary.types.attributes as Record<string, Raw>, ({ type, range }) => ({
      ...(typeof type === "string" ? { base: type } : {}),
      ...(Array.isArray(range) ? { range: range as [number, number] } : {}),
    })),
    classes: Object.fromEntries(
      wanted.classes.map((name) => {
        const item = whole(events, name);
        const category = categories[item["category"] as string] ?? { uid: 0, caption: "Uncategorized" };
        const uid = category.uid * 1000 + Number(item["uid"] ?? 0);
        const caption = item["caption"] as string;
        const { attributes, constraints } = compile(item, name === "base_event" ? {} : ofProfiles);
        const found = { uid, category_uid: category.uid, caption, category: category.caption, attributes };
        return [name, constraints === undefined ? found : { ...found, constraints }];
      }),
    ),
    objects: Object.fromEntries(wanted.objects.map((name) => [name, compile(whole(objects, name))])),
  };
}

function attributeOf(full: Raw): Attribute {
  const values = full["enum"] as Record<string, { caption: string }> | undefined;
  return {
    type: full["type"] as string,
    ...(full["requirement"] === "required" ? { required: true } : {}),
    ...(full["is_array"] === true ? { array: true } : {}),
    ...(values === undefined ? {} : { enum: mapValues(values, ({ caption }) => caption) }),
    ...(typeof full["sibling"] === "string" ? { sibling: full["sibling"] } : {}),
    ...(typeof full["profile"] === "string" ? { profile: full["profile"] } : {}),
  };
}

function itemsIn(checkout: string, folder: string, read: (path: string) => Raw): Map<string, Raw> {
  const files = readdirSync(join(checkout, folder), { recursive: true, encoding: "utf8" });
  const items = files.filter((file) => file.endsWith(".json")).map((file) => read(join(folder, file)));
  return new Map(items.map((item) => [item["name"] as string, item]));
}

/** The second over the first, members of members too: an enumeration is added to, not replaced. */
function merge(under: Raw, over: Raw): Raw {
  const isObject = (value: unknown): value is Raw =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  const merged = { ...under };
  for (const [name, value] of Object.entries(over)) {
    const below = merged[name];
    merged[name] = isObject(below) && isObject(value) ? merge(below, value) : value;
  }
  return merged;
}

function mapValues<T, U>(object: Record<string, T>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [checkout] = process.argv.slice(2);
  if (checkout === undefined) {
    console.error("usage: node scripts/ocsf-slice.ts CHECKOUT > test/schemas/ocsf-VERSION.json");
    process.exit(2);
  }
  console.log(JSON.stringify(sliceOf(checkout), null, 2));
}
