/** `docs/performance.md` of one whole run. */
import { readFileSync, writeFileSync } from "node:fs";
import type { Result } from "./result.ts";
import { cells, groupsOf, markdown, targetCells } from "./table.ts";

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
  return [
    `Measured ${result.at.slice(0, 10)} on ${machine}; the host was ${quiet}. ${versions.join(", ")}.`,
    "### Targets",
    markdown(targetCells(result.targets)),
    ...[...groupsOf(result.cases)].flatMap(([group, rows]) => [`### ${group}`, markdown(cells(rows))]),
  ].join("\n\n");
}
