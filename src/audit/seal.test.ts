/**
 * What seals and signatures add to the chain: whoever has not the key can change nothing of a signed record that verification with
 * the public key does not name, but for the last it says itself. Every case changes the files of a real record.
 */
import assert from "node:assert/strict";
import {
  appendFileSync,
  cpSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import fc from "fast-check";
import { genesis, openLine, sealLine } from "./chain.ts";
import type { Link } from "./chain.ts";
import type { Event } from "./event.ts";
import { loadSigningKey, makeKeyPair } from "./key.ts";
import { KnownHeads, readKnownHeads } from "./known-heads.ts";
import { planRetention } from "./retention.ts";
import { readStatement, statementText } from "./signature.ts";
import type { SigningKey } from "./signature.ts";
import { Spool } from "./spool.ts";
import { allEvents, copyOf, denial, memory, segmentsOf, temporary, writeRecord } from "./test-support.ts";
import { verifyRecord } from "./verify.ts";

const keys = temporary(memory);
const newKey = (name: string): SigningKey => (makeKeyPair(join(keys, name)), loadSigningKey(join(keys, name)));
const [owner, other] = [newKey("owner"), newKey("other")];
const small = { segmentBytes: 5000, flushBytes: 1000 };
const count = 60;
const original = temporary(memory);
const work = temporary(memory);
let names: string[];

before(async () => {
  await writeRecord(original, count, { ...small, key: owner });
  names = segmentsOf(original);
  assert.ok(names.length >= 4);
});

const sealOf = (segment: string) => segment.replace("ndjson", "seal.json");
const at = (name: string) => join(work, "events", name);
const put = (name: string, text: string | Buffer) => writeFileSync(at(name), text);
const was = (name: string) => readFileSync(join(original, "events", name));
const members = (name: string) => readStatement(was(name).toString())!.members;
const firstOf = (name: string) => Number(/\d{12}/.exec(name)![0]);

/** The record with its files changed, verified with the owner's key (or these). */
async function verifyWith(change: () => void, trusted = [owner.trusted]) {
  rmSync(join(work, "events"), { recursive: true, force: true });
  cpSync(join(original, "events"), join(work, "events"), { recursive: true });
  change();
  return await verifyRecord(work, trusted);
}

async function named(change: () => void, trusted = [owner.trusted]) {
  const { ok, broken } = await verifyWith(change, trusted);
  assert.equal(ok, false);
  return [broken!.segment, broken!.kind];
}

const lastOf = (name: string, bytes = was(name)) =>
  openLine(Buffer.from(bytes.toString().trimEnd().split("\n").at(-1)!))!;

/** What somebody who may write everything can do: another past, with all hashes made anew. */
function forge(key: SigningKey | null, from = 0): void {
  let link: Link = from === 0 ? genesis : lastOf(names[from - 1]!);
  for (const name of names.slice(from)) {
    const prev = link.hash;
    let text = "";
    for (const line of was(name).toString().trimEnd().split("\n")) {
      const { seq, time, id } = JSON.parse(line) as Event;
      const sealed = sealLine(denial(1, { verdict: "allow" }), seq, link.hash, time, id);
      link = { seq, hash: sealed.hash };
      text += `${sealed.line}\n`;
    }
    put(name, text);
    const { key: _, ...facts } = members(sealOf(name));
    put(sealOf(name), statementText({ ...facts, prev, head: link.hash, bytes: text.length }, key));
  }
  const { key: _, ...facts } = members("head.json");
  put("head.json", statementText({ ...facts, hash: link.hash }, key));
}

/** What a process leaves that is killed now. */
function afterCrash(directory: string): string {
  const crashed = copyOf(directory, memory);
  rmSync(join(crashed, "lock"), { recursive: true });
  return crashed;
}

test("an untouched record verifies with the owner's key; without one it says that signatures were not checked", async () => {
  const signed = await verifyWith(() => {});
  const seals = { closed: names.length, sealed: names.length, signed: names.length, keys: [owner.id], checked: true };
  assert.deepEqual([signed.ok, signed.records, signed.seals, signed.notes], [true, count, seals, []]);
  const unkeyed = await verifyWith(() => {}, []);
  assert.deepEqual([unkeyed.ok, unkeyed.seals], [true, { ...seals, checked: false }]);
});

test("one byte changed in a seal or in the head: that one is named", async () => {
  const files = [...names.map(sealOf), "head.json"];
  await fc.assert(
    fc.asyncProperty(
      fc.nat(files.length - 1),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      async (file, place, flip) => {
        const bytes = was(files[file]!);
        bytes[place % bytes.length]! ^= flip;
        const { ok, broken } = await verifyWith(() => put(files[file]!, bytes));
        assert.equal(ok, false);
        if (file < names.length) assert.equal(broken!.segment, names[file]);
        else assert.match(broken!.message, /head\.json/);
        assert.match(broken!.kind, file < names.length ? /^seal_/ : /^(seal_|truncated|edited)/);
      },
    ),
    { numRuns: 300 },
  );
});

test("a head that names a later record than there is: the head is named", async () => {
  const { key: _, ...facts } = members("head.json");
  for (const trusted of [[], [owner.trusted]]) {
    const later = () => put("head.json", statementText({ ...facts, seq: count + 10 }, other));
    const { broken } = await verifyWith(later, trusted);
    assert.deepEqual([broken!.kind, broken!.seq], ["truncated", count + 1]);
    assert.match(broken!.message, /head\.json says that record 70 was on the disk: 10 missing from the end/);
  }
});

for (const index of [0, 1, -1]) {
  test(`the seal of segment ${index}: removed, unsigned, by another key, in another's name, of another segment`, async () => {
    const name = names.at(index)!;
    const seal = sealOf(name);
    const { key: _, ...facts } = members(seal);
    const inOwnersName = { ...other, id: owner.id };
    const cases: [string, () => void][] = [
      ["seal_unsigned", () => put(seal, statementText(facts, null))],
      ["seal_other_key", () => put(seal, statementText(facts, other))],
      ["seal_edited", () => put(seal, statementText(facts, inOwnersName))],
      ["seal_edited", () => put(seal, "")],
      ["seal_edited", () => truncateSync(at(seal), 80)],
      ["edited", () => put(seal, was(sealOf(names[2]!)))],
    ];
    // The newest segment may be one that is still written: without its seal it is that.
    if (index !== -1) cases.push(["seal_missing", () => unlinkSync(at(seal))]);
    for (const [kind, change] of cases) assert.deepEqual(await named(change), [name, kind]);
  });
}

test("without a key a missing seal is counted, and one that does not fit is named", async () => {
  const { ok, seals } = await verifyWith(() => unlinkSync(at(sealOf(names[1]!))), []);
  assert.deepEqual([ok, seals.closed - seals.sealed], [true, 1]);
  const facts = members(sealOf(names[1]!));
  for (const change of [{ last: 9 }, { prev: genesis.hash }, { head: genesis.hash }, { bytes: 1 }, { first: 2 }]) {
    const edit = () => put(sealOf(names[1]!), statementText({ ...facts, ...change }, null));
    assert.deepEqual(await named(edit, []), [names[1], "seal_edited"], JSON.stringify(change));
  }
});

test("a past rewritten with all its hashes, seals and head made anew verifies without a key, and not with it", async () => {
  assert.equal((await verifyWith(() => forge(null), [])).ok, true);
  assert.deepEqual(await named(() => forge(null)), [names[0], "seal_unsigned"]);
  assert.deepEqual(await named(() => forge(other)), [names[0], "seal_other_key"]);
  assert.deepEqual(await named(() => forge({ ...other, id: owner.id })), [names[0], "seal_edited"]);
  assert.deepEqual(await named(() => forge(null, 2)), [names[2], "seal_unsigned"], "from the middle on");
  const keepSeals = () => {
    forge(null, 2);
    for (const name of [...names.map(sealOf), "head.json"]) put(name, was(name));
  };
  assert.deepEqual(await named(keepSeals), [names[2], "edited"], "the seals left alone");
});

test("segments missing: between, at the beginning, at the end with a head made to fit", async () => {
  const remove = (...gone: string[]) =>
    gone.forEach((name) => [name, sealOf(name)].forEach((each) => unlinkSync(at(each))));
  assert.deepEqual(await named(() => remove(names[1]!)), [names[2], "removed"]);
  assert.deepEqual(await named(() => remove(names[0]!)), [names[1], "removed"]);
  const onlySegment = await verifyWith(() => unlinkSync(at(names[1]!)));
  assert.match(
    onlySegment.broken!.message,
    new RegExp(`missing before record ${firstOf(names[2]!)}.*${names[1]} is gone; its seal is not`),
  );

  const end = firstOf(names.at(-1)!) - 1;
  const { hash } = lastOf(names.at(-2)!);
  const { key: _, ...head } = members("head.json");
  const cutWith = (key: SigningKey | null) => () => {
    remove(names.at(-1)!);
    put("head.json", statementText({ ...head, seq: end, hash }, key));
  };
  assert.equal((await verifyWith(cutWith(null), [])).ok, true, "without signatures nothing shows");
  assert.deepEqual(await named(cutWith(null)), ["head.json", "seal_unsigned"]);
  assert.deepEqual(await named(cutWith(other)), ["head.json", "seal_other_key"]);
  const leavingSeal = () => {
    cutWith(null)();
    put(sealOf(names.at(-1)!), was(sealOf(names.at(-1)!)));
  };
  const { broken } = await verifyWith(leavingSeal, []);
  assert.deepEqual([broken!.segment, broken!.kind, broken!.seq], [names.at(-1), "removed", end + 1]);
  const emptied = () => readdirSync(at(".")).forEach((name) => unlinkSync(at(name)));
  assert.equal((await verifyWith(emptied, [])).ok, true);
  assert.deepEqual(await named(emptied), ["head.json", "seal_missing"]);
});

test("the last, sealed segment: cut, and added to", async () => {
  const last = names.at(-1)!;
  const lines = was(last).toString().trimEnd().split("\n");
  const cut = () => put(last, `${lines.slice(0, -1).join("\n")}\n`);
  assert.deepEqual(await named(cut), [last, "truncated"]);
  const { seq, hash } = openLine(Buffer.from(lines.at(-1)!))!;
  const more = sealLine(denial(1), seq + 1, hash, "2026-01-01T00:00:00.000000Z", "01M8APX9CMZSVDTCJFVCHFP5F0").line;
  for (const trusted of [[], [owner.trusted]]) {
    const { broken } = await verifyWith(() => put(last, `${lines.join("\n")}\n${more}\n`), trusted);
    assert.deepEqual([broken!.segment, broken!.kind, broken!.seq], [last, "inserted", seq + 1]);
    const torn = await verifyWith(() => put(last, `${lines.join("\n")}\n${more}`), trusted);
    assert.deepEqual([torn.broken!.segment, torn.ok], [last, false]);
  }
});

test("what no signature shows: an older state put back whole; the head of a later one, kept elsewhere, does", async () => {
  const directory = temporary(memory);
  await writeRecord(directory, 10, { key: owner });
  const older = copyOf(directory, memory);
  await writeRecord(directory, 10, { key: owner });
  const { head } = await verifyRecord(directory, [owner.trusted]);
  assert.equal((await verifyRecord(older, [owner.trusted])).ok, true);
  const kept = readKnownHeads(readFileSync(join(directory, "events", "head.json"), "utf8")) as Link[];
  assert.deepEqual(kept, [head]);
  const { broken } = await verifyRecord(older, [owner.trusted], new KnownHeads(kept));
  assert.deepEqual([broken!.kind, broken!.seq], ["truncated", 11]);
  assert.equal((await verifyRecord(directory, [owner.trusted], new KnownHeads(kept))).ok, true);
});

test("another past signed by the owner's own key, as root can: every head kept elsewhere names the first it does not fit", async () => {
  const lines = names.flatMap((name) => was(name).toString().trimEnd().split("\n"));
  const heads = lines.map((line) => openLine(Buffer.from(line))!);
  assert.equal((await verifyWith(() => forge(owner, 2))).ok, true);
  const from = firstOf(names[2]!);
  for (const seq of [from, from + 5, count]) {
    const { broken } = await verifyRecord(work, [owner.trusted], new KnownHeads([heads[3]!, heads[seq - 1]!]));
    assert.deepEqual([broken!.kind, broken!.seq], ["edited", seq]);
    assert.match(broken!.message, /kept elsewhere/);
  }
  assert.equal((await verifyRecord(work, [owner.trusted], new KnownHeads(heads.slice(0, from - 1)))).ok, true);
  const both = [heads[from]!, { seq: from + 1, hash: (await allEvents(work))[from]!.hash }];
  assert.equal((await verifyRecord(work, [], new KnownHeads(both))).ok, false, "two pasts were seen");
});

test("copies of head.json are read line by line, and what is none is named", () => {
  const [head, other] = [
    was("head.json").toString(),
    JSON.stringify({ schema: "sallyport.head/1", seq: 1, hash: genesis.hash }),
  ];
  assert.deepEqual(readKnownHeads(`${head}\n${other}\n`), [
    { seq: count, hash: members("head.json")["hash"] },
    { seq: 1, hash: genesis.hash },
  ]);
  for (const line of ["x", "{}", other.replace("1,", "-1,"), other.replace("0000", "000")]) {
    assert.equal(readKnownHeads(`${head}${line}\n`), 2, line);
  }
  assert.deepEqual(readKnownHeads(""), []);
});

test("a restart begins a new segment, and so another key may take over", async () => {
  const directory = temporary(memory);
  for (const key of [owner, other]) await writeRecord(directory, 5, { key });
  assert.equal(segmentsOf(directory).length, 2);
  assert.equal((await verifyRecord(directory, [owner.trusted, other.trusted])).ok, true);
  const old = await verifyRecord(directory, [owner.trusted]);
  assert.deepEqual([old.broken!.segment, old.broken!.kind], [segmentsOf(directory)[1], "seal_other_key"]);
  const told = await allEvents(directory, { kind: "lifecycle" });
  assert.deepEqual(
    told.map(({ seq, data }) => [seq, data]),
    [[6, { key: other.id, head: "other_key" }]],
  );
});

test("signing that begins or ends in the middle of a record is told in it, and does not vouch for what was before", async () => {
  const directory = temporary(memory);
  await writeRecord(directory, 5);
  await writeRecord(directory, 5, { key: owner });
  const [first] = segmentsOf(directory);
  assert.equal((await verifyRecord(directory)).ok, true);
  const { broken } = await verifyRecord(directory, [owner.trusted]);
  assert.deepEqual([broken!.segment, broken!.kind], [first, "seal_unsigned"]);
  await writeRecord(directory, 5);
  const told = await allEvents(directory, { kind: "lifecycle" });
  assert.deepEqual(
    told.map(({ message }) => /signed from here on|signed up to here/.exec(message!)?.[0]),
    ["signed from here on", "signed up to here"],
  );
});

test("a signed record that a crash left open is gone on with, and what came after its signed head is told", async () => {
  const directory = temporary(memory);
  const spool = await Spool.open({ directory, key: owner, syncMs: 60_000 });
  spool.append(denial(1));
  await spool.flush();
  const head = readFileSync(join(directory, "events", "head.json"));
  for (let port = 2; port <= 4; port++) spool.append(denial(port));
  await spool.flush();
  const crashed = afterCrash(directory);
  await spool.close();
  writeFileSync(join(crashed, "events", "head.json"), head);
  const { ok, notes } = await verifyRecord(crashed, [owner.trusted]);
  assert.equal(ok, true);
  assert.match(notes.join(), /Records 2 to 4 came after the last signed head/);
  await writeRecord(crashed, 1, { key: owner });
  assert.equal(segmentsOf(crashed).length, 1);
  assert.equal((await verifyRecord(crashed, [owner.trusted])).ok, true);
  const [told] = await allEvents(crashed, { kind: "lifecycle" });
  assert.deepEqual([told!.seq, told!.data], [5, { first: 2, last: 4 }]);
});

test("an open segment cut at any record: found by the signed head, whatever head is put in its place", async () => {
  const directory = temporary(memory);
  const spool = await Spool.open({ directory, key: owner });
  for (let port = 1; port <= 5; port++) spool.append(denial(port));
  await spool.flush();
  const open = afterCrash(directory);
  await spool.close();
  const [name] = segmentsOf(open);
  const file = (each: string) => join(open, "events", each);
  const lines = readFileSync(file(name!), "utf8").trimEnd().split("\n");
  for (let kept = 0; kept < lines.length; kept++) {
    writeFileSync(
      file(name!),
      lines
        .slice(0, kept)
        .map((line) => `${line}\n`)
        .join(""),
    );
    const { broken } = await verifyRecord(open, [owner.trusted]);
    assert.deepEqual([broken!.kind, broken!.seq], ["truncated", kept + 1]);
    const cut = copyOf(open, memory);
    const { seq, hash } = kept === 0 ? genesis : openLine(Buffer.from(lines[kept - 1]!))!;
    const head = { schema: "sallyport.head/1", seq, hash, segment: name, time: "" };
    for (const [key, kind] of [
      [null, "seal_unsigned"],
      [other, "seal_other_key"],
    ] as const) {
      writeFileSync(join(cut, "events", "head.json"), statementText(head, key));
      assert.equal((await verifyRecord(cut)).ok, true);
      assert.equal((await verifyRecord(cut, [owner.trusted])).broken!.kind, kind);
    }
  }
});

test("a head that another key signed is not gone on with", async () => {
  const directory = temporary(memory);
  const spool = await Spool.open({ directory, key: other });
  spool.append(denial(1));
  await spool.flush();
  const crashed = afterCrash(directory);
  await spool.close();
  await writeRecord(crashed, 1, { key: owner });
  assert.equal(segmentsOf(crashed).length, 2);
  const [told] = await allEvents(crashed, { kind: "lifecycle" });
  assert.deepEqual(told!.data, { key: owner.id, head: "other_key" });
  assert.deepEqual((await verifyRecord(crashed, [owner.trusted, other.trusted])).broken!.kind, "seal_unsigned");
});

test("a deleted beginning is vouched for by no line that is not in the chain, such as one without its newline", async () => {
  const directory = temporary(memory);
  const spool = await Spool.open({ ...small, directory, key: owner });
  for (let port = 1; port <= count; port++) spool.append(denial(port));
  await spool.flush();
  const crashed = afterCrash(directory);
  await spool.close();
  assert.equal((await verifyRecord(crashed, [owner.trusted])).ok, true);
  const [first, second] = segmentsOf(crashed);
  const newest = join(crashed, "events", segmentsOf(crashed).at(-1)!);
  const end = lastOf(first!, readFileSync(join(crashed, "events", first!)));
  for (const file of [first!, sealOf(first!)]) unlinkSync(join(crashed, "events", file));
  assert.equal(firstOf(second!), end.seq + 1);
  // Whoever has no key: a record of a low number, which signatures vouch for, says that retention deleted the beginning.
  const retention = { after: genesis, ends: [{ seq: end.seq, hash: end.hash }], missing: [] };
  const body = { kind: "lifecycle", message: "Retention deletes 1 segments.", data: { retention } } as const;
  const { line } = sealLine(body, 1, genesis.hash, "2026-05-04T09:00:00.000000Z", "01JTCW9E0V0000000000000000");
  appendFileSync(newest, line);
  for (const trusted of [[owner.trusted], []]) {
    const { ok, broken } = await verifyRecord(crashed, trusted);
    assert.deepEqual([ok, broken?.kind, broken?.seq], [false, "removed", 1]);
  }
  const plan = await planRetention(crashed, { keepMs: null, keepBytes: 1 }, Date.now());
  assert.deepEqual(
    plan.retention!.missing,
    [{ first: 1, last: end.seq }],
    "the next retention does not believe it either",
  );
});
