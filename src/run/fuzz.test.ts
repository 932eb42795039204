/**
 * The host's own texts under fuzz: resolv.conf and hosts give bindings of canonical names, or nothing; what /proc, container
 * engines and command lines say gives bounded values, whatever a process calls itself.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { asBytes, fuzzTarget, textOf } from "../../test/support/fuzz.ts";
import { canonicalName } from "../address/name.ts";
import { assertProcessText, processText } from "../process/testing/text.ts";
import { bindingsFromHosts, resolvConfFor } from "./resolv.ts";

const line = fc
  .tuple(
    fc.constantFrom(
      "nameserver ",
      "  nameserver\t",
      "search ",
      "#nameserver ",
      "127.0.0.1\t",
      "192.0.2.1 ",
      "::1 ",
      "x ",
    ),
    fc.constantFrom(
      "127.0.0.53",
      "::1",
      "0.0.0.0",
      "192.0.2.53",
      "a.example b.example # c",
      "A.example.",
      "é.example",
      "1.2",
      "",
    ),
  )
  .map((parts) => parts.join(""));

fuzzTarget<"stays" | "changes" | "bindings">({
  name: "host-text",
  grammar: [asBytes(fc.array(line, { maxLength: 6 }).map((lines) => lines.join("\n"))), asBytes(processText)],
  outcomes: { stays: true, changes: true, bindings: true },
  check: (bytes) => {
    const text = textOf(bytes);
    assertProcessText(text);
    const changed = resolvConfFor(text, "192.0.2.254");
    if (changed !== null) {
      // Lines as resolvers read them: they end at a line feed and nowhere else, which JavaScript's `m` does not know.
      const lines = changed.split("\n");
      assert.ok(lines.some((each) => /^nameserver[ \t]+\S/.test(each)));
      assert.ok(!lines.some((each) => /^[ \t]*nameserver[ \t]+(?:127\.|::1$|0\.0\.0\.0$)/.test(each)));
    }
    const bindings = bindingsFromHosts(text);
    for (const { name } of bindings) assert.equal(canonicalName(name), name);
    return bindings.length > 0 ? "bindings" : changed === null ? "stays" : "changes";
  },
});
