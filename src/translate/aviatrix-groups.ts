/**
 * Aviatrix's groups: who (smart groups as sources), where to (smart groups as destinations) and which names (web groups). Rules
 * refer to them by UUID, or by name in a configuration.
 */
import { isCidrDefect, parseCidr } from "../address/cidr.ts";
import { plainName } from "./draft.ts";
import { at, entriesOf, itemsOf, textOf } from "./field.ts";
import type { Field } from "./field.ts";
import { quoted } from "./note.ts";
import type { Spot } from "./note.ts";
import { referenceOf } from "./terraform.ts";
import type { Resource } from "./terraform.ts";

/** What a smart group stands for. */
export type SmartGroup =
  | { readonly kind: "anywhere" }
  | { readonly kind: "internet" }
  | {
      readonly kind: "known";
      readonly name: string;
      readonly cidrs: readonly string[];
      readonly hosts: readonly Item[];
    }
  | { readonly kind: "unknown"; readonly name: string; readonly why: string };

/** A text of a group with its place. */
export interface Item extends Spot {
  readonly text: string;
}

/** What a web group stands for; `urls` are filters with a path, `others` such as are unknown here. */
export interface WebGroup {
  readonly hosts: readonly Item[];
  readonly urls: readonly Item[];
  readonly others: readonly Item[];
}

/** UUIDs that every controller has. */
const builtIn: Readonly<Record<string, SmartGroup>> = {
  "def000ad-0000-0000-0000-000000000000": { kind: "anywhere" },
  "def000ad-0000-0000-0000-000000000001": { kind: "internet" },
};
const anyWeb = "def000ad-0000-0000-0000-000000000002";

/** The groups of a file, found by the texts that rules have for them. */
export class Groups {
  readonly #smart = new Map<string, SmartGroup>();
  readonly #web = new Map<string, WebGroup>();

  constructor(resources: readonly Resource[]) {
    for (const { type, address, values } of resources) {
      const keys = [address, textOf(at(values, "uuid")) ?? textOf(at(values, "id"))].filter((key) => key !== null);
      for (const key of keys) {
        if (type === "aviatrix_smart_group") this.#smart.set(key, readSmart(values));
        if (type === "aviatrix_web_group") this.#web.set(key, readWeb(values));
      }
    }
  }

  /** A group that the file does not hold is unknown, by the text that stands for it. */
  smart(text: string): SmartGroup {
    if (Object.hasOwn(builtIn, text)) return builtIn[text]!;
    const found = this.#smart.get(text) ?? this.#smart.get(referenceOf(text) ?? "");
    return found ?? { kind: "unknown", name: plainName(text), why: "is not in this file" };
  }

  /** Null where the file does not hold it. */
  web(text: string, spot: Spot): WebGroup | null {
    if (text === anyWeb) return { hosts: [{ line: spot.line, column: spot.column, text: "*" }], urls: [], others: [] };
    return this.#web.get(text) ?? this.#web.get(referenceOf(text) ?? "") ?? null;
  }
}

function expressions(values: Field): readonly Field[] {
  return itemsOf(at(values, "selector")).flatMap((selector) => itemsOf(at(selector, "match_expressions")));
}

/** State and plan write keys that are not set as null or empty. */
function setKeys(field: Field): string[] {
  return entriesOf(field).flatMap(([key, { value }]) => {
    const isEmpty =
      value.kind === "null" ||
      (value.kind === "scalar" && value.text === "") ||
      (value.kind === "list" && value.items.length === 0) ||
      (value.kind === "map" && value.entries.size === 0);
    return isEmpty ? [] : [key];
  });
}

function readSmart(values: Field): SmartGroup {
  const name = plainName(textOf(at(values, "name")) ?? "");
  const cidrs: string[] = [];
  const hosts: Item[] = [];
  for (const expression of expressions(values)) {
    const keys = setKeys(expression);
    const [only] = keys;
    const text = keys.length === 1 ? textOf(at(expression, only!)) : null;
    if (only === "cidr" && text !== null) {
      const cidr = parseCidr(text);
      if (isCidrDefect(cidr)) return { kind: "unknown", name, why: `has ${quoted(text)}: ${cidr.message}` };
      cidrs.push(text);
    } else if (only === "fqdn" && text !== null) {
      const { line, column } = at(expression, "fqdn")!;
      hosts.push({ line, column, text });
    } else return { kind: "unknown", name, why: `selects by ${keys.join(" and ") || "nothing"}` };
  }
  if (cidrs.length + hosts.length === 0) return { kind: "unknown", name, why: "selects nothing" };
  return { kind: "known", name, cidrs, hosts };
}

function readWeb(values: Field): WebGroup {
  const pick = (key: string): Item[] =>
    expressions(values).flatMap((expression) => {
      const field = at(expression, key);
      const text = textOf(field) ?? (field === null ? "" : "(no text)");
      return field === null || text === "" ? [] : [{ line: field.line, column: field.column, text }];
    });
  const urls = pick("urlfilter");
  const isHost = ({ text }: Item) => /^(?:https?:\/\/)?[^/]+(?:\/\*?)?$/.test(text);
  const bare = urls
    .filter(isHost)
    .map((item) => ({ ...item, text: item.text.replace(/^https?:\/\//, "").replace(/\/\*?$/, "") }));
  const others = expressions(values).flatMap((expression) =>
    setKeys(expression)
      .filter((key) => key !== "snifilter" && key !== "urlfilter")
      .map((text) => ({ line: expression.line, column: expression.column, text })),
  );
  return { hosts: [...pick("snifilter"), ...bare], urls: urls.filter((item) => !isHost(item)), others };
}
