/**
 * What an expression of a plan's configuration refers to. Terraform lists each reference with all that it is part of behind it:
 * `aws_subnet.a["x"].id`, `aws_subnet.a["x"]`, `aws_subnet.a`; the longest says which one is meant. An index that is worked out
 * (`aws_subnet.a[each.key]`) is not in the plan: there is `aws_subnet.a` and, somewhere beside it, `each.key`.
 * Format: https://developer.hashicorp.com/terraform/internals/json-format#expression-representation
 */
import { listAt } from "./value.ts";

export type Reference =
  /** `index`: as written, `["x"]` or `[0]`; null: none, so that it may be any. */
  | { readonly kind: "resource"; readonly bare: string; readonly index: string | null }
  | { readonly kind: "output"; readonly module: string; readonly index: string | null; readonly name: string }
  | { readonly kind: "variable"; readonly name: string }
  /** `each.key` or `count.index`: of whatever the expression stands in. */
  | { readonly kind: "key" }
  /** `local.x`, `each.value`: what it is nobody sees here. */
  | { readonly kind: "unseen" };

const index = String.raw`\[(?:"(?:[^"\\]|\\.)*"|[^[\]"]*)\]`;
const word = String.raw`[^.[\]]+`;
const output = new RegExp(String.raw`^module\.(${word})(${index})?\.(${word})`);
const resource = new RegExp(String.raw`^((?:data\.)?${word}\.${word})(${index})?`);
const part = new RegExp(`(${word})(${index})?`, "g");

/** Each once for every time that the expression has it. */
export function referencesOf(expression: unknown): Reference[] {
  const found: Reference[] = [];
  let before = "";
  for (const each of listAt(expression, "references")) {
    if (typeof each !== "string") continue;
    const isPart = before.length > each.length && before.startsWith(each) && /^[.[]/.test(before.slice(each.length));
    before = each;
    if (!isPart) found.push(referenceOf(each));
  }
  return found;
}

function referenceOf(text: string): Reference {
  if (text === "each.key" || text === "count.index") return { kind: "key" };
  const variable = new RegExp(`^var\\.(${word})`).exec(text);
  if (variable !== null) return { kind: "variable", name: variable[1]! };
  const out = output.exec(text);
  if (out !== null) return { kind: "output", module: out[1]!, index: out[2] ?? null, name: out[3]! };
  if (/^(?:each|count|local|module|path|self|terraform|tofu)\./.test(text)) return { kind: "unseen" };
  const found = resource.exec(text);
  return found === null ? { kind: "unseen" } : { kind: "resource", bare: found[1]!, index: found[2] ?? null };
}

/** The indexes of an address's modules and last of the resource itself, "" where one has none. */
export function indexesOf(address: string): string[] {
  const found: string[] = [];
  const parts = [...address.matchAll(part)].map(([, name, at = ""]) => ({ name, at }));
  // `module.a`, `type.name` and `data.type.name`: the last word of each has the index.
  for (let i = 0; i < parts.length; i += 2) {
    if (parts[i]!.name === "data") i++;
    found.push(parts[i + 1]?.at ?? "");
  }
  return found;
}

/** An address without its indexes. */
export function bareOf(address: string): string {
  return address.replaceAll(new RegExp(index, "g"), "");
}
