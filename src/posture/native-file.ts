/** `.github/egress-firewall.yaml` as facts: mode, hosts with their places, and whether GitHub's defaults are on. Never throws. */
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import type { Node } from "yaml";
import type { Spot } from "../workflow/finding.ts";

export interface NativeFile {
  readonly mode: "enforce" | "log";
  readonly modeSpot: Spot;
  readonly allow: readonly (Spot & { readonly host: string })[];
  /** GitHub's own hosts are allowed besides. */
  readonly hasDefaults: boolean;
}

export interface NativeProblem extends Spot {
  readonly problem: string;
}

/** Characters. A list of hosts is a hundredth of it. */
const largest = 1024 * 1024;

export function parsePolicyFile(text: string): NativeFile | NativeProblem {
  const start = { line: 1, column: 1 };
  if (text.length > largest) return { problem: `it has ${text.length} characters`, ...start };
  const lines = new LineCounter();
  let root: unknown;
  try {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "silent" });
    const [error] = document.errors;
    if (error !== undefined) {
      const { line, col } = lines.linePos(error.pos[0]);
      return { problem: error.message.split("\n")[0]!, line: Math.max(1, line), column: Math.max(1, col) };
    }
    root = document.contents;
  } catch (error) {
    if (error instanceof RangeError) return { problem: "it is nested too deeply", ...start };
    throw error;
  }
  if (!isMap(root)) return { problem: "it is no map of keys", ...start };
  const spot = (node: unknown): Spot => {
    const { line, col } = lines.linePos((node as Node | null)?.range?.[0] ?? 0);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const modeNode = root.get("mode", true);
  const mode: unknown = isScalar(modeNode) ? modeNode.value : null;
  if (mode !== "enforce" && mode !== "log") {
    const said = mode === null ? "it has no mode" : `mode ${JSON.stringify(mode)} is none that GitHub has`;
    return { problem: said, ...spot(modeNode ?? root) };
  }
  const list = root.get("allow", true) as unknown;
  const items: unknown[] = isSeq(list) ? list.items : [];
  return {
    mode,
    modeSpot: spot(modeNode),
    allow: items.flatMap((item) =>
      isScalar(item) && typeof item.value === "string" ? [{ host: item.value, ...spot(item) }] : [],
    ),
    hasDefaults: root.get("no-default-urls") !== true,
  };
}
