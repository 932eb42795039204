/**
 * What GitHub's own parser (@actions/workflow-parser) says is wrong with a workflow: a file that GitHub refuses runs nothing, and
 * what we read in it says nothing. Syntax that is newer than the parser is let through.
 */
import { FeatureFlags } from "@actions/expressions/features";
import { TemplateContext, TemplateValidationErrors } from "@actions/workflow-parser/templates/template-context";
import { JSONObjectReader } from "@actions/workflow-parser/templates/json-object-reader";
import { readTemplate } from "@actions/workflow-parser/templates/template-reader";
import { TemplateSchema } from "@actions/workflow-parser/templates/schema/index";
import { NoOperationTraceWriter } from "@actions/workflow-parser/templates/trace-writer";
import { WORKFLOW_ROOT } from "@actions/workflow-parser/workflows/workflow-constants";
import { isAlias, isMap, isPair, isSeq } from "yaml";
import type { Node } from "yaml";
import type { Source } from "../../workflow/source.ts";
import type { Spot } from "../../workflow/finding.ts";
import { isPlainStep } from "./plain-step.ts";
import { TreeReader } from "./tree-reader.ts";

export interface Refusal extends Spot {
  readonly message: string;
}

/** Reads a text as a workflow; gives what GitHub would refuse, the first ten. */
export type Validator = (source: Source) => Refusal[];

/** Keys of 2026 that the parser's schema lacks; every message that names one is passed over. */
const newer =
  /'(?:background|wait|wait-all|cancel|parallel|snapshot|cache-mode|artifact-metadata|models|code-quality|drives|copilot-requests)'/;
/** The parser writes every alias out: more nodes than this, and it is not asked. */
const mostNodes = 100_000;
/** What the parser has behind a flag is in use: `background`, `wait`, `wait-all`, `cancel`. */
const flags = new FeatureFlags({ all: true });

/**
 * `schema`: the text of the parser's `workflow-v1.0.min.json`, which plain Node cannot import. `wholly`: plain steps are not passed
 * over, which takes longer and must come to the same.
 */
export function validatorOf(schema: string, wholly = false): Validator {
  const loaded = TemplateSchema.load(new JSONObjectReader(undefined, schema));
  return (source) => {
    if (source.hasAliases && writtenOut(source) > mostNodes)
      return [{ line: 1, column: 1, message: `its aliases come to more than ${mostNodes} values` }];
    const errors = new TemplateValidationErrors(50, 500);
    const context = new TemplateContext(errors, loaded, new NoOperationTraceWriter());
    context.state["featureFlags"] = flags;
    const file = context.getFileId(source.path);
    try {
      const lists = wholly ? new Set<Node>() : stepLists(source);
      const reader = new TreeReader(source, file, lists, (item) => isPlainStep(source, item));
      readTemplate(context, WORKFLOW_ROOT, reader, file);
    } catch (error) {
      // Its own limits on depth and size are errors that it throws; what it is to us is the same.
      const message = error instanceof Error ? error.message : String(error);
      return [{ line: 1, column: 1, message: message.slice(0, 300) }];
    }
    const refusals = errors.getErrors().flatMap(({ rawMessage, range }) => {
      const { line, column } = range?.start ?? { line: 1, column: 1 };
      return newer.test(rawMessage) || isBesideNewer(source, line, rawMessage)
        ? []
        : [{ line, column, message: rawMessage }];
    });
    return refusals.slice(0, 10);
  };
}

function stepLists(source: Source): Set<Node> {
  const jobs = source.value(source.root, "jobs");
  const lists = isMap(jobs) ? jobs.items.map(({ value }) => source.value(value, "steps")) : [];
  return new Set(lists.filter((list) => isSeq(list)));
}

/** A step of `wait:`, `cancel:` or `parallel:` has neither `run` nor `uses`, which the parser then misses. */
function isBesideNewer(source: Source, line: number, message: string): boolean {
  if (!/required|not enough info|uses|run/i.test(message)) return false;
  const text = source.text.split("\n", line + 1)[line - 1] ?? "";
  return /^\s*(?:-\s*)?(?:wait|wait-all|cancel|parallel|background)\s*:/.test(text) || /uses:\s*\$\//.test(text);
}

/** How many nodes a file comes to with every alias written out. Linear: what is shared is counted once. */
function writtenOut(source: Source): number {
  const sizes = new Map<unknown, number>();
  const sizeOf = (node: unknown): number => {
    const known = sizes.get(node);
    if (known !== undefined) return known;
    // An alias inside of its own anchor: nothing would end.
    if (isMap(node) || isSeq(node)) sizes.set(node, Infinity);
    const size = isAlias(node)
      ? sizeOf(source.resolve(node))
      : isPair(node)
        ? 1 + sizeOf(node.value)
        : isMap(node) || isSeq(node)
          ? (node.items as unknown[]).reduce((sum: number, item) => sum + sizeOf(item), 1)
          : 1;
    if (isMap(node) || isSeq(node)) sizes.set(node, size);
    return size;
  };
  return sizeOf(source.root);
}
