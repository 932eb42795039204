/**
 * A draft as the text of a policy, for a person to read before it is in force: what was not carried comes first, then what
 * was translated, then the policy, each rule with the place it comes from. The same input gives the same bytes.
 */
import { yamlText } from "../policy/wording.ts";
import type { Draft, DraftRule, PortSet } from "./draft.ts";
import { isLoss, noteText, oneLine } from "./note.ts";
import type { Note } from "./note.ts";

const width = 118;

/** The policy's text. `file` is the file that was read, `product` whose it is. */
export function writePolicy(draft: Draft, notes: readonly Note[], file: string, product: string): string {
  const intro = `From ${oneLine(file)}, ${product}, by \`sallyport policy import\`. Read it before it is in force.`;
  const head = headLines(intro, notes, file, draft.about);
  return `${[...head, "version: 1", ...sources(draft), ...destinations(draft), ...rules(draft, file), ...theDefault(draft)].join("\n")}\n`;
}

/** The comment that a translation opens with: where it is from, what was not carried, how it is to be read. */
export function headLines(intro: string, notes: readonly Note[], file: string, about: readonly string[]): string[] {
  const lost = notes.filter(isLoss).map((note) => noteText(file, note).replace("not carried: ", ""));
  const same = notes.filter((note) => !isLoss(note)).map((note) => noteText(file, note));
  return [
    ...comment(intro),
    ...section("Not carried:", lost),
    ...section("Translated:", same),
    ...section("About this:", about),
  ];
}

function section(title: string, entries: readonly string[]): string[] {
  return entries.length === 0
    ? []
    : ["#", `# ${title}`, ...entries.flatMap((entry) => comment(entry, "#   ", "#     "))];
}

/** A sentence as comment lines of at most {@link width} characters; a longer word stands alone. */
export function comment(text: string, first = "# ", rest = "#   "): string[] {
  const lines: string[] = [];
  let line = first;
  for (const word of oneLine(text).split(" ")) {
    const isStart = line === first || line === rest;
    if (!isStart && line.length + 1 + word.length > width) {
      lines.push(line);
      line = rest + word;
    } else line += isStart ? word : ` ${word}`;
  }
  return [...lines, line];
}

function sources({ sources }: Draft): string[] {
  if (sources.size === 0) return [];
  const lines = [...sources].map(([name, subnets]) => `  ${key(name)}: { subnets: ${flow(subnets)} }`);
  return ["sources:", ...lines];
}

function destinations({ destinations }: Draft): string[] {
  if (destinations.size === 0) return [];
  return ["destinations:", ...[...destinations].map(([name, { preset }]) => `  ${key(name)}: { preset: ${preset} }`)];
}

function rules({ rules }: Draft, file: string): string[] {
  return rules.length === 0 ? [] : ["rules:", ...rules.flatMap((rule) => ruleLines(rule, file))];
}

function ruleLines(rule: DraftRule, file: string): string[] {
  const { name, spot, from, to, ports, protocol, action, mode, reason, owner } = rule;
  return [
    ...(spot === null ? [] : [`  # ${oneLine(file)}:${spot.line}`]),
    `  - name: ${yamlText(name)}`,
    ...(from === null ? [] : [`    from: ${flow(from)}`]),
    ...(to.length === 1 ? [`    to: ${flow(to)}`] : ["    to:", ...to.map((each) => `      - ${yamlText(each)}`)]),
    ...(ports === undefined ? [] : [`    ports: ${portList(ports)}`]),
    ...(protocol === undefined ? [] : [`    protocol: ${protocol}`]),
    ...(action === undefined ? [] : [`    action: ${action}`]),
    ...(mode === undefined ? [] : [`    mode: ${mode}`]),
    ...(reason === undefined ? [] : [`    reason: ${yamlText(oneLine(reason).slice(0, 480))}`]),
    ...(owner === undefined ? [] : [`    owner: ${yamlText(oneLine(owner).slice(0, 190))}`]),
  ];
}

function portList(ports: PortSet): string {
  return ports === "any" ? '["*"]' : `[${ports.join(", ")}]`;
}

function theDefault({ mode, enforceFor }: Draft): string[] {
  return ["default:", `  mode: ${mode}`, ...(enforceFor.length === 0 ? [] : [`  enforce_for: ${flow(enforceFor)}`])];
}

function flow(texts: readonly string[]): string {
  return `[${texts.map(yamlText).join(", ")}]`;
}

/** A key is quoted more readily than a value: `a: b: c` would be two. */
function key(text: string): string {
  return /^[A-Za-z][\w.-]*$/.test(text) && yamlText(text) === text ? text : JSON.stringify(text);
}
