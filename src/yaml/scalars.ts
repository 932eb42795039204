/** Scalars on one line, as the library's core schema of YAML 1.2 resolves them. Called by `plain.ts` and `flow.ts`. */
import { Scalar } from "yaml";
import { notPlain } from "./cursor.ts";

const nothing = /^(?:~|[Nn]ull|NULL)$/;
const truth = /^(?:[Tt]rue|TRUE|[Ff]alse|FALSE)$/;
const whole = /^[-+]?[0-9]+$/;
const fraction = /^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)$/;
/** Numbers that the library remembers the spelling of. */
const spelled =
  /^(?:0o[0-7]+|0x[0-9a-fA-F]+|[-+]?\.(?:inf|Inf|INF)|\.nan|\.NaN|\.NAN|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+)$/;
/** What can only be text: by far the most. */
const text = /^[A-Za-z_$/][^]{5}|^[A-Za-z_$/][^]*[-./_: $@]/;

/** An unquoted scalar that stands from `from` to `to`. */
export function plainScalar(source: string, from: number, to: number): Scalar {
  const scalar = new Scalar<unknown>(source);
  if (!text.test(source)) resolve(scalar, source);
  scalar.range = [from, to, to];
  scalar.source = source;
  scalar.type = "PLAIN";
  return scalar;
}

function resolve(scalar: Scalar, source: string): void {
  if (nothing.test(source)) scalar.value = null;
  else if (truth.test(source)) scalar.value = source[0] === "t" || source[0] === "T";
  else if (whole.test(source)) scalar.value = parseInt(source, 10);
  else if (fraction.test(source)) {
    scalar.value = parseFloat(source);
    if (source.endsWith("0") && source.includes("."))
      scalar.minFractionDigits = source.length - source.indexOf(".") - 1;
  } else if (spelled.test(source)) notPlain();
}

/** The quoted scalar that begins at `from`, on one line and with the simplest escapes alone. */
export function quoted(all: string, from: number): Scalar {
  const quote = all[from]!;
  let to = from + 1;
  for (; ; to++) {
    const here = all[to];
    if (here === undefined || here === "\n" || here === "\t") notPlain();
    const next = all[to + 1] ?? "\n";
    if (quote === '"' && here === "\\") {
      if (next !== '"' && next !== "\\") notPlain();
      to++;
    } else if (here === quote) {
      if (quote === '"' || next !== quote) break;
      to++;
    }
  }
  const inside = all.slice(from + 1, to);
  const value = quote === "'" ? inside.replaceAll("''", "'") : inside.replaceAll(/\\(["\\])/g, "$1");
  const scalar = new Scalar(value);
  scalar.range = [from, to + 1, to + 1];
  scalar.source = value;
  scalar.type = quote === "'" ? "QUOTE_SINGLE" : "QUOTE_DOUBLE";
  return scalar;
}
