/** An explanation for people: the verdict first, then the stages, the rules that came close, and what to paste where. */
import { parseAddress } from "../address/ip.ts";
import { processText } from "./asked-process.ts";
import type { Explanation, RuleView, StageView } from "./explain.ts";
import { reasonTexts } from "./reason.ts";
import { sizeText } from "./size.ts";
import { columns, ruleText, verdictText, whereText } from "./wording.ts";

/** The text of `sallyport policy explain`; no line break at its end. */
export function explainText(e: Explanation): string {
  return [head(e), "", ...why(e), "", ...stages(e), ...near(e), ...patch(e)].join("\n");
}

function head({ source, destination, verdict }: Explanation): string {
  const { name, address, port, protocol, protocol_assumed, ech } = destination;
  const where = whereText(name, address === null ? null : parseAddress(address), port ?? 0);
  const spoken = (protocol_assumed ? `${protocol} (assumed)` : protocol) + (ech ? " with Encrypted Client Hello" : "");
  return `${verdictText(verdict).toUpperCase()}  ${sourceText(source)} → ${where} ${spoken}`;
}

function sourceText({ asked, address, group, process }: Explanation["source"]): string {
  const known = processText(process);
  const as = known === null ? "" : `, ${known}`;
  if (asked === "any") return `any source (${address} stands for an address in none)${as}`;
  if (asked !== address) return `${asked} (${address} stands for it)${as}`;
  return `${address} (${group ?? "in no declared source"})${as}`;
}

function why(e: Explanation): string[] {
  const { rule, reason, reason_text, stage, verdict } = e;
  const verb =
    verdict === "allow"
      ? "Allowed"
      : verdict === "deny"
        ? "Denied"
        : "Passes, because the default only monitors; enforce would deny it";
  const words = rule?.reason === null || rule === null ? "" : ` Its reason: ${rule.reason}`;
  if (rule !== null) {
    const isUnresolved = verdict === "allow" && e.stages[0]?.verdict === "deny";
    const but = isUnresolved ? ["The name is not resolved, but a client that has the address gets through."] : [];
    const by = `${verb} at ${stage} by ${ruleText(rule, rule.file)}, tier ${rule.tier}`;
    if (reason !== "rule") return [`${by}, reason ${reason}:`, `  ${reason_text}`];
    const want =
      e.for_want_of === null ? [] : [`It is for ${e.for_want_of}; what is not known counts as that for a deny rule.`];
    return [`${by}.${words}`, ...want, ...but, ...limits(e)];
  }
  return [`${verb} at ${stage} by the default, reason ${reason}:`, `  ${reason_text}`];
}

function limits({ with_ech, upload_limit }: Explanation): string[] {
  const out: string[] = [];
  if (with_ech !== null) {
    const verb = with_ech === "deny" ? "denied" : "denied by enforce";
    out.push(`A hello with Encrypted Client Hello is ${verb}, reason ech; the rule's ech: allow lets it through.`);
  }
  if (upload_limit !== null)
    out.push(`One source may send ${sizeText(upload_limit)} in an hour under the rule (upload_limit).`);
  return out;
}

function stages(e: Explanation): string[] {
  const rows = e.stages.map((stage) => [stage.stage, stage.reached ? stageVerdict(stage) : "-", stageText(stage, e)]);
  const monitored = e.stages.filter((stage) => stage.reached).flatMap((stage) => stage.monitored);
  const names = new Set(monitored.map((rule) => `${ruleText(rule, rule.file)} would ${rule.action}`));
  const notes = [...names].map((name) => `Noted on the way, in monitor mode: ${name}.`);
  return [...columns([["STAGE", "VERDICT", "WHY"], ...rows]), ...(notes.length > 0 ? ["", ...notes] : [])];
}

function stageVerdict({ verdict }: StageView): string {
  return verdict === "not_yet" ? "not yet" : verdictText(verdict);
}

function stageText(view: StageView, e: Explanation): string {
  if (!view.reached) {
    const isRefused = e.stage === "dns" && e.verdict === "deny";
    return isRefused ? "not reached: the name is never resolved" : "not reached: settled at connect";
  }
  if (view.verdict === "not_yet") {
    return view.hold
      ? "the SYN passes; the first bytes are held until they show a name"
      : "the SYN and the first bytes pass; the name only says which rule it was";
  }
  if (view.rule !== null) {
    const why = view.reason === "rule" ? "" : `, reason ${view.reason}`;
    return `${ruleText(view.rule, view.rule.file)}, tier ${view.rule.tier}${why}`;
  }
  const text = reasonTexts[view.reason!];
  return `the default, reason ${view.reason}${view.reason === e.reason ? "" : `: ${text}`}`;
}

function near({ near, more, verdict }: Explanation): string[] {
  if (near.length === 0) return [];
  const title = verdict === "allow" ? "Deny rules that would have matched" : "Rules that came close";
  const out = ["", title];
  for (const { rule, misses } of near) {
    out.push(`  ${ruleText(rule, rule.file)}`);
    for (const miss of misses) out.push(`    ${miss.why}. ${miss.fix}`);
  }
  if (more > 0) out.push(`  and ${more} more`);
  return out;
}

function patch({ patch, verdict, policy }: Explanation): string[] {
  if (verdict === "allow") return [];
  if (patch === null) return ["", "No single rule can allow this."];
  const { remove, empties, insert } = patch;
  const rest = empties === null ? "" : ` and the key ${empties}, which is then empty`;
  const out: string[] = [];
  if (remove.length > 0) out.push("", `To allow it, remove ${listed(remove, policy.file)}${rest}.`);
  if (insert !== null) {
    const place =
      insert.before !== null
        ? `before ${ruleText(insert.before, policy.file)}`
        : insert.is_first
          ? "which may be new"
          : "at its end";
    const start = remove.length > 0 ? "And add" : "To allow it, add";
    out.push("", `${start} to ${policy.file}, under ${insert.section}, ${place}:`, "");
    if (insert.is_first) out.push(`${insert.section}:`);
    out.push(`  ${insert.yaml}`);
  }
  return out;
}

function listed(rules: readonly RuleView[], file: string): string {
  return rules.map((rule) => ruleText(rule, file)).join(", ");
}
