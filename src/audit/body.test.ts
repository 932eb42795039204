/** A body's text is the same as each member's JSON in the record's order: what the chain of older records was made of. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bodiesOf, BodyWriter, bodyText } from "./body.ts";
import type { EventBody } from "./event.ts";

const order = [
  ...["kind", "verdict", "enforced", "reason", "stage", "rule", "monitored", "source", "process", "destination", "tls"],
  ...["dns", "bytes", "packets", "duration_ms", "detection", "count", "first", "last", "message", "data"],
] as (keyof EventBody)[];

const anything = fc.dictionary(fc.constantFrom(...order), fc.option(fc.jsonValue(), { nil: undefined }));

test("members in the record's order, whatever the order they came in; batches keep them apart", () => {
  fc.assert(
    fc.property(fc.array(anything, { minLength: 1, maxLength: 5 }), (bodies) => {
      const writer = new BodyWriter();
      for (const body of bodies as unknown as EventBody[]) {
        const members = order.filter((member) => body[member] !== undefined);
        assert.equal(bodyText(body), members.map((member) => `"${member}":${JSON.stringify(body[member])}`).join());
        writer.addText(bodyText(body));
      }
      assert.deepEqual(bodiesOf(writer.take()), JSON.parse(JSON.stringify(bodies)));
    }),
    { numRuns: 1_000 },
  );
});
