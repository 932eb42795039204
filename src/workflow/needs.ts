/** What a step uses of the steps before it: moved to the front it would find nothing there. */
import { isMap, isPair, isScalar, visit } from "yaml";
import type { Job } from "./jobs.ts";
import type { Source } from "./source.ts";

/** `steps.list`, `env.HOSTS`, `hashFiles`, as the step writes it; null: it uses nothing of what comes before it. */
export function needOf(source: Source, job: Job, index: number): string | null {
  const { map } = job.steps[index]!;
  if (map === null) return null;
  // Set by the file, and by no step.
  const written = [source.root, job.map, map].flatMap((each) => {
    const env = source.value(each, "env");
    return isMap(env) ? env.items.map(({ key }) => source.textOf(key)?.toLowerCase()) : [];
  });
  const isSet = (name: string) => {
    if (!written.includes(name)) return true;
    // A step may set anew what the file sets.
    return job.steps.slice(0, index).some((step) => {
      const run = source.textOf(source.value(step.map, "run"))?.toLowerCase() ?? "";
      return run.includes("github_env") && run.includes(name);
    });
  };
  for (const text of expressionsIn(source, map)) {
    // Texts in quotes name nothing, but an index.
    const [step] = /(?<![\w.-])steps\s*(?:\.\s*[\w*-]+|\[[^\]]*\])/i.exec(text) ?? [];
    if (step !== undefined) return step;
    if (/(?<![\w.-])hashFiles\s*\(/i.test(text)) return "hashFiles()";
    for (const [found, dotted, quoted] of text.matchAll(
      /(?<![\w.-])env\s*(?:\.\s*([\w*-]+)|\[\s*(?:'([^']*)')?[^\]]*\])/gi,
    ))
      if (isSet((dotted ?? quoted ?? "").toLowerCase())) return found;
  }
  return null;
}

/** What stands between `${{` and `}}` anywhere in a step, and its condition, which needs neither. */
function expressionsIn(source: Source, map: NonNullable<Job["map"]>): string[] {
  const found: string[] = [];
  visit(map, {
    Alias: (_, alias) => {
      found.push(...within(source.textOf(alias)));
    },
    Scalar: (_, scalar, path) => {
      const [above, before] = [path.at(-1), path.at(-2)];
      const isCondition = before === map && isPair(above) && isScalar(above.key) && above.key.value === "if";
      const text = source.textOf(scalar);
      found.push(...(isCondition && text !== null ? [text] : within(text)));
    },
  });
  return found;
}

function within(text: string | null): string[] {
  return (text ?? "")
    .split("${{")
    .slice(1)
    .map((part) => part.split("}}")[0]!);
}
