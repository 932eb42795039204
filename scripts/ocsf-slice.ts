/**
 * `node scripts/ocsf-slice.ts COMPILED.json` or `… CHECKOUT`: the part of OCSF that our events can use, as one JSON text on
 * stdout, for `test/schemas/`. Facts only: names, types, requirements, enumerations, constraints; no descriptions.
 * `test/support/ocsf.ts` checks events by it.
 *
 * Either from the schema as its own server compiles it (https://github.com/ocsf/ocsf-lib-py keeps it by release), or from a
 * checkout of https://github.com/ocsf/ocsf-schema. What the checkout's files leave out is filled in as the server does: an
 * attribute is its entry of the dictionary with what its class or object says over it; a class has what it extends and includes;
 * what comes from a profile counts where the event says that it uses the profile; a class's own numbers are enumerations.
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

/** Of the schema as the server compiles it. Throws where it lacks something that is wanted. */
export function sliceOfCompiled(schema: Raw): Slice {
  const version = schema["version"] as string;
  const [classes, objects, types] = ["classes", "objects", "types"].map((part) => schema[part] as Record<string, Raw>);
  const item = (items: Record<string, Raw>, name: string): Raw => {
    if (items[name] === undefined) throw new Error(`the schema has no ${name}`);
    return items[name];
  };
  // An object's name is the type of an attribute, or is beside the type `object_t`.
  const typed = (each: Raw): Raw => ({ ...each, type: each["object_type"] ?? each["type"] });
  const compile = (raw: Raw): Item => itemOf(mapValues(raw["attributes"] as Record<string, Raw>, typed), raw);
  return sliceWith({
    version,
    source: `https://github.com/ocsf/ocsf-lib-py, schema_cache/schema-${version}.json`,
    types: types!,
    classes: wanted.classes.map((name) => {
      const raw = item(classes!, name);
      const { category_uid: category } = raw["attributes"] as Record<string, { enum: Record<string, Raw> }>;
      const [[uid, { caption }]] = Object.entries(category!.enum) as [[string, { caption: string }]];
      return [name, classOf(raw, Number(raw["uid"]), { uid: Number(uid), caption }, compile(raw))];
    }),
    objects: wanted.objects.map((name) => [name, compile(item(objects!, name))]),
  });
}

/** Of a checkout. Throws where it lacks something that is wanted. */
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
    const all = { ...ofProfiles, ...(item["attributes"] as Raw) } as Record<string, Raw>;
    const full = Object.entries(all).map(
      ([name, own]) => [name, merge(dictionary.attributes[name] ?? {}, own)] as const,
    );
    return itemOf(Object.fromEntries(full), item);
  };

  const profiles = wanted.profiles.map((name) => {
    const file = read(`profiles/${name}.json`);
    return mapValues(file["attributes"] as Record<string, Raw>, (each) => ({ ...each, profile: name }));
  });
  const ofProfiles = Object.assign({}, ...profiles) as Raw;
  return sliceWith({
    version,
    source: `https://github.com/ocsf/ocsf-schema, ${version}`,
    types: dictionary.types.attributes as Record<string, Raw>,
    classes: wanted.classes.map((name) => {
      const item = whole(events, name);
      const category = categories[item["category"] as string] ?? { uid: 0, caption: "Uncategorized" };
      const uid = category.uid * 1000 + Number(item["uid"] ?? 0);
      return [name, withNumbers(classOf(item, uid, category, compile(item, ofProfiles)))];
    }),
    objects: wanted.objects.map((name) => [name, compile(whole(objects, name))]),
  });
}

type Class = Slice["classes"][string];

/** The slice of its parts, with the types that its attributes have. */
function sliceWith(parts: {
  version: string;
  source: string;
  types: Record<string, Raw>;
  classes: [string, Class][];
  objects: [string, Item][];
}): Slice {
  const { version, source, classes, objects } = parts;
  const attributes = [...classes, ...objects].flatMap(([, item]) => Object.values(item.attributes));
  const names = attributes.map(({ type }) => type).filter((type) => parts.types[type] !== undefined);
  const bases = names.map((name) => parts.types[name]!["type"]).filter((base) => typeof base === "string");
  const types = [...new Set([...names, ...bases])].toSorted().map((name) => {
    const { type, range } = parts.types[name] ?? {};
    const base = typeof type === "string" ? { base: type } : {};
    return [name, { ...base, ...(Array.isArray(range) ? { range: range as [number, number] } : {}) }] as const;
  });
  return {
    ...{ version, source, licence: "Apache-2.0", types: Object.fromEntries(types) },
    ...{ classes: Object.fromEntries(classes), objects: Object.fromEntries(objects) },
  };
}

/** The attributes by name, without those of profiles that are not wanted. */
function itemOf(all: Record<string, Raw>, { constraints }: Raw): Item {
  const attributes: Record<string, Attribute> = {};
  for (const [name, full] of Object.entries(all).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const { profile, type } = full;
    if (typeof profile === "string" && !wanted.profiles.includes(profile)) continue;
    if (typeof type !== "string") throw new Error(`attribute ${name} has no type`);
    attributes[name] = attributeOf(full);
  }
  return { attributes, ...(constraints ? { constraints } : {}) };
}

function classOf(raw: Raw, uid: number, category: { uid: number; caption: string }, item: Item): Class {
  return { uid, category_uid: category.uid, caption: raw["caption"] as string, category: category.caption, ...item };
}

/** The class's and the category's number and the types of event, as the server enumerates them. */
function withNumbers(found: Class): Class {
  const { uid, category_uid: categoryUid, caption, category, attributes } = found;
  const activities = Object.entries(attributes["activity_id"]?.enum ?? {});
  const types = activities.map(([id, name]) => [uid * 100 + Number(id), `${caption}: ${name}`]);
  const enums: [string, Record<string, string>][] = [
    ["class_uid", { [uid]: caption }],
    ["category_uid", { [categoryUid]: category }],
    ["type_uid", Object.fromEntries(types) as Record<string, string>],
  ];
  const numbers = enums.filter(([name]) => attributes[name] !== undefined);
  const added = numbers.map(([name, values]) => [name, { ...attributes[name], enum: values }]);
  return { ...found, attributes: { ...attributes, ...Object.fromEntries(added) } };
}

function attributeOf(full: Raw): Attribute {
  const values = full["enum"] as Record<string, { caption: string }> | null | undefined;
  return {
    type: full["type"] as string,
    ...(full["requirement"] === "required" ? { required: true } : {}),
    ...(full["is_array"] === true ? { array: true } : {}),
    ...(values === undefined || values === null ? {} : { enum: mapValues(values, ({ caption }) => caption) }),
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
  const [from] = process.argv.slice(2);
  if (from === undefined) {
    console.error("usage: node scripts/ocsf-slice.ts COMPILED.json|CHECKOUT > test/schemas/ocsf-VERSION.json");
    process.exit(2);
  }
  const isCompiled = from.endsWith(".json");
  const slice = isCompiled ? sliceOfCompiled(JSON.parse(readFileSync(from, "utf8")) as Raw) : sliceOf(from);
  console.log(JSON.stringify(slice, null, 2));
}
