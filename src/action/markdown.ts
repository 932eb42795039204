/**
 * Markdown that says only what we say: names, paths and arguments come from whatever ran in the job, and the summary is a page
 * on GitHub that people believe.
 */

/** Text in a code span, on one line, whatever stands in it (GitHub Flavored Markdown 6.1). */
export function code(text: string): string {
  const line = printable(text);
  if (line === "") return "``";
  const runs = [...line.matchAll(/`+/g)].map(([run]) => run.length);
  let fence = 1;
  while (runs.includes(fence)) fence++;
  const ticks = "`".repeat(fence);
  const pad = line.startsWith("`") || line.endsWith("`") ? " " : "";
  // A table's cell ends at a bar, also within code.
  return `${ticks}${pad}${line.replaceAll("|", "\\|")}${pad}${ticks}`;
}

/** Text as text: no markup, no HTML, no mention of anybody, no link, one line. */
export function plain(text: string): string {
  return printable(text).replace(/[&<>@\\`*_{}[\]()#+!|~$.-]|:(?=\/\/)/g, (c) => spelled[c] ?? `\\${c}`);
}

/**
 * What a backslash does not keep from meaning something. GitHub looks for mentions and addresses in the finished page's texts, and
 * an element of its own parts them.
 */
const spelled: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "@": "<span>@</span>",
  ":": "&#58;",
};

/** At most so many UTF-16 units, with a sign where more were. For what stands in a table's cell. */
export function cut(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

/** A block of text, fenced so that nothing in it ends the block. */
export function block(content: string, language = ""): string {
  const text = content.split("\n").map(printable).join("\n");
  const runs = [...text.matchAll(/`+/g)].map(([run]) => run.length);
  const fence = "`".repeat(Math.max(3, 1 + Math.max(0, ...runs)));
  return `${fence}${language}\n${text}\n${fence}`;
}

/** A table; no rows, no table. Cells are Markdown already. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Folded away under a title, which is Markdown on one line. */
export function fold(title: string, body: string): string {
  return `<details><summary>${title}</summary>\n\n${body}\n\n</details>`;
}

/** Control characters and those that turn the direction of text are shown by their numbers. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);
}
