/** Where a reader of YAML stands, line by line. Called by `plain.ts` and `flow.ts`. */

/** The text is none that is read here. */
export class NotPlain extends Error {}

/** One for all: it is thrown for many texts, and nobody reads it. */
const thrown = new NotPlain("the library has to read it");

export function notPlain(): never {
  throw thrown;
}

export class Cursor {
  offset = 0;
  /** Of the line that `offset` is in; `lineEnd` is its line feed or the end of the text. */
  lineStart = 0;
  lineEnd: number;
  /** The column of the content that was found last. */
  indent = 0;
  /** Lines that are nothing but a comment, between the content before and this. */
  comments = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
    this.lineEnd = this.#endFrom(0);
  }

  get isOver(): boolean {
    return this.offset >= this.#text.length;
  }

  skipSpaces(): void {
    while (this.#text[this.offset] === " ") this.offset++;
  }

  /** To the beginning of a line. */
  jump(offset: number): void {
    this.offset = this.lineStart = offset;
    this.lineEnd = this.#endFrom(offset);
  }

  /** To the next content: from the beginning of a line, or else from the rest of one in which there is none. */
  toContent(): void {
    const text = this.#text;
    if (this.offset !== this.lineStart) this.jump(Math.min(this.lineEnd + 1, text.length));
    let furthest = -1;
    this.comments = 0;
    for (; this.offset < text.length; this.jump(Math.min(this.lineEnd + 1, text.length))) {
      this.skipSpaces();
      const first = text[this.offset];
      if (first === "\n" || first === undefined) continue;
      if (first === "\t") notPlain();
      this.indent = this.offset - this.lineStart;
      if (first !== "#") break;
      this.comments++;
      furthest = Math.max(furthest, this.indent);
    }
    if (this.isOver) this.indent = 0;
    // The library takes a comment that stands further in than what follows for a part of what came before.
    if (furthest > this.indent) notPlain();
  }

  #endFrom(offset: number): number {
    const at = this.#text.indexOf("\n", offset);
    return at < 0 ? this.#text.length : at;
  }
}
