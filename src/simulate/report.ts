/** A simulation for people: the table on a terminal, and the report that an auditor keeps. Pure text. */
import { styleText } from "node:util";
import { isBreach, type Row, type Simulation } from "./outcome.ts";
import { classes, type Technique } from "./technique.ts";

type Style = Parameters<typeof styleText>[0];

/** The table, its sums and what they mean. `colour` only for a terminal. */
export function simulationText(simulation: Simulation, colour: boolean): string {
  const paint = (style: Style, text: string) => (colour ? styleText(style, text, { validateStream: false }) : text);
  const head = ["VERDICT", "TECHNIQUE", "ATT&CK", "SEEN IN", "EVIDENCE"];
  const cells = simulation.techniques.map((row) => [
    row.verdict,
    row.id,
    row.attack[0] ?? "",
    row.incidents[0] === undefined ? "-" : incident(row.incidents[0]),
    evidence(row),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((line) => line[i]!.length)));
  const line = (values: readonly string[]) =>
    values
      .map((value, i) => (i === values.length - 1 ? value : value.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  const body = cells.map((values, i) => paint(styleOf(simulation.techniques[i]!), line(values)));
  return [paint("bold", line(head)), ...body, "", ...sums(simulation)].join("\n");
}

function styleOf(row: Row): Style {
  if (isBreach(row)) return "red";
  return row.verdict === "blocked" ? "green" : "yellow";
}

function sums({ summary, techniques, not_covered: open }: Simulation): string[] {
  const breaches = techniques.filter(isBreach);
  const known = techniques.filter((row) => row.verdict === "reached" && row.expected === "reached");
  return [
    `${summary.techniques} techniques: ${summary.blocked} blocked, ${summary.reached} reached, ${summary.inconclusive} inconclusive.`,
    ...(breaches.length === 0
      ? []
      : [`Reached, and should have been blocked: ${breaches.map((row) => row.id).join(", ")}.`]),
    ...(known.length === 0 ? [] : [`Reached, as said in the catalogue: ${known.map((row) => row.id).join(", ")}.`]),
    ...(summary.inconclusive === 0 ? [] : ["An inconclusive technique shows nothing; it is never counted as blocked."]),
    `Not covered here: ${open.map((each) => each.name).join("; ")}.`,
  ];
}

function incident({ name, year }: { name: string; year: number }): string {
  return `${name.replace(/ \(.*\)$/, "")} ${year}`;
}

/** The event of our record where there is one, and what the sink says. */
function evidence({ denial, why, verdict }: Row): string {
  if (denial === null || verdict === "inconclusive") return why;
  const rule = denial.rule ?? "default";
  return `${denial.verdict === "would_deny" ? "would deny" : denial.verdict} (${rule}: ${denial.reason}); ${why}`;
}

/** What `--report` writes. */
export function simulationMarkdown(simulation: Simulation): string {
  const { policy, summary, machine, techniques } = simulation;
  const facts: [string, string][] = [
    ["Date", `${simulation.started} to ${simulation.ended}`],
    ["Sallyport", simulation.version],
    ["Machine", `Linux ${machine.kernel}, ${machine.architecture}, Node ${machine.node}`],
    ["Firewall", policy === null ? "whatever stands between this machine and the sink" : "`sallyport run`"],
    ...(policy === null
      ? []
      : ([["Policy", `\`${policy.file}\`, default ${policy.mode}, SHA-256 \`${policy.hash}\``]] as [string, string][])),
    [
      "Sink",
      simulation.sink === null
        ? "in a range of its own: two network namespaces without a way out"
        : `\`${simulation.sink}\``,
    ],
    [
      "Result",
      `${summary.techniques} techniques: ${summary.blocked} blocked, ${summary.reached} reached, ` +
        `${summary.inconclusive} inconclusive; ${summary.unexpected} not as expected`,
    ],
  ];
  return `# Attack simulation

| | |
|---|---|
${facts.map(([key, value]) => `| ${key} | ${cell(value)} |`).join("\n")}

A technique is **blocked** when the sink was up, would have seen it and did not, and **reached** when the sink saw the
canary. The verdict is the sink's; what the probe's own program saw decides nothing. Anything else is **inconclusive** and
shows nothing.

## Verdicts

| verdict | expected | technique | ATT&CK | seen in | evidence |
|---|---|---|---|---|---|
${techniques.map(markdownRow).join("\n")}

## Evidence

${techniques.map(markdownEvidence).join("\n\n")}

## Not covered

${simulation.not_covered.map((each) => `- **${each.name}** (${each.class}): ${each.why}`).join("\n")}

## Limits

- Each technique is one attempt of one form. That it was blocked does not show that no other form would pass.
- What an allowed destination takes from strangers is not the firewall's to refuse; techniques that are expected to reach
  say so above.
${
  policy === null
    ? "- The expected verdicts are those of Sallyport under an enforcing policy; another firewall may promise less."
    : "- The range has the kernel and the firewall of this machine and its policy, but not its network."
}
`;
}

function markdownRow(row: Row): string {
  const verdict = isBreach(row) ? `**${row.verdict}**` : row.verdict;
  const seen = row.incidents.map((each) => `${each.name}, ${each.year}`).join("; ");
  return `| ${[verdict, row.expected, `\`${row.id}\``, row.attack.join(", "), seen || "-", evidence(row)].map(cell).join(" | ")} |`;
}

function markdownEvidence(row: Row): string {
  const lines = [
    `- Class: ${row.class}, ${classes[row.class]}`,
    `- Verdict: ${row.verdict}. ${row.why}`,
    ...(row.limit === null ? [] : [`- Why it is expected to reach: ${row.limit}`]),
    ...(row.denial === null
      ? []
      : [
          `- Event \`${row.denial.id}\`: ${row.denial.verdict}, rule ${row.denial.rule ?? "default"}, reason ${row.denial.reason}`,
        ]),
    ...row.sightings.map((each) => `- Seen at ${each.where} (${each.channel}, ${each.form}) at ${each.at}`),
  ];
  return `### ${row.id}\n\n${row.name}\n\n${lines.join("\n")}`;
}

/** Nothing in a cell may end it. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll(/\s*\n\s*/g, " ");
}

/** The catalogue for people: what `--list` prints. */
export function listText(techniques: readonly Technique[]): string {
  const id = Math.max(...techniques.map((each) => each.id.length));
  const attack = Math.max(...techniques.map((each) => each.attack.join(",").length));
  return techniques
    .map(
      (each) =>
        `${each.id.padEnd(id)}  ${each.attack.join(",").padEnd(attack)}  ${each.expected.padEnd(7)}  ${each.name}`,
    )
    .join("\n");
}
