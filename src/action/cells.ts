/** Who and where, as a cell of a table says it: short, and nothing in it that was not meant (`markdown.ts`). */
import type { EventProcess } from "../audit/event.ts";
import { encodedBits } from "../detect/encoded.ts";
import type { JobRow } from "../machine/job-rows.ts";
import { code, cut, plain } from "./markdown.ts";

/** Longer ones make a table that is scrolled sideways; the report has them whole. */
const longestCommand = 100;
const longestWord = 60;
/** From so many characters on a label that looks like data may be somebody's secret. */
const shortestData = 20;

const mostCandidates = 4;
const outside = "outside of the steps";

/** `2. build`, `1. actions/setup-node`. */
export function stepOf(process: EventProcess | null | undefined): string {
  return plain(stepName(process));
}

/** The same as text. An action's step has a name of the runner's making where nobody gave it one. */
export function stepName(process: EventProcess | null | undefined): string {
  if (process === null || process === undefined) return "unknown";
  if (process.runner) return "the runner";
  const { step, action, step_number, step_by, step_candidates = [] } = process;
  if (step_candidates.length > 1) return `one of ${candidates(step_candidates)}`;
  if (step_number === null) return outside;
  const name = action === null ? (step ?? "") : (step ?? "").startsWith("__") ? action : `${step} (${action})`;
  return `${step_number}. ${cut(name, longestWord)}${step_by === "engine_client" ? " (inferred)" : ""}`;
}

/** Steps of which several had asked a container engine. */
export function candidates(steps: readonly (string | null)[]): string {
  const names = steps.slice(0, mostCandidates).map((each) => cut(each ?? outside, longestWord));
  return `${names.join(" or ")}${steps.length > mostCandidates ? " or others" : ""}`;
}

/** The program that ran, which its arguments need not name, with the arguments. */
export function processOf(process: EventProcess | null | undefined): string {
  if (process === null || process === undefined) return "";
  const { exe, args, container } = process;
  const [called = "", ...rest] = args;
  const program = baseOf(exe ?? "");
  const isSame = program === "" || called === "" || program.startsWith(baseOf(called));
  const words = [program === "" ? baseOf(called) : program, ...(isSame ? rest : args)].filter((each) => each !== "");
  const line = words.length === 0 ? "unknown" : words.map(word).join(" ");
  const where = container === null ? "" : ` in ${code(cut(container.image ?? container.id.slice(0, 12), longestWord))}`;
  return `${code(cut(line, longestCommand))}${where}`;
}

function baseOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** As a shell would need it, so that one can see where an argument ends. */
function word(text: string): string {
  return /^[\w@%+=:,./*?-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** `pypi.org:443` tls. */
export function destinationOf({ name, ip, port, protocol }: JobRow): string {
  if (name === null && ip === null) return "all others";
  const host = name === null ? ip! : shownName(name);
  const shown = port === null ? host : host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  return `${code(shown)} ${plain(protocol)}`;
}

/**
 * A name without the labels that look like data. Summary and annotations are as public as the repository: a secret that was to leave
 * in a name, and was refused, must not be published by whoever tells of it.
 */
export function shownName(name: string): string {
  return name
    .split(".")
    .map((label) =>
      label.length >= shortestData && encodedBits(label.toLowerCase()) > 0
        ? `${label.slice(0, 4)}…(${label.length})`
        : label,
    )
    .join(".");
}
