/**
 * The project's own source as data, for the tests that hold its shape: which files there are, what each imports, and
 * its code without comments and strings. A scanner for this code base (formatted, erasable TypeScript), not a parser.
 */
import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout, with a trailing slash. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Module {
  /** Path from the checkout, `/` between. */
  path: string;
  text: string;
  /** `text` with every comment and the content of every string, template and regular expression blanked out. */
  code: string;
  /** Every specifier imported or re-exported, types included, as written. */
  specifiers: string[];
  /** The specifiers that are files of this project, as paths from the checkout. */
  imports: string[];
  /** Those of `imports` that are still there when the program runs: `import type` is not. */
  loads: string[];
}

/** Every TypeScript file under the given folders, in order of path. */
export function modulesUnder(...folders: string[]): Module[] {
  return folders
    .flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: root }))
    .toSorted()
    .map((path) => readModule(path, readFileSync(join(root, path), "utf8")));
}

/** What a file says of itself; `path` is from the checkout. */
export function readModule(path: string, text: string): Module {
  const code = blank(text);
  const found = importsOf(text, code);
  const resolve = (specifiers: Iterable<string>) =>
    [...specifiers]
      .filter((specifier) => specifier.startsWith("."))
      .map((specifier) => normalize(join(dirname(path), specifier)));
  return {
    path,
    text,
    code,
    specifiers: [...found.keys()],
    imports: resolve(found.keys()),
    loads: resolve([...found].filter(([, typeOnly]) => !typeOnly).map(([specifier]) => specifier)),
  };
}

/**
 * `import … from "x"`, `export … from "x"`, `import "x"`, `import("x")`: found in the code, read from the text. The value
 * is true where every mention is `import type` or `export type`.
 */
function importsOf(text: string, code: string): Map<string, boolean> {
  const found = new Map<string, boolean>();
  const keyword =
    /(?:^|\n)\s*(?:import|export)\b[^;"'`()]*?\bfrom\s*(?=")|(?:^|\n)\s*import\s*(?=")|\bimport\(\s*(?=")/g;
  for (const match of code.matchAll(keyword)) {
    const start = match.index + match[0].length + 1;
    const specifier = text.slice(start, text.indexOf('"', start));
    const typeOnly = /^\s*(?:import|export)\s+type\b/.test(match[0]);
    found.set(specifier, typeOnly && (found.get(specifier) ?? true));
  }
  return found;
}

/** Spaces in place of comments and of what stands inside quotes, so that offsets stay the same. */
function blank(text: string): string {
  const out = text.split("");
  const wipe = (from: number, to: number) => {
    for (let i = from; i < to; i++) if (out[i] !== "\n") out[i] = " ";
  };
  // Each open `${` of a template: how many braces are open inside it.
  const templates: number[] = [];
  let previous = "";
  let i = 0;

  /** From inside a template to its closing backtick or its next `${`. */
  const template = (from: number): number => {
    let end = from;
    while (end < text.length && text[end] !== "`" && !(text[end] === "$" && text[end + 1] === "{")) {
      end += text[end] === "\\" ? 2 : 1;
    }
    wipe(from, Math.min(end, text.length));
    if (text[end] === "$") {
      templates.push(0);
      previous = "{";
      return end + 2;
    }
    previous = "`";
    return end + 1;
  };

  while (i < text.length) {
    const char = text[i]!;
    const pair = text.slice(i, i + 2);
    if (pair === "//" || (i === 0 && pair === "#!")) {
      const end = text.indexOf("\n", i);
      wipe(i, end < 0 ? text.length : end);
      i = end < 0 ? text.length : end;
    } else if (pair === "/*") {
      const end = text.indexOf("*/", i) + 2;
      wipe(i, end);
      i = end;
    } else if (char === '"' || char === "'") {
      let end = i + 1;
      while (end < text.length && text[end] !== char) end += text[end] === "\\" ? 2 : 1;
      wipe(i + 1, end);
      previous = char;
      i = end + 1;
    } else if (char === "`") {
      i = template(i + 1);
    } else if (char === "/" && /[(,=:[!&|?{};\n>]|^$/.test(previous)) {
      let end = i + 1;
      let inClass = false;
      while (end < text.length && (inClass || text[end] !== "/")) {
        if (text[end] === "[") inClass = true;
        if (text[end] === "]") inClass = false;
        end += text[end] === "\\" ? 2 : 1;
      }
      wipe(i + 1, end);
      previous = "/";
      i = end + 1;
    } else if (char === "}" && templates.at(-1) === 0) {
      templates.pop();
      i = template(i + 1);
    } else {
      if (templates.length > 0 && char === "{") templates[templates.length - 1]!++;
      if (templates.length > 0 && char === "}") templates[templates.length - 1]!--;
      if (!/\s/.test(char)) previous = char;
      // `return /x/` is a regular expression too, though a word precedes it.
      if (/\breturn$/.test(text.slice(Math.max(0, i - 6), i + 1))) previous = "(";
      i++;
    }
  }
  return out.join("");
}
