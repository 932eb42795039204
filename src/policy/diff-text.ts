/** A difference for people: what opens, what closes, then what only changes its verdict's name or its rule. */
import { applicationsOf } from "./protocol.ts";
import type { Side } from "./comparison.ts";
import type { DiffGroup, DiffLine, DiffReport, Spoken } from "./diff-lines.ts";
import { sizeText } from "./size.ts";
import { columns, count, ruleText } from "./wording.ts";

const titles = {
  opens: "Becomes reachable",
  closes: "Stops being reachable",
  verdict: "Passes as before, with another verdict",
  rule: "Same verdict, by another rule",
} as const;
const signs = { opens: "+", closes: "-", verdict: "~", rule: "~" } as const;

/** How many lines of one kind of change are printed. */
const maxLines = 60;

/** The text of `sallyport policy diff`; no line break at its end. */
export function diffText(report: DiffReport): string {
  const { before, after, groups, defaults, limits, differs, cut, flows } = report;
  const blocks: string[] = [];
  for (const kind of ["opens", "closes", "verdict", "rule"] as const) {
    const same = groups.filter((group) => group.kind === kind);
    const byDefault = defaults.filter((each) => each.kind === kind);
    if (same.length + byDefault.length === 0) continue;
    blocks.push(
      [
        titles[kind],
        ...byDefault.flatMap(({ who }) => defaultLines(kind === "opens", who)),
        ...same.flatMap((group) => groupLines(group, report)),
      ].join("\n"),
    );
  }
  if (limits.length > 0) {
    const rows = limits.map(({ rule, before, after }) => [`~ “${rule}”`, `${limitText(before)} → ${limitText(after)}`]);
    blocks.push(["Upload limits, per source and hour", ...columns(rows, "  ")].join("\n"));
  }
  const isSame = before.hash === after.hash;
  if (!differs)
    blocks.push(
      isSame ? "The files are the same." : `No flow is decided differently by ${before.file} and ${after.file}.`,
    );
  if (cut)
    blocks.push(
      `The policies are too big to compare whole: ${count(flows, "flow")} were looked at. There may be more differences.`,
    );
  return blocks.join("\n\n");
}

function limitText(bytes: number | null): string {
  return bytes === null ? "none" : sizeText(bytes);
}

function defaultLines(opens: boolean, who: readonly string[]): string[] {
  const text = opens ? "is no longer refused, only recorded" : "is refused, no longer only recorded";
  return [`  the default: what no rule decides ${text}`, `    ${opens ? "+" : "-"} everything else${fromText(who)}`];
}

function groupLines(group: DiffGroup, { before, after }: DiffReport): string[] {
  const { kind, lines } = group;
  const rows = lines
    .slice(0, maxLines)
    .map((line) => [
      `${signs[kind]} ${whereOf(line)}`,
      line.spoken.map(spokenText).join(", "),
      `${fromText(line.who).trim()}${shapeText(line)}${exceptText(line)}`.trim(),
    ]);
  const more = lines.length > maxLines ? [`    and ${lines.length - maxLines} more (--json has all)`] : [];
  return [
    `  ${sideText(group.after, after.file)}; before, ${sideText(group.before, before.file)}`,
    ...columns(rows, "    "),
    ...more,
  ];
}

function sideText({ verdict, rule, monitored }: Side, file: string): string {
  const words = { allow: "allowed", deny: "denied", would_deny: "would be denied" } as const;
  const notes = monitored.length === 0 ? "" : `, noted by ${monitored.map((name) => `“${name}”`).join(", ")}`;
  const why = rule?.action === "allow" && verdict !== "allow" ? ", which lets no Encrypted Client Hello through" : "";
  return `${words[verdict]} by ${ruleText(rule, file)}${why}${notes}`;
}

function whereOf({ name, at }: DiffLine): string {
  if (name === null) return at ?? "any address";
  return at === null ? name : `${name} at ${at}`;
}

/** `443 tls`, `443,8443 tcp`, `* udp`, `* (not 443) tcp`, `443 tls/http`, `icmp`. */
function spokenText({ transport, applications, ports, except_ports }: Spoken): string {
  if (transport === "icmp") return "icmp";
  const isEvery = applications.length === applicationsOf[transport].length;
  const names = applications.map((application) => (application === "other" ? `opaque ${transport}` : application));
  const spoken = isEvery ? transport : names.join("/");
  const but = except_ports.length === 0 ? "" : ` (not ${except_ports.join(",")})`;
  const text = ports === "*" ? `*${but}` : ports.join(",");
  return `${text} ${spoken}`;
}

function fromText(who: readonly string[]): string {
  return who.length === 0 ? "" : ` from ${who.join(", ")}`;
}

function shapeText({ shape }: DiffLine): string {
  if (shape === "unnamed") return " where the client shows no name";
  if (shape === "ech") return " with Encrypted Client Hello";
  return shape === "unbound" ? " at addresses that were not handed out for it" : "";
}

function exceptText({ except }: DiffLine): string {
  if (except.length === 0) return "";
  return ` except ${except.slice(0, 3).join(", ")}${except.length > 3 ? ` and ${except.length - 3} more` : ""}`;
}
