/**
 * Which rules of two policies are the same rules in the same order? A flow that meets none of the others is decided alike
 * by both, so only the others need to be looked at.
 */
import { formatCidr } from "../address/cidr.ts";
import type { Rule } from "./model.ts";

/** Rules that are only in one of the lists, or elsewhere in the order. */
export interface Changed {
  readonly a: readonly Rule[];
  readonly b: readonly Rule[];
}

/** Longer differences are not aligned inside: all of both is then called changed, which is slower, not wrong. */
const maxCells = 4_000_000;

/** The rules outside of a longest common subsequence of both lists. */
export function changedRules(a: readonly Rule[], b: readonly Rule[]): Changed {
  const left = a.map(fingerprint);
  const right = b.map(fingerprint);
  let head = 0;
  while (head < left.length && head < right.length && left[head] === right[head]) head++;
  let tail = 0;
  const shorter = Math.min(left.length, right.length) - head;
  while (tail < shorter && left.at(-1 - tail) === right.at(-1 - tail)) tail++;
  const m = left.length - head - tail;
  const n = right.length - head - tail;
  const middle = { a: a.slice(head, head + m), b: b.slice(head, head + n) };
  if (m === 0 || n === 0 || m * n > maxCells) return middle;
  return withoutCommon(middle, left.slice(head, head + m), right.slice(head, head + n));
}

/** Classic dynamic programming: `length[i][j]` is the longest common subsequence of what follows i and j. */
function withoutCommon({ a, b }: Changed, left: readonly string[], right: readonly string[]): Changed {
  const width = right.length + 1;
  const length = new Uint32Array((left.length + 1) * width);
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      const below = length[(i + 1) * width + j]!;
      const beside = length[i * width + j + 1]!;
      const both = left[i] === right[j] ? length[(i + 1) * width + j + 1]! + 1 : 0;
      length[i * width + j] = Math.max(below, beside, both);
    }
  }
  const out = { a: [] as Rule[], b: [] as Rule[] };
  let i = 0;
  let j = 0;
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) {
      i++;
      j++;
    } else if (j === right.length || (i < left.length && length[(i + 1) * width + j]! >= length[i * width + j + 1]!)) {
      out.a.push(a[i++]!);
    } else {
      out.b.push(b[j++]!);
    }
  }
  return out;
}

/** Equal texts, same effect and name. Modes are those in force; dates, owners and reasons decide nothing now. */
function fingerprint({ name, tier, action, mode, ech, from, targets }: Rule): string {
  const sources = from?.map(({ subnets, process }) => [subnets?.map(formatCidr).toSorted() ?? null, process]) ?? null;
  const where = targets.map(({ endpoint, services }) => [endpoint.kind, endpoint.text, services]);
  return JSON.stringify([name, tier, action, mode, ech, sources, where]);
}
