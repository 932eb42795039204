/** `docs/performance.md` of one whole run. */
import { readFileSync, writeFileSync } from "node:fs";
import type { Result } from "./result.ts";
import { amount, cells, groupsOf, markdown, targetCells } from "./table.ts";

const file = new URL("../../docs/performance.md", import.meta.url).pathname;
const begin = "<!-- figures: written by `npm run bench -- --write` -->";
const end = "<!-- end of figures -->";

/** Puts a run's figures between the marks of the document; the rest of it stays. Returns the path. */
export function writeDocument(result: Result): string {
  const text = readFileSync(file, "utf8");
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${file} has no place for figures`);
  writeFileSync(file, `${text.slice(0, from + begin.length)}\n\n${figures(result)}\n\n${text.slice(to)}`);
  return file;
}

/** A run as Markdown: the machine, the targets, a table for each group of cases. */
export function figures(result: Result): string {
  const { host } = result;
  const versions = Object.entries(host.versions).map(([name, version]) => `${name} ${version}`);
  const machine = `${host.processor}, ${host.cpus} processors, ${host.memory_gb} GB; Linux ${host.kernel}, Node ${host.node}`;
  const quiet = host.quiet ? "quiet" : `**not quiet** (${host.busy} processors busy with other work)`;
  const minutes = (result.took / 60).toFixed(1);
  const short =
    result.shortened.length === 0
      ? []
      : ["Shortened, so that the run ended in time:", result.shortened.map((each) => `- ${each}`).join("\n")];
  return [
    `Measured ${result.at.slice(0, 10)} in ${minutes} minutes on ${machine}; the host was ${quiet}. Contenders: ${versions.join(", ")}.`,
    ...short,
    "### Targets",
    markdown(targetCells(result.targets)),
    ...sections(result.cases),
  ].join("\n\n");
}

/** A heading for each kind of case, and its tables. */
function sections(rows: Result["cases"]): string[] {
  let kind = "";
  return [...groupsOf(rows)].flatMap(([group, of]) => {
    const first = group.split(".", 1)[0]!;
    const heading = first === kind ? [] : [`### ${headings[first] ?? first}`];
    kind = first;
    const title = titleOf(group);
    return [...heading, ...(title === null ? [] : [`**${title}**`]), markdown(cells(of))];
  });
}

const headings: Readonly<Record<string, string>> = {
  connections: "New TLS connections",
  denied: "Refusals",
  bulk: "Downloads",
  dns: "DNS",
  decisions: "Decisions",
  swap: "Policy swap at 10 000 rules, under load",
  jobs: "Jobs",
  memory: "Memory of live connections",
};

/** What a table is about, besides its heading; null where there is nothing to add. */
function titleOf(group: string): string | null {
  const [kind, ...words] = group.split(".") as [string, ...string[]];
  const [first, second] = words;
  if (first === undefined) return kind === "memory" ? "The larger number that each could hold" : null;
  const count = /^\d+$/.test(first) ? amount(Number(first)) : first;
  if (kind === "connections") return `${count} at a time, ${second?.replace("_", "-")} hello`;
  if (kind === "denied") return `${count} at a time`;
  if (kind === "bulk") return first === "1" ? "One stream" : `${count} streams`;
  if (kind === "dns") return { hit: "From the cache", miss: "Forwarded upstream", denied: "Denied" }[first] ?? first;
  if (kind === "decisions") return `${count} rules`;
  return kind === "memory" ? `${count} connections` : words.join(" ");
}
