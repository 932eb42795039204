/** Files of one line are replaced whole, whoever else writes at once and whatever somebody put beside them. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Spool } from "./spool.ts";
import { replaceFile, sweepUnfinished } from "./small-file.ts";
import { denial, memory, runModule, outputOf, temporary } from "./test-support.ts";
import { verifyRecord } from "./verify.ts";

test("many who write at once leave one of their texts, whole, and nothing beside it", async () => {
  const folder = temporary(memory);
  const path = join(folder, "head.json");
  const texts = Array.from({ length: 40 }, (_, i) => `${String(i).repeat(2000)}\n`);
  const child = runModule(
    `const { replaceFile } = await import(room + "/small-file.ts");
     for (let i = 0; i < 100; i++) await replaceFile(process.argv[1], "x".repeat(3000 + i) + "\\n");`,
    [path],
  );
  for (let round = 0; round < 5; round++) {
    await Promise.all(texts.map((text) => replaceFile(path, text)));
    assert.ok(texts.includes(readFileSync(path, "utf8")) || /^x+\n$/.test(readFileSync(path, "utf8")));
  }
  assert.equal((await outputOf(child)).code, 0);
  assert.deepEqual(readdirSync(folder), ["head.json"]);
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test("what was planted under the name of an unfinished file, a link or a folder, is neither written to nor in the way", async () => {
  const folder = temporary(memory);
  const victim = join(folder, "victim");
  writeFileSync(victim, "mine\n");
  const path = join(folder, "siem.json");
  for (const plant of [() => symlinkSync(victim, `${path}.new`), () => mkdirSync(`${path}.folder.new`)]) {
    plant();
    await replaceFile(path, "{}\n");
    assert.deepEqual([readFileSync(path, "utf8"), readFileSync(victim, "utf8")], ["{}\n", "mine\n"]);
  }
  mkdirSync(join(folder, "taken.json"));
  await assert.rejects(replaceFile(join(folder, "taken.json"), "{}\n"), { code: "EISDIR" });
  await sweepUnfinished(folder);
  assert.deepEqual(readdirSync(folder).toSorted(), ["siem.json", "siem.json.folder.new", "taken.json", "victim"]);
});

test("a start takes away what a crash left of a head or a seal, and verification does not mind it", async () => {
  const directory = temporary(memory);
  const events = join(directory, "events");
  const write = async () => {
    const spool = await Spool.open({ directory });
    spool.append(denial(1));
    await spool.close();
  };
  await write();
  const left = ["head.json.0123456789abcdef.new", "events-000000000001.seal.json.0123456789abcdef.new"];
  for (const name of left) writeFileSync(join(events, name), '{"sch');
  assert.deepEqual((await verifyRecord(directory)).notes, []);
  await write();
  assert.ok(!readdirSync(events).some((name) => name.endsWith(".new")));
});
