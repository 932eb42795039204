/** A marker that a test sends is recognised in every form in which real tunnels carry data, and chance finds none. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { markerForms, markerPattern, newMarker } from "./marker.ts";

const around = fc.tuple(fc.uint8Array({ maxLength: 12 }), fc.uint8Array({ maxLength: 12 }));

/** An independent base32 (RFC 4648): five bits at a time from one string of bits. */
function base32(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const groups = bits.match(/.{1,5}/g) ?? [];
  return groups.map((group) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[Number.parseInt(group.padEnd(5, "0"), 2)]).join("");
}

const encodings: Record<string, (bytes: Buffer) => string> = {
  raw: (bytes) => bytes.toString("latin1"),
  hex: (bytes) => bytes.toString("hex"),
  base64: (bytes) => bytes.toString("base64"),
  base64url: (bytes) => bytes.toString("base64url"),
  base32,
};

for (const [name, encode] of Object.entries(encodings)) {
  test(`a marker between other bytes is found in ${name}, in either case`, () => {
    fc.assert(
      fc.property(around, fc.boolean(), ([before, after], lower) => {
        const marker = newMarker();
        const sent = Buffer.concat([before, Buffer.from(lower ? marker.toLowerCase() : marker), after]);
        const text = encode(sent).toLowerCase();
        return markerForms(marker).some((form) => text.includes(form));
      }),
    );
  });
}

test("one marker's forms are not found in another's encodings", () => {
  for (let i = 0; i < 100; i++) {
    const forms = markerForms(newMarker());
    const other = Buffer.from(`..${newMarker()}..`);
    for (const encode of Object.values(encodings)) {
      const text = encode(other).toLowerCase();
      assert.ok(!forms.some((form) => text.includes(form)));
    }
  }
});

test("a marker is 16 bytes for ping's pattern and a valid DNS label", () => {
  const marker = newMarker();
  assert.match(marker, /^SPMARK-[a-z2-7]{9}$/);
  assert.equal(marker.length, 16);
  assert.deepEqual(`x${marker.toLowerCase()}y ${marker}`.match(markerPattern()), [marker.toLowerCase(), marker]);
});
