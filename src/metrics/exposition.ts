/**
 * Metrics as text: the Prometheus text exposition format, version 0.0.4. Pure. Names and labels are ours, label values may
 * be anything (a rule's name, a sink's name) and are escaped as the format asks.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import type { HistogramCounts } from "./histogram.ts";

/** What the text is, for `Content-Type`. */
export const expositionType = "text/plain; version=0.0.4; charset=utf-8";

export type Labels = Readonly<Record<string, string>>;

/** One value of a family; a bare number has no labels. */
export type Sample = readonly [labels: Labels, value: number];

export class Exposition {
  readonly #lines: string[] = [];

  /** A family of counters; `name` ends with `_total`. A family without samples is left out. */
  counter(name: string, help: string, samples: number | Iterable<Sample>): this {
    return this.#family(name, "counter", help, samples);
  }

  gauge(name: string, help: string, samples: number | Iterable<Sample>): this {
    return this.#family(name, "gauge", help, samples);
  }

  /** `bounds` in seconds, as the histogram was made with. */
  histogram(name: string, help: string, bounds: readonly number[], { counts, sum }: HistogramCounts): this {
    this.#head(name, "histogram", help);
    let below = 0;
    for (const [i, count] of counts.entries()) {
      below += count;
      const le = i < bounds.length ? number(bounds[i]!) : "+Inf";
      this.#lines.push(`${name}_bucket{le="${le}"} ${number(below)}`);
    }
    this.#lines.push(`${name}_sum ${number(sum)}`, `${name}_count ${number(below)}`);
    return this;
  }

  /** The whole page, with its last newline. */
  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }

  #family(name: string, type: "counter" | "gauge", help: string, samples: number | Iterable<Sample>): this {
    const list: readonly Sample[] = typeof samples === "number" ? [[{}, samples]] : [...samples];
    if (list.length === 0) return this;
    this.#head(name, type, help);
    for (const [labels, value] of list) this.#lines.push(`${name}${labelText(labels)} ${number(value)}`);
    return this;
  }

  #head(name: string, type: string, help: string): void {
    this.#lines.push(
      `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`,
      `# TYPE ${name} ${type}`,
    );
  }
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/** Backslash, quote and newline are escaped; a lone half of a surrogate pair is no UTF-8 and becomes U+FFFD. */
function escapeLabel(value: string): string {
  return value.toWellFormed().replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/** JavaScript's shortest text of a number is one that Go's ParseFloat reads, but for the infinities. */
function number(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}
