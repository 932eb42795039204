/** One address has one value and one text, whichever way it came; nothing ambiguous is an address. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { addressFromBytes, addressToBytes, family, formatAddress, parseAddress } from "./ip.ts";

const bytes = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
  // Zero runs are where RFC 5952 goes wrong.
  fc.array(fc.constantFrom(0, 0, 0, 1), { minLength: 16, maxLength: 16 }).map((a) => Uint8Array.from(a)),
);

test("text, bytes and value of an address agree", () => {
  fc.assert(
    fc.property(bytes, (raw) => {
      const address = addressFromBytes(raw, 0, raw.length as 4 | 16);
      assert.deepEqual(addressToBytes(address), raw);
      assert.equal(parseAddress(formatAddress(address)), address);
      assert.equal(family(address), raw.length === 4 ? 4 : 6);
    }),
  );
});

test("IPv6 text is the one of RFC 5952", () => {
  const cases: Record<string, string> = {
    "2001:DB8:0:0:0:0:0:1": "2001:db8::1",
    "2001:db8:0:1:1:1:1:1": "2001:db8:0:1:1:1:1:1",
    "2001:0:0:1:0:0:0:1": "2001:0:0:1::1",
    "2001:db8:0:0:1:0:0:1": "2001:db8::1:0:0:1",
    "0:0:0:0:0:0:0:0": "::",
    "::ffff:192.0.2.1": "::ffff:c000:201",
    "1:2:3:4:5:6:7::": "1:2:3:4:5:6:7:0",
  };
  for (const [text, canonical] of Object.entries(cases)) assert.equal(formatAddress(parseAddress(text)!), canonical);
});

test("texts that parsers read differently are no addresses", () => {
  const refused = [
    ...["", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "0x7f.0.0.1", "127.1", "2130706433", " 1.2.3.4", "1.2.3.4 "],
    ...["::1::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", ":1:2:3:4:5:6:7", "12345::", "fe80::1%eth0", "[::1]", "::1.2.3"],
    ...["1:2:3:4:5:6:7:1.2.3.4", "1.2.3.4::", ":", ":::", "1::2::3", "1:2:3:4:5:6:7:8::"],
  ];
  for (const text of refused) assert.equal(parseAddress(text), null, text);
});
