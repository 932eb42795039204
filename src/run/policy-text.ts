/**
 * The policy of a run from what the command line says: a file, endpoints to allow, a mode, or nothing (monitor, so that the
 * first run shows what a policy would hold). Always one text that goes through the one loader.
 */
import { readFileSync } from "node:fs";
import { parseDocument, YAMLSeq } from "yaml";
import { loadText, type PolicyInForce } from "../enforcer/policy-source.ts";
import { SallyportError } from "../errors.ts";
import type { Mode } from "../policy/decision.ts";

export interface PolicyChoice {
  file: string | null;
  allow: readonly string[];
  mode: Mode | null;
}

/** Ports whose protocol goes without saying. */
const spoken = new Set(["443", "80", "22"]);

/** Throws POLICY_UNREADABLE, POLICY_INVALID. */
export function choosePolicy(choice: PolicyChoice): PolicyInForce {
  const { file, allow, mode } = choice;
  if (file !== null && allow.length === 0 && mode === null) return loadText(read(file), file);
  const document = parseDocument(file === null ? "version: 1\n" : read(file));
  // Positions in a broken file are those of the file itself.
  if (file !== null && document.errors.length > 0) return loadText(read(file), file);
  if (allow.length > 0) {
    if (!document.has("rules")) document.set("rules", new YAMLSeq());
    for (const endpoint of allow) document.addIn(["rules"], document.createNode(ruleFor(endpoint)));
  }
  if (mode !== null || !document.hasIn(["default", "mode"])) {
    if (!document.has("default")) document.set("default", document.createNode({}));
    document.setIn(["default", "mode"], mode ?? (allow.length > 0 ? "enforce" : "monitor"));
    // A mode for this run is meant for all of it.
    if (mode !== null) document.deleteIn(["default", "enforce_for"]);
  }
  return loadText(document.toString(), file === null ? "command line" : `${file} with the command line's changes`);
}

/** An opaque port on the command line is allowed as it is; in a file the protocol has to be said. */
function ruleFor(endpoint: string): Record<string, unknown> {
  const ports = /:([\d,*]+)$/.exec(endpoint)?.[1] ?? "443";
  const isOpaque = ports.split(",").some((port) => !spoken.has(port));
  return {
    name: `allow ${endpoint}`,
    to: [endpoint],
    ...(isOpaque ? { protocol: "tcp" } : {}),
    reason: "command line",
  };
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new SallyportError("POLICY_UNREADABLE", `${file}: ${(error as Error).message}`, { file }, error);
  }
}
