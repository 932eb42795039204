/**
 * Enforcement for one source, as the least edit of a policy file: `default.enforce_for` grows by a name, and every other byte
 * (comments, order, quotes, blank lines) stays. The place is found in the parsed document; the result is parsed again and must
 * say exactly what was meant, or nothing is written. Pure.
 */
import { isDeepStrictEqual } from "node:util";
import { type Document, isSeq, parseDocument, type YAMLMap, type YAMLSeq } from "yaml";
import { SallyportError } from "../errors.ts";
import { isPolicyProblems, readPolicy } from "../policy/load.ts";
import { yamlText } from "../policy/wording.ts";

/** Already so: nothing to write. */
export const alreadyEnforced = Symbol("already enforced");

/**
 * The text with enforcement on for a declared source. Throws USAGE where the policy does not declare it, POLICY_INVALID
 * where the text does not load or has a form that cannot be edited without touching more than this.
 */
export function promoted(text: string, file: string, source: string): string | typeof alreadyEnforced {
  const policy = readPolicy(text, file);
  if (isPolicyProblems(policy)) {
    throw new SallyportError("POLICY_INVALID", `${file} does not load; sallyport policy check ${file} says why.`, {
      file,
    });
  }
  if (!policy.sources.some(({ name }) => name === source)) {
    const known = policy.sources.map(({ name }) => name).join(", ");
    throw new SallyportError(
      "USAGE",
      `${file} declares no source “${source}”. ${known === "" ? "It declares none" : `Declared: ${known}`}.`,
    );
  }
  if (policy.sources.some(({ name, process }) => name === source && process !== null)) {
    throw new SallyportError("USAGE", `“${source}” asks for a process, and the default is enforced by address.`);
  }
  const { mode, enforceFor } = policy.default;
  if (mode === "enforce" || enforceFor.some(({ name }) => name === source)) return alreadyEnforced;
  const document = parseDocument(text);
  const edited = edit(text, document, source);
  checkEdit(edited, document, file, source);
  return edited;
}

/** A newline as the file writes them. */
function newlineOf(text: string): string {
  return text.includes("\r\n") ? "\r\n" : "\n";
}

function edit(text: string, document: Document, source: string): string {
  const name = yamlText(source);
  const root = document.contents as YAMLMap;
  // The mode is monitor, which is never left out: so there is a default, with a key in it.
  const section = root.get("default", true) as unknown as YAMLMap;
  const list: unknown = section.get("enforce_for", true);
  if (isSeq(list)) return list.flow === true ? addToFlow(text, list, name) : addToBlock(text, list, name);
  const first = section.items[0]!;
  const key = (first.key as { range: [number, number, number] }).range;
  if (section.flow === true) return insert(text, key[0], `enforce_for: [${name}], `);
  return insert(text, key[0], `enforce_for: [${name}]${newlineOf(text)}${indentAt(text, key[0])}`);
}

/** `[a, b]`, and `[]`. */
function addToFlow(text: string, list: YAMLSeq, name: string): string {
  const last = list.items.at(-1) as { range: [number, number, number] } | undefined;
  if (last === undefined) return insert(text, (list.range as [number, number, number])[0] + 1, name);
  return insert(text, last.range[1], `, ${name}`);
}

/** A line of its own after the last item's line, its comment included. */
function addToBlock(text: string, list: YAMLSeq, name: string): string {
  const last = list.items.at(-1) as { range: [number, number, number] };
  const dash = text.lastIndexOf("-", last.range[0] - 1);
  const end = text.indexOf("\n", last.range[1]);
  const newline = newlineOf(text);
  const line = `${indentAt(text, dash)}- ${name}`;
  return end < 0 ? `${text}${newline}${line}${newline}` : insert(text, end + 1, `${line}${newline}`);
}

/** What stands before `offset` on its line, as blanks. */
function indentAt(text: string, offset: number): string {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  return text.slice(start, offset).replaceAll(/[^\t]/g, " ");
}

function insert(text: string, offset: number, added: string): string {
  return text.slice(0, offset) + added + text.slice(offset);
}

/** Says the edited text what the old one said, and this one thing more? */
function checkEdit(edited: string, before: Document, file: string, source: string): void {
  const wanted = before.toJS() as { default: { enforce_for?: string[] } };
  wanted.default = { ...wanted.default, enforce_for: [...(wanted.default.enforce_for ?? []), source] };
  const after = parseDocument(edited);
  const isMeant =
    after.errors.length === 0 && isDeepStrictEqual(after.toJS(), wanted) && !isPolicyProblems(readPolicy(edited, file));
  if (isMeant) return;
  const text = `${file} has a form that cannot be edited in place: add ${source} to default.enforce_for by hand.`;
  throw new SallyportError("POLICY_INVALID", text, { file });
}
