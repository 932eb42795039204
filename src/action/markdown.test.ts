/** What a job's processes are called must not become markup in a page of GitHub's (checked by another's parser of it). */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { marked, type Token, type Tokens } from "marked";
import { block, code, plain, printable, table } from "./markdown.ts";

const nasty = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      "`",
      "``",
      "|",
      "<",
      ">",
      "&",
      "\\",
      "*",
      "_",
      "[",
      "](",
      ")",
      "!",
      "#",
      "~~",
      "\n",
      "\r",
      "@",
      "http://",
      "www.",
      "$",
      "-",
      "+",
      "1.",
      " ",
      "<!--",
      "<img src=x>",
      "\u202e",
    ),
    fc.string({ minLength: 1, maxLength: 3 }),
  ),
  maxLength: 12,
});

test("a code span is one code span, and shows what it was given", () => {
  fc.assert(
    fc.property(nasty, (text) => {
      fc.pre(text.trim() !== "" && !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}|]/u.test(text));
      const [paragraph, ...rest] = marked.lexer(`x ${code(text)} y`, { gfm: true });
      assert.equal(rest.length, 0);
      const inline = (paragraph as Tokens.Paragraph).tokens;
      const span = inline.find(({ type }) => type === "codespan") as Tokens.Codespan | undefined;
      assert.deepEqual(
        inline.map(({ type }) => type),
        ["text", "codespan", "text"],
      );
      assert.equal(span!.text.trim(), text.replaceAll("\n", " ").trim());
    }),
  );
});

test("plain text is text alone: no markup, no link, no HTML", () => {
  fc.assert(
    fc.property(nasty, (text) => {
      const tokens = marked.lexer(`x ${plain(text)} y`, { gfm: true });
      const kinds = new Set<string>();
      void marked.walkTokens(tokens, (token: Token) => void kinds.add(token.type));
      // An @ stands in an element of its own, which is the only one.
      const elements = text.includes("@") ? ["html"] : [];
      for (const kind of kinds)
        assert.ok(["paragraph", "text", "escape", ...elements].includes(kind), `${kind}: ${plain(text)}`);
      assert.deepEqual(
        [...(marked.parser(tokens).matchAll(/<[^>]*>/g) ?? [])].map(([tag]) => tag).filter((tag) => !isOurTag(tag)),
        [],
      );
    }),
  );
});

const isOurTag = (tag: string) => /^<\/?(?:p|span)>$/.test(tag);

/** What a reader sees of a page of HTML. */
const seen = (html: string) =>
  html
    .replaceAll(/<[^>]*>/g, "")
    .replaceAll(/&#(\d+);/g, (_, number: string) => String.fromCodePoint(Number(number)))
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&")
    .replaceAll(/\s+/g, " ")
    .trim();

test("plain text is seen as what it was, but for what nobody can see, which is spelled out", () => {
  assert.equal(
    seen(marked.parse(plain("a@b: https://c.example/#1 &lt; \u202e")) as string),
    "a@b: https://c.example/#1 &lt; \\u{202e}",
  );
  fc.assert(
    fc.property(nasty, (text) => {
      const html = marked.parse(`x ${plain(text)} y`, { gfm: true }) as string;
      assert.equal(seen(html), `x ${printable(text)} y`.replaceAll(/\s+/g, " "));
    }),
  );
});

test("a table keeps its cells, whatever stands in them", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(nasty, nasty), { minLength: 1, maxLength: 4 }), (rows) => {
      const text = table(
        ["a", "b"],
        rows.map(([a, b]) => [code(a), plain(b)]),
      );
      const [found, ...rest] = marked.lexer(text, { gfm: true });
      assert.equal(found!.type, "table");
      assert.equal(rest.length, 0);
      const cells = (found as Tokens.Table).rows;
      assert.equal(cells.length, rows.length);
      for (const row of cells) assert.equal(row.length, 2);
    }),
  );
});

test("a block ends where it ends", () => {
  fc.assert(
    fc.property(nasty, (text) => {
      const [found, ...rest] = marked.lexer(block(text, "yaml"));
      assert.equal(found!.type, "code");
      assert.equal(rest.filter(({ type }) => type !== "space").length, 0);
    }),
  );
});
