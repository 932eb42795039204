/** From what happened on the stands to results. Pure: the far end and the record have spoken. */
import type { Attack, Case, CaseResult, Evidence, Family, Front, Mode, Result } from "./case.ts";
import { caseName } from "./case.ts";
import { eventEvidence, insteadText, type Happening } from "./execute.ts";

type Place = { front: Front; mode: Mode; family: Family };

/** One case in one place: `here`, and the same with nobody in the way (`open`). */
export function score(each: Case, place: Place, here: Happening, open: Happening): CaseResult {
  const { front, mode, family } = place;
  const { row, variant } = each;
  const [result, note] =
    each.kind === "attack"
      ? attackResult(each, place, here, open)
      : workResult(here, open, each.allowance !== undefined);
  const evidence: Evidence = { ms: here.ms };
  if (each.kind === "attack") {
    evidence.marker = here.marker;
    evidence.arrived = here.arrived;
    evidence.control = each.unreachable === undefined ? controlText(open) : `not-applicable: ${each.unreachable}`;
  }
  if (here.event !== undefined) evidence.event = eventEvidence(here.event);
  else if (here.expected !== undefined) evidence.expected = here.expected;
  if (note !== "") evidence.note = note;
  return { id: `${caseName(each)}/${front}/${mode}/v${family}`, row, variant, front, mode, family, result, evidence };
}

function controlText(open: Happening): string {
  return open.arrived.length > 0 ? `arrived: ${open.arrived[0]}` : `did not arrive: ${open.failure ?? "no trace"}`;
}

function attackResult(each: Attack, place: Place, here: Happening, open: Happening): [Result, string] {
  const { front, mode, family } = place;
  const arrives = each.unreachable === undefined;
  const passes = arrives && !(front === "run" && each.untranslated?.includes(family) === true);
  // A leak is one whatever else there is to say.
  if (mode === "enforce" && here.arrived.length > 0) return ["leak", here.arrived.join("\n")];
  if (arrives && open.arrived.length === 0) {
    return ["inconclusive", `with nobody in the way it does not arrive: ${open.failure ?? "no trace at the far end"}`];
  }
  if (here.failure !== undefined) return ["inconclusive", here.failure];
  if (mode === "monitor" && passes && here.arrived.length === 0) return ["broken", "it did not arrive"];
  if (here.event !== undefined) return [mode === "enforce" ? "held" : "works", ""];
  return here.instead.length > 0 ? ["wrong-reason", insteadText(here.instead)] : ["no-event", ""];
}

function workResult(here: Happening, open: Happening, needsEvent: boolean): [Result, string] {
  if (open.failure !== undefined) return ["inconclusive", `with nobody in the way: ${open.failure}`];
  const meanwhile = here.instead.length === 0 ? "" : `\nrecorded meanwhile:\n${insteadText(here.instead)}`;
  if (here.failure !== undefined) return ["broken", `${here.failure}${meanwhile}`];
  if (here.outcome !== open.outcome) {
    return ["broken", `another result than with nobody in the way:\n${here.outcome}\n${open.outcome}${meanwhile}`];
  }
  if (!needsEvent || here.event !== undefined) return ["works", ""];
  return here.instead.length > 0 ? ["wrong-reason", insteadText(here.instead)] : ["no-event", ""];
}

/** Results that a run may end with and succeed. */
export function isGood(result: Result): boolean {
  return result === "held" || result === "works";
}
