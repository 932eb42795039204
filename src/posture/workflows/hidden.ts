/**
 * Egress controls that a job has without their being steps of its own: in a composite action of the repository, or beside other steps
 * (`parallel`). They come too late to count, and a second control beside one undoes it.
 */
import { withBeside } from "../../workflow/jobs.ts";
import type { Job } from "../../workflow/jobs.ts";
import type { Source } from "../../workflow/source.ts";
import { controlsIn, productOf } from "./control.ts";
import { insideOf } from "./local-actions.ts";
import type { LocalActions } from "./local-actions.ts";

/** The first of them, in words; null: there is none. `own`: whose step is ours. */
export function hiddenControl(source: Source, job: Job, actions: LocalActions, own: string): string | null {
  for (const step of withBeside(source, job.steps)) {
    const product = job.steps.includes(step) ? null : productOf(step, own);
    if (product !== null)
      return `${product.name} is among steps that run beside each other (parallel, line ${source.spot(step.node).line}), too late to see what comes before`;
  }
  for (const inside of insideOf(source, job, actions)) {
    const [control] = controlsIn(inside.source, withBeside(inside.source, inside.steps), own);
    if (control === undefined) continue;
    const place = `${inside.source.path}:${control.line}:${control.column}, used on line ${source.spot(inside.from).line}`;
    return `${control.product} is in a composite action (${place}), too late to see what comes before`;
  }
  return null;
}
