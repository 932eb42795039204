/**
 * Steps that GitHub's schema has nothing to say against, told at a glance: most steps of most workflows are so, and taking each of
 * them through the parser costs more than everything else that is checked. Says no where it is not sure; a test holds it against
 * the parser.
 */
import { isMap, isScalar } from "yaml";
import type { Node } from "yaml";
import type { Source } from "../../workflow/source.ts";

/** What may stand beside `run` and beside `uses`: texts, or maps of texts. */
const beside: Readonly<Record<"run" | "uses", ReadonlySet<string>>> = {
  run: new Set(["name", "id", "run", "shell", "working-directory", "env"]),
  uses: new Set(["name", "id", "uses", "with", "env"]),
};
/** Expressions that are one name of a context which every step has. */
const names =
  /\$\{\{ ?(?:github|runner|matrix|env|steps|needs|inputs|vars|secrets|job|strategy)(?:\.[A-Za-z_][\w-]*)+ ?\}\}/g;

/** `node`: an item of a job's `steps`. */
export function isPlainStep(source: Source, node: Node | null): boolean {
  if (!isMap(node)) return false;
  const kind = source.entry(node, "run") === null ? "uses" : "run";
  let hasKind = false;
  for (const { key, value } of node.items) {
    if (!isScalar(key) || typeof key.value !== "string" || !beside[kind].has(key.value)) return false;
    hasKind ||= key.value === kind;
    const isMapOfTexts = key.value === "with" || key.value === "env";
    if (isMapOfTexts ? !areTexts(value) : !isText(value)) return false;
    if ((key.value === "uses" || key.value === "shell" || key.value === "id") && textIn(value).includes("${{"))
      return false;
  }
  return hasKind;
}

function textIn(node: unknown): string {
  return isScalar(node) && typeof node.value === "string" ? node.value : "";
}

/** A text that is not empty, with no expression but such as are read by their look. */
function isText(node: unknown): boolean {
  const text = textIn(node);
  return text !== "" && (!text.includes("${{") || !text.replaceAll(names, "").includes("${{"));
}

function areTexts(node: unknown): boolean {
  if (!isMap(node)) return false;
  const seen = new Set<string>();
  for (const { key, value } of node.items) {
    if (!isScalar(key) || typeof key.value !== "string" || key.value === "" || key.value.includes("${{")) return false;
    // The parser tells keys apart in upper case.
    const name = key.value.toUpperCase();
    if (seen.has(name) || !isText(value)) return false;
    seen.add(name);
  }
  return true;
}
