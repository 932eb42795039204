/**
 * The battery as part of the tests (`README.md`): nothing gets out, what must work works, monitor mode changes nothing, and the
 * record has an event for every attempt. The whole of it, which takes a quarter of an hour on two cores.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runBatteryTwice } from "./battery.ts";
import { caseName, type CaseResult } from "./case.ts";
import { allCases } from "./cases.ts";
import { matrix, summary, troubles } from "./matrix.ts";
import { score } from "./score.ts";

test("every case is held, works, and is told", { timeout: 2_300_000 }, async (t) => {
  const cases = allCases();
  const { cases: results, problems } = await runBatteryTwice({ cases });
  t.diagnostic(`${cases.length} cases: ${summary(results)}`);
  const again = results.filter(({ evidence }) => evidence.first !== undefined);
  for (const { id, result, evidence } of again) t.diagnostic(`${id}: ${evidence.first}, then ${result}`);
  assert.equal(troubles(results), "", matrix(results, false));
  assert.deepEqual(problems, []);
});

describe("the rows of names, DNS and transport", () => {
  test("each have a case, in every front, mode and family that it has a form in", () => {
    const rows = new Set(allCases().map(({ row }) => row));
    const expected = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((n) => `N${n}`);
    expected.push(...[1, 2, 3, 4, 5, 6, 7, 8].map((n) => `D${n}`));
    expected.push(...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map((n) => `T${n}`), "tool", "works");
    assert.deepEqual(
      expected.filter((row) => !rows.has(row)),
      [],
    );
  });

  test("have cases with names of their own", () => {
    const names = allCases().map(caseName);
    assert.equal(new Set(names).size, names.length);
  });
});

describe("scoring", () => {
  const attack = { kind: "attack", row: "N1", variant: "x", run: async () => {}, refusal: {} } as const;
  const nothing = { marker: "m", ms: 1, arrived: [], instead: [] };
  const arrived = { ...nothing, arrived: ["wire"] };
  const event = { reason: "default" } as never;
  const result = (mode: "enforce" | "monitor", here: object, open: object = arrived): CaseResult["result"] =>
    score(attack, { front: "gateway", mode, family: 4 }, { ...nothing, ...here }, { ...nothing, ...open }).result;

  test("what arrives under enforcement is a leak, whatever the record says", () => {
    assert.equal(result("enforce", { arrived: ["wire"], event }), "leak");
    assert.equal(result("enforce", { arrived: ["wire"] }, nothing), "leak");
  });

  test("an attempt that gets nowhere by itself proves nothing", () => {
    assert.equal(result("enforce", { event }, nothing), "inconclusive");
    assert.equal(result("monitor", { event }, nothing), "inconclusive");
  });

  test("a denial without its event, or with another's, is not held", () => {
    assert.equal(result("enforce", {}), "no-event");
    assert.equal(result("enforce", { instead: [event] }), "wrong-reason");
    assert.equal(result("enforce", { event }), "held");
  });

  test("what no address translation carries need not arrive from a run, and must from everywhere else", () => {
    const of = (front: "gateway" | "run", mode: "enforce" | "monitor", family: 4 | 6, where: string[] = []) =>
      score({ ...attack, untranslated: [6] }, { front, mode, family }, { ...nothing, event, arrived: where }, arrived)
        .result;
    assert.equal(of("run", "monitor", 6), "works");
    assert.equal(of("run", "monitor", 4), "broken");
    assert.equal(of("gateway", "monitor", 6), "broken");
    assert.equal(of("run", "enforce", 6, ["wire"]), "leak");
  });

  test("monitor mode lets it arrive and tells", () => {
    assert.equal(result("monitor", { event }), "broken");
    assert.equal(result("monitor", { event, arrived: ["wire"] }), "works");
    assert.equal(result("monitor", { arrived: ["wire"] }), "no-event");
  });
});
