/**
 * Names: what a hostile packet can put where a name belongs must neither loop, nor grow, nor turn into another name.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Cursor } from "./cursor.ts";
import {
  dropLabels,
  foldCase,
  formatName,
  fromHostName,
  fromLabels,
  hostName,
  labelsOf,
  readName,
  root,
} from "./name.ts";

/** Reads a name at `offset` of a message whose first 12 bytes are a header. */
function read(bytes: number[], offset = 12, compression: "allowed" | "forbidden" = "allowed") {
  const cursor = new Cursor(Uint8Array.from([...Array<number>(12).fill(0), ...bytes]));
  cursor.offset = offset;
  const name = readName(cursor, compression);
  return { name, defect: cursor.defect, next: cursor.offset };
}

const bytesOf = (text: string) => Array.from(text, (char) => char.charCodeAt(0));

test("a compressed name is read through its pointer and the cursor stays behind the pointer", () => {
  const message = [...bytesOf("\x03org\0"), ...bytesOf("\x04pypi"), 0xc0, 12, 99];
  assert.deepEqual(read(message, 17), { name: "\x04pypi\x03org\0", defect: null, next: 24 });
});

test("pointers that do not go strictly backwards are refused: self, forward, mutual, into labels just read", () => {
  assert.equal(read([0xc0, 12]).defect, "pointer_forward");
  assert.equal(read([0xc0, 14, 0]).defect, "pointer_forward");
  // Two pointers at each other.
  assert.equal(read([0xc0, 14, 0xc0, 12], 14).defect, "pointer_forward");
  // A label and then a pointer to that label: endless in a decoder that only asks for "before the pointer".
  assert.equal(read([1, 0x61, 0xc0, 12]).defect, "pointer_forward");
  assert.equal(read([0xc0, 4]).defect, "pointer_header");
});

test("a chain of pointers longer than any name's labels is refused", () => {
  const pointer = (target: number) => [0xc0 | (target >> 8), target & 255];
  // The root at 12, then at 13, 15, 17, … a pointer to the place before.
  const chain = (count: number) => [
    0,
    ...Array.from({ length: count }, (_, i) => pointer(i === 0 ? 12 : 11 + 2 * i)).flat(),
  ];
  assert.equal(read(chain(127), 13 + 2 * 126).defect, null);
  assert.equal(read(chain(128), 13 + 2 * 127).defect, "pointer_limit");
});

test("a name is at most 255 bytes, through pointers too", () => {
  const label63 = bytesOf(`\x3f${"a".repeat(63)}`);
  const longest = [...label63, ...label63, ...label63, ...bytesOf(`\x3d${"a".repeat(61)}`), 0];
  assert.equal(read(longest).defect, null);
  assert.equal(read(longest).name.length, 255);
  assert.equal(
    read([...label63, ...label63, ...label63, ...bytesOf(`\x3e${"a".repeat(62)}`), 0]).defect,
    "name_too_long",
  );
  assert.equal(read([...longest, 1, 0x62, 0xc0, 12], 12 + longest.length).defect, "name_too_long");
});

test("reserved label types, cut names and forbidden compression are defects", () => {
  assert.equal(read([0x41, 0x61, 0]).defect, "label_type");
  assert.equal(read([0x80, 0x61, 0]).defect, "label_type");
  assert.equal(read([3, 0x61, 0x62]).defect, "truncated");
  assert.equal(read([3, 0x61, 0x62, 0x63]).defect, "truncated");
  assert.equal(read([0xc0]).defect, "truncated");
  assert.equal(read([0, 0xc0, 12], 13, "forbidden").defect, "pointer_forbidden");
});

test("a label with a dot, NUL, space, escape or 8-bit byte never becomes a host name (embedded-dot ambiguity)", () => {
  for (const label of ["pypi.org", "pypi\0", "a b", "a\\", "\xe9", "*", "a/b", "", "％", "%41"]) {
    const name = fromLabels([label, "example"]);
    if (name !== null) assert.equal(hostName(name), null, JSON.stringify(label));
  }
  assert.equal(hostName(fromLabels(["pypi", "org"])!), "pypi.org");
  assert.equal(hostName(fromLabels(["pypi.org"])!), null);
  assert.equal(hostName(fromLabels(["www", "pypi.org"])!), null);
  assert.equal(hostName(fromLabels(["PyPI", "ORG"])!), "pypi.org");
  assert.equal(hostName(fromLabels(["127", "0", "0", "1"])!), null);
  assert.equal(hostName(root), null);
});

test("two different wire names never have the same host name, unless they differ in case only", () => {
  const label = fc.string({ unit: fc.constantFrom("a", "B", ".", "-", "\0", "\xff", "1"), minLength: 1, maxLength: 4 });
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => fromLabels(labels)!);
  fc.assert(
    fc.property(name, name, (a, b) => {
      const host = hostName(a);
      if (host === null || host !== hostName(b)) return;
      assert.equal(foldCase(a), foldCase(b));
      assert.equal(foldCase(a), fromHostName(host));
    }),
  );
});

test("labels, folding, dropping and formatting keep every byte apart", () => {
  const name = fromLabels(["A.b", "\xC9x", "\0", "org"])!;
  assert.deepEqual(labelsOf(name), ["A.b", "\xC9x", "\0", "org"]);
  assert.deepEqual(labelsOf(foldCase(name)), ["a.b", "\xC9x", "\0", "org"]);
  assert.equal(formatName(name), "A\\.b.\\201x.\\000.org");
  assert.equal(formatName(dropLabels(name, 3)), "org");
  assert.equal(dropLabels(name, 9), root);
  assert.equal(formatName(root), ".");
});
