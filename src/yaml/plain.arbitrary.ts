/** Random YAML as text, of the kinds that people write, with what is rare or wrong strewn in. For fuzzing. */
import fc from "fast-check";

const good = [
  ...["a", "name", "x.y", "a/b", "k_1", "true", "null", "1", "1.50", "-x", "10.0.0.0/8", "host:443", "${{ x.y }}"],
  ...["a b", "it's", "a#b", "é", "'q'", '"q"', "'it''s'", '"a\\"b"', "''", "a, b", "[a, b]", "{ a: b }", "007", "~"],
];
const rare = [
  ...["Yes", "null_", "False", "--y", "0x1f", "3.", ".5", "1e3", "-1", "+2", "0o7", "a:b", "a  b", 'say "x"', "a #b"],
  ...["☃", "[", "]", "{", "}", "*.x", "&a", "!t", "|", ">", "@x", "`y`", "%z", "?", ":", "::", "- a", "a: b", "a:"],
  ...[
    '"a\\nb"',
    '""',
    "# c",
    "#c",
    ".inf",
    ".nan",
    "",
    " ",
    "\t",
    "<<",
    "---",
    "...",
    "\u2028",
    "<",
    "=",
    "a\\b",
    "😀",
  ],
];
const goodKeys = ["a", "b", "name", "on", "to", "runs-on", "x.y", "null", "k_1", "n"];
const rareKeys = ["a/b", "_", "Null", "1", "'q'", '"q"', "a b", "<<", "true", "y "];
const comments = [" # c", " #", "  # c: d", " # [", "# x", " #\tx"];
const damages = [
  ...[
    " ",
    "\n",
    ":",
    "#",
    "-",
    "'",
    '"',
    "[",
    "]",
    "{",
    "}",
    ",",
    "|",
    "a",
    "  ",
    ": ",
    " #",
    "\t",
    "\\",
    "&",
    "*",
    "?",
  ],
  ...["\r", "\u0000", "\ufeff", "\u00a0", "\u3000", "k".repeat(1025)],
];

/** Writes a text by numbers that say which way to go; 0, also where there are no more, is the simplest. */
class Writer {
  readonly #numbers: readonly number[];
  #at = 0;

  constructor(numbers: readonly number[]) {
    this.#numbers = numbers;
  }

  text(): string {
    let text = this.#between(0) + this.#map(0, 3);
    for (let left = this.#one(0.3) ? this.#below(3) + 1 : 0; left > 0; left--) {
      const at = this.#below(text.length + 1);
      const cut = this.#one(0.5) ? 1 : 0;
      text = text.slice(0, at) + (cut === 1 && this.#one(0.5) ? "" : this.#of(damages)) + text.slice(at + cut);
    }
    return this.#one(0.1) ? text.trimEnd() : text;
  }

  #below(limit: number): number {
    return (this.#numbers[this.#at++] ?? 0) % limit;
  }

  #one(chance: number): boolean {
    return this.#below(1000) >= 1000 * (1 - chance);
  }

  #of<T>(list: readonly T[]): T {
    return list[this.#below(list.length)]!;
  }

  #word(): string {
    return this.#one(0.07) ? this.#of(rare) : this.#of(good);
  }

  #key(): string {
    return this.#one(0.03) ? this.#of(rareKeys) : this.#of(goodKeys);
  }

  #comment(): string {
    return this.#one(0.1) ? this.#of(comments) : this.#one(0.05) ? "  " : "";
  }

  /** Empty lines and lines of comment. */
  #between(indent: number): string {
    let text = "";
    for (let most = 4; most > 0 && this.#one(0.06); most--) {
      const at = " ".repeat(Math.max(0, indent + this.#of([0, 0, 0, -2, -1, 1, 2])));
      text += this.#of(["\n", `${at}# c\n`, `${at}#\n`, "  \n"]);
    }
    return text;
  }

  #flow(indent: number, depth: number): string {
    const gap = () => (this.#one(0.05) ? `\n${" ".repeat(this.#below(8))}` : this.#of([" ", "", "  "]));
    const value = () => (depth > 0 && this.#one(0.25) ? this.#flow(indent, depth - 1) : this.#word());
    const [open, close] = this.#of([
      ["[", "]"],
      ["{", "}"],
    ] as const);
    const one = () => (open === "[" ? value() : `${this.#key()}:${this.#of([" ", " ", " ", " ", "  ", ""])}${value()}`);
    const items = Array.from({ length: this.#below(4) }, one);
    return `${open}${gap()}${items.join(`,${gap()}`)}${this.#one(0.05) ? "," : ""}${this.#one(0.05) ? `\n${" ".repeat(indent)}` : gap()}${close}`;
  }

  #lines(indent: number): string {
    let text = "";
    for (let left = this.#below(4) + 1; left > 0; left--) {
      const at = " ".repeat(Math.max(0, indent + (this.#one(0.08) ? this.#of([-1, 1, 2]) : 0)));
      const said = this.#of(["echo x", "# no comment", "  y", "z ", "\tq", this.#word(), this.#of(rare)]);
      text += this.#one(0.15) ? this.#of(["\n", `${" ".repeat(this.#below(8))}\n`]) : `${at}${said}\n`;
    }
    return text;
  }

  #value(indent: number, depth: number, inMap: boolean): string {
    const way = this.#below(100);
    if (depth > 0 && way >= 65) {
      const deeper = indent + this.#of([2, 2, 2, 1, 4]);
      return `${this.#comment()}\n${this.#between(deeper)}${this.#block(deeper, depth - 1)}`;
    }
    if (depth > 0 && inMap && way >= 60) return `\n${this.#list(indent, depth - 1)}`;
    if (way >= 50) {
      const header = this.#of(["|", "|", "|-", ">", ">-", "|+", "|2"]);
      return ` ${header}${this.#comment()}\n${this.#lines(indent + this.#of([2, 2, 1]))}`;
    }
    if (way >= 35) return ` ${this.#flow(indent, 2)}${this.#comment()}\n`;
    if (way >= 28) return `${this.#comment()}\n`;
    const more = this.#one(0.02) ? `${" ".repeat(indent + 2)}${this.#word()}\n` : "";
    return `${this.#of([" ", " ", " ", "  "])}${this.#word()}${this.#comment()}\n${more}`;
  }

  #list(indent: number, depth: number): string {
    let text = "";
    for (let left = this.#below(3) + 1; left > 0; left--) {
      const gap = this.#of([1, 1, 1, 2]);
      const isCompact = depth > 0 && this.#one(0.4);
      const value = isCompact
        ? " ".repeat(gap) + this.#block(indent + 1 + gap, depth - 1).trimStart()
        : this.#value(indent, depth, false);
      text += `${" ".repeat(indent)}-${value}${this.#between(indent)}`;
    }
    return text;
  }

  #map(indent: number, depth: number): string {
    let text = "";
    for (let left = this.#below(3) + 1; left > 0; left--)
      text += `${" ".repeat(indent)}${this.#key()}:${this.#value(indent, depth, true)}${this.#between(indent)}`;
    return text;
  }

  #block(indent: number, depth: number): string {
    return this.#one(0.3) ? this.#list(indent, depth) : this.#map(indent, depth);
  }
}

export const yamlTexts = fc
  .array(fc.nat(0xffff), { minLength: 20, maxLength: 300, size: "max" })
  .map((numbers) => new Writer(numbers).text());
