/**
 * The file of accepted findings: who took which upon himself, why, and until when. An entry that lapsed, or that nothing fits any
 * more, is said and excuses nothing.
 *
 *     version: 1
 *     accepted:
 *       - { id: RG-10-0123456789ab, owner: sec@example.com, reason: moves to Linux in May, expires: 2027-05-31 }
 */
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import type { Node } from "yaml";
import { SallyportError } from "../errors.ts";
import type { Finding } from "./finding.ts";
import type { Acceptance } from "./report/report.ts";

/** Characters. */
const largest = 4 * 1024 * 1024;
const keys = ["id", "owner", "reason", "expires"] as const;

export interface AcceptedEntry extends Acceptance {
  readonly id: string;
  /** 1-based. */
  readonly line: number;
}

/** Throws ACCEPTED_INVALID with the line of the first defect. */
export function parseAccepted(text: string, file: string): AcceptedEntry[] {
  const refuse = (line: number, message: string) =>
    new SallyportError("ACCEPTED_INVALID", `${file}:${line}: ${message}.`);
  if (text.length > largest) throw refuse(1, `it has ${text.length} characters`);
  const lines = new LineCounter();
  let root: unknown;
  try {
    const document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      logLevel: "silent",
      schema: "core",
    });
    const [error] = document.errors;
    if (error !== undefined) throw refuse(lines.linePos(error.pos[0]).line, error.message.split("\n")[0]!);
    root = document.contents;
  } catch (error) {
    if (error instanceof RangeError) throw refuse(1, "it is nested too deeply");
    throw error;
  }
  const lineOf = (node: unknown) => Math.max(1, lines.linePos((node as Node | null)?.range?.[0] ?? 0).line);
  if (!isMap(root) || root.get("version") !== 1) throw refuse(1, "write version: 1, and accepted: with a list");
  const list = root.get("accepted", true) as unknown;
  const odd = root.items.find(({ key }) => !isScalar(key) || !["version", "accepted"].includes(String(key.value)));
  if (odd !== undefined) throw refuse(lineOf(odd.key), "only version: and accepted: stand at the top");
  if (!isSeq(list)) throw refuse(lineOf(list), "accepted: is a list");
  const seen = new Set<string>();
  return list.items.map((item) => {
    const line = lineOf(item);
    if (!isMap(item)) throw refuse(line, `each entry has ${keys.join(", ")}`);
    const unknown = item.items.find(({ key }) => !isScalar(key) || !keys.includes(String(key.value) as "id"));
    if (unknown !== undefined) throw refuse(lineOf(unknown.key), `an entry has ${keys.join(", ")}, and nothing else`);
    const [id, owner, reason, expires] = keys.map((key) => {
      const value: unknown = item.get(key);
      if (typeof value !== "string" || value.trim() === "") throw refuse(line, `the entry has no ${key}`);
      return value.trim();
    }) as [string, string, string, string];
    if (!/^RG-\d\d-[0-9a-f]{12}$/.test(id)) throw refuse(line, `${JSON.stringify(id)} is no finding's id`);
    if (!isDate(expires)) throw refuse(line, "expires: is a date such as 2027-01-31");
    if (seen.has(id)) throw refuse(line, `${id} is there already`);
    seen.add(id);
    return { id, owner, reason, expires, line };
  });
}

function isDate(text: string): boolean {
  const time = Date.parse(`${text}T00:00:00Z`);
  return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}

/** Those that count now, by id; and what is to be said of the others. `expires` is the last day that counts, in UTC. */
export function acceptedNow(
  entries: readonly AcceptedEntry[],
  findings: readonly Finding[],
  file: string,
  now: Date,
): { accepted: Map<string, Acceptance>; notes: string[] } {
  const open = new Set(findings.filter(({ status }) => status !== "pass").map(({ id }) => id));
  const accepted = new Map<string, Acceptance>();
  const notes: string[] = [];
  for (const { id, owner, reason, expires, line } of entries) {
    const end = Date.parse(`${expires}T00:00:00Z`) + 86_400_000;
    if (end <= now.getTime()) notes.push(`${file}:${line}: ${id} lapsed on ${expires} (${owner}): it counts again`);
    else if (!open.has(id))
      notes.push(`${file}:${line}: ${id} fits nothing that fails or is unknown any more: take it out`);
    else accepted.set(id, { owner, reason, expires });
  }
  return { accepted, notes };
}
