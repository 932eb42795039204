/**
 * D5, D8: a name is an address's only while our DNS says so, and what one source was told by a server of its own choosing counts
 * for nobody else. Memory is bounded, and a flood of names cannot evict live ones of other addresses.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AddressBook, type Binding } from "./book.ts";
import { address } from "./testing/scene.ts";

const [a, b, c] = ["198.51.100.1", "2001:db8::1", "198.51.100.2"].map(address) as [
  Binding["address"],
  Binding["address"],
  Binding["address"],
];
const [one, two] = ["10.0.0.1", "2001:db8:1::1"].map(address) as [Binding["address"], Binding["address"]];

const bound = (name: string, at = a, expires = 1_000, source: Binding["source"] = null): Binding => ({
  name,
  address: at,
  expires,
  source,
});

test("D8: a binding holds until it expires, not a millisecond longer; a later answer extends and never shortens it", () => {
  const book = new AddressBook();
  book.bind(bound("x.example"));
  assert.deepEqual(book.names(a, null, 999), ["x.example"]);
  assert.deepEqual(book.names(a, null, 1_000), []);
  book.bind(bound("x.example", a, 2_000));
  book.bind(bound("x.example", a, 1_500));
  assert.deepEqual(book.names(a, null, 1_999), ["x.example"]);
  assert.deepEqual(book.names(a, null, 2_000), []);
  assert.deepEqual(book.names(c, null, 10), []);
});

test("D5: what a source's own server said holds for that source alone, and only where it is asked for", () => {
  const book = new AddressBook();
  book.bind(bound("forged.example", a, 1_000, one));
  book.bind(bound("true.example", a));
  book.bind(bound("six.example", b, 1_000, two));
  assert.deepEqual(book.names(a, null, 0), ["true.example"]);
  assert.deepEqual(book.names(a, two, 0), ["true.example"]);
  assert.deepEqual(book.names(a, one, 0), ["true.example", "forged.example"]);
  assert.deepEqual(book.names(b, two, 0), ["six.example"]);
  book.bind(bound("true.example", a, 1_000, one));
  assert.deepEqual(book.names(a, one, 0), ["true.example", "forged.example"], "each once");
});

test("the same names are the same list until one of them changes or ends: a decision allocates none", () => {
  const book = new AddressBook();
  book.bind(bound("x.example", a, 1_000));
  book.bind(bound("y.example", a, 2_000));
  const names = book.names(a, null, 1);
  assert.equal(book.names(a, null, 999), names);
  assert.deepEqual(book.names(a, null, 1_000), ["y.example"]);
  book.bind(bound("z.example", a, 2_000));
  assert.deepEqual(book.names(a, null, 1_001), ["y.example", "z.example"]);
});

test("a clock that goes back finds what still holds", () => {
  const book = new AddressBook();
  book.bind(bound("x.example", a, 1_000));
  assert.deepEqual(book.names(a, null, 1_500), []);
  assert.deepEqual(book.names(a, null, 500), ["x.example"]);
});

test("an address with very many names forgets the one that ends first, and no other address's", () => {
  const book = new AddressBook();
  book.bind(bound("other.example", c, 10));
  for (let i = 0; i < 1_100; i++) assert.ok(book.bind(bound(`n${i}.example`, a, 1_000 + ((i * 7) % 1_100))));
  const names = book.names(a, null, 0);
  assert.equal(names.length, 1_024);
  assert.equal(book.size, 1_025);
  assert.deepEqual(book.names(c, null, 0), ["other.example"]);
});

test("a full book refuses new bindings, keeps the ones it has, extends them, and has room again after a sweep", () => {
  const book = new AddressBook();
  for (let i = 0; i < 500_000; i++) {
    const at = address(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    assert.ok(book.bind(bound("x.example", at, i === 0 ? 50_000 : 1_000)));
  }
  assert.equal(book.bind(bound("new.example")), false);
  assert.deepEqual(book.names(a, null, 0), []);
  assert.ok(book.bind(bound("x.example", address("10.0.0.1"), 60_000)));
  assert.equal(book.sweep(2_000), 499_998);
  assert.equal(book.size, 2);
  assert.ok(book.bind(bound("new.example")));
});

test("a monitored source cannot fill the book with what servers of its own tell it", () => {
  const book = new AddressBook();
  for (let i = 0; i < 30_000; i++) {
    const at = address(`10.0.${(i >> 8) & 255}.${i & 255}`);
    assert.equal(book.bind(bound("x.example", at, 1_000, one)), i < 20_000);
  }
  assert.ok(book.bind(bound("x.example", a, 1_000, two)));
  assert.ok(book.bind(bound("x.example", a)));
  assert.equal(book.sweep(1_000), 20_002);
  assert.ok(book.bind(bound("x.example", a, 2_000, one)));
});

test("a snapshot brings back every binding that holds, with its source", () => {
  const binding = fc.record({
    name: fc.constantFrom("x.example", "y.example", "z.example"),
    address: fc.constantFrom(a, b, c),
    expires: fc.integer({ min: 1, max: 2_000 }),
    source: fc.constantFrom(null, one, two),
  });
  fc.assert(
    fc.property(fc.array(binding), fc.integer({ min: 1, max: 2_000 }), (bindings, now) => {
      const book = new AddressBook();
      for (const each of bindings) book.bind(each);
      const restored = new AddressBook();
      for (const each of book.entries(now)) restored.bind(each);
      for (const at of [a, b, c]) {
        for (const source of [null, one, two]) {
          const sorted = (from: AddressBook) => [...from.names(at, source, now)].toSorted();
          const holding = bindings.filter((each) => each.address === at && each.expires > now);
          const expected = holding
            .filter((each) => each.source === null || each.source === source)
            .map(({ name }) => name);
          assert.deepEqual(sorted(book), [...new Set(expected)].toSorted());
          assert.deepEqual(sorted(restored), sorted(book));
        }
      }
      const before = book.size;
      assert.equal(book.sweep(now) + book.size, before);
      assert.equal(book.size, [...restored.entries(0)].length);
    }),
  );
});
