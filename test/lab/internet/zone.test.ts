/** The lab's zone answers as a recursive resolver would, and its HTTPS rdata is what RFC 9460 says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeQuery, encodeFormatError } from "./dns-message.ts";
import { encodeHttpsBinding } from "./https-record.ts";
import { reverseName } from "./reverse-name.ts";
import { ZoneTable } from "./zone.ts";

const zone = () =>
  new ZoneTable({
    "a.example": { records: [{ type: "A", data: "203.0.113.1" }] },
    "c.example": { records: [{ type: "CNAME", data: "a.example" }] },
    "l.example": { records: [{ type: "CNAME", data: "l.example" }] },
    "*.w.example": { records: [{ type: "A", data: "203.0.113.2" }] },
    "x.w.example": { records: [{ type: "TXT", data: ["x"] }] },
    "r.example": {
      records: [
        { type: "A", data: "203.0.113.3" },
        { type: "A", data: "203.0.113.4" },
      ],
      rotate: "one",
    },
    "d.example": { records: [], drop: 1 },
  });

test("aliases are followed and a loop of them ends", () => {
  const chain = zone().resolve("C.example", "A");
  assert.deepEqual(
    chain.answers.map(({ type }) => type),
    ["CNAME", "A"],
  );
  assert.equal(zone().resolve("l.example", "A").rcode, "SERVFAIL");
  assert.equal(zone().resolve("c.example", "CNAME").answers.length, 1);
});

test("a wildcard covers names at any depth but not a name that exists, nor the names below it (RFC 4592)", () => {
  assert.equal(zone().resolve("y.w.example", "A").answers.length, 1);
  assert.equal(zone().resolve("z.y.w.example", "A").answers.length, 1);
  assert.deepEqual(zone().resolve("x.w.example", "A"), {
    rcode: "NOERROR",
    answers: [],
    entry: { records: [{ type: "TXT", data: ["x"] }] },
  });
  assert.equal(zone().resolve("z.x.w.example", "A").rcode, "NXDOMAIN");
  assert.equal(zone().resolve("w.example", "A").rcode, "NXDOMAIN");
});

test("rotation gives one record at a time and drops count down", () => {
  const table = zone();
  const next = () => table.resolve("r.example", "A").answers.map(({ data }) => data);
  assert.deepEqual([next(), next(), next()], [["203.0.113.3"], ["203.0.113.4"], ["203.0.113.3"]]);
  const entry = table.entry("d.example");
  assert.deepEqual([table.takeDrop(entry), table.takeDrop(entry)], [true, false]);
});

test("HTTPS rdata equals the test vectors of RFC 9460 appendix D.2", () => {
  // Figure 2: AliasMode is priority 0; figure 3: "." as target; figure 4: port=53; figure 7: two IPv6 hints.
  assert.equal(
    encodeHttpsBinding({ priority: 0, target: "foo.example.com" }).toString("hex"),
    "000003666f6f076578616d706c6503636f6d00",
  );
  assert.equal(encodeHttpsBinding({ priority: 1, target: "." }).toString("hex"), "000100");
  assert.equal(
    encodeHttpsBinding({ priority: 16, target: "foo.example.com", port: 53 }).toString("hex"),
    "001003666f6f076578616d706c6503636f6d00000300020035",
  );
  assert.equal(
    encodeHttpsBinding({
      priority: 1,
      target: "foo.example.com",
      ipv6hint: ["2001:db8::1", "2001:db8::53:1"],
    }).toString("hex"),
    "000103666f6f076578616d706c6503636f6d0000060020" +
      "20010db8000000000000000000000001" +
      "20010db8000000000000000000530001",
  );
});

test("bytes that are no query are answered FORMERR with their own transaction number", () => {
  assert.equal(decodeQuery(Buffer.from("deadbeef", "hex")), null);
  assert.equal(encodeFormatError(Buffer.from("deadbeef", "hex")).toString("hex"), "dead80010000000000000000");
});

test("reverse names are those of RFC 1035 and RFC 3596", () => {
  assert.equal(reverseName("203.0.113.9"), "9.113.0.203.in-addr.arpa");
  assert.equal(
    reverseName("2001:db8::567:89ab"),
    "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
  );
});
