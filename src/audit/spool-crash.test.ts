/** Killed at any moment, the record loses nothing that was confirmed and is never broken, signed or not. A real process, really killed. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { makeKeyPair } from "./key.ts";
import { allEvents, runModule, temporary } from "./test-support.ts";
import { verifyRecord } from "./verify.ts";

const writer = `
const { Spool } = await import(room + "/spool.ts");
const { loadSigningKey } = await import(room + "/key.ts");
const [directory, file] = process.argv.slice(1);
const key = file === undefined ? null : loadSigningKey(file);
const spool = await Spool.open({ directory, key, flushMs: 2, flushBytes: 4096, segmentBytes: 40000 });
for (;;) {
  for (let i = 0; i < 50; i++) spool.append({ kind: "policy", message: "m".repeat(i * 7) });
  await spool.flush();
  console.log(spool.status().synced);
}`;

for (const signed of [false, true])
  test(`kill -9 in the middle of writing, again and again${signed ? ", signed" : ""}`, async () => {
    const directory = temporary();
    const file = join(temporary(), "key");
    const keys = signed ? [makeKeyPair(file)] : [];
    let confirmed = 0;
    for (let round = 0; round < 5; round++) {
      const child = runModule(writer, [directory, ...(signed ? [file] : [])]);
      let output = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
      await once(child.stdout, "data");
      await new Promise((resolve) => setTimeout(resolve, 5 + Math.random() * 60));
      child.kill("SIGKILL");
      await once(child, "close");
      const last = Number(output.trimEnd().split("\n").at(-1));
      assert.ok(last > confirmed, "each run goes on where the last one ended");
      confirmed = last;
      const { records, broken, seals } = await verifyRecord(directory, keys);
      assert.equal(broken, null);
      assert.equal(seals.sealed, seals.closed);
      assert.ok(records >= confirmed, `${records} records, ${confirmed} confirmed`);
    }
    const events = await allEvents(directory);
    assert.deepEqual(
      events.map((event) => event.seq),
      events.map((_, index) => index + 1),
    );
  });
