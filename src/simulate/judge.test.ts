/** Never guessed: each way in which a verdict lacks its proof is inconclusive, and the exit code does not call it success. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newCanary } from "./canary.ts";
import { choose } from "./catalogue.ts";
import { judgeInRange, judgeLive, type LiveFacts, type RangeFacts, type Result } from "./judge.ts";
import { exitCodeOf, simulationOf } from "./outcome.ts";
import { proofOf, sign, type Testimony, type Unsigned, verify } from "./sink/testimony.ts";
import type { Verdict } from "./technique.ts";

const token = "a-token-of-this-test";
const technique = choose(["udp-datagram"])[0]!;
const fronting = choose(["domain-fronting"])[0]!;
const [first, second] = [newCanary(token, technique.id), newCanary(token, technique.id)];
const sent = { fired: true, saw: "no answer" } as const;

function testimony(canaries: string[], more: Partial<Unsigned> = {}): Testimony {
  return sign(token, {
    schema: "sallyport.testimony/1",
    sink: "s",
    since: "2026-01-01T00:00:00.000Z",
    until: "2026-01-01T01:00:00.000Z",
    nonce: null,
    serving: { tcp: [], udp: [], zone: null, capture: true },
    sightings: canaries.map((canary) => ({ canary, form: "plain", channel: "udp", where: "203.0.113.1:9100", at: "" })),
    incomplete: false,
    ...more,
  });
}

describe("in a range", () => {
  const facts: RangeFacts = {
    technique,
    unmet: null,
    control: { fired: sent, canary: first },
    behind: { fired: sent, canary: second },
    testimony: testimony([first]),
    denial: null,
  };
  const cases: [string, Partial<RangeFacts>, Verdict][] = [
    ["seen without the firewall and not behind it", {}, "blocked"],
    ["seen behind it", { testimony: testimony([first, second]) }, "reached"],
    [
      "seen behind it though the probe claims not to have sent",
      { testimony: testimony([second]), behind: { fired: null, canary: second } },
      "reached",
    ],
    ["not seen without the firewall", { testimony: testimony([]) }, "inconclusive"],
    ["the sink gone", { testimony: "the sink is gone" }, "inconclusive"],
    ["packets lost", { testimony: testimony([first], { incomplete: true }) }, "inconclusive"],
    [
      "not made behind the firewall",
      { behind: { fired: { fired: false, why: "EPERM" }, canary: second } },
      "inconclusive",
    ],
    ["no report from behind the firewall", { behind: { fired: null, canary: second } }, "inconclusive"],
    ["something lacking", { unmet: "there is no IPv6 here" }, "inconclusive"],
  ];
  for (const [title, change, verdict] of cases) {
    test(`${title}: ${verdict}`, () => assert.equal(judgeInRange({ ...facts, ...change }).verdict, verdict));
  }
});

describe("live", () => {
  const facts: LiveFacts = {
    technique,
    unmet: null,
    canary: second,
    fired: sent,
    echo: "e",
    testimony: testimony([first]),
  };
  const cases: [string, Partial<LiveFacts>, Verdict][] = [
    ["the sink saw the technique before, and not this attempt", {}, "blocked"],
    ["the sink saw this attempt", { testimony: testimony([second]) }, "reached"],
    ["the sink's echo came back", { fired: { ...sent, echo: "e" }, testimony: "gone" }, "reached"],
    ["somebody else's echo came back", { fired: { ...sent, echo: "f" } }, "blocked"],
    ["no testimony", { testimony: "no testimony" }, "inconclusive"],
    ["a sink that never saw the technique", { testimony: testimony([]) }, "inconclusive"],
    ["a sink that saw another technique", { testimony: testimony([newCanary(token, "no-sni")]) }, "inconclusive"],
    ["not made", { fired: { fired: false, why: "EPERM" } }, "inconclusive"],
    ["a sink that lost something", { testimony: testimony([first], { incomplete: true }) }, "inconclusive"],
  ];
  for (const [title, change, verdict] of cases) {
    test(`${title}: ${verdict}`, () => assert.equal(judgeLive({ ...facts, ...change }).verdict, verdict));
  }
});

describe("the exit code", () => {
  const about = {
    version: "0",
    started: "",
    ended: "",
    mode: "live",
    policy: null,
    sink: "s",
    machine: { kernel: "", architecture: "", node: "" },
  } as const;
  const code = (verdicts: [typeof technique, Verdict][], accepts = false) => {
    const results = verdicts.map(([of, verdict]): Result => ({
      technique: of,
      verdict,
      why: "",
      saw: null,
      sightings: [],
      denial: null,
    }));
    return exitCodeOf(simulationOf(about, results), accepts);
  };

  test("is 0 only where all that should be blocked was", () => {
    assert.equal(
      code([
        [technique, "blocked"],
        [fronting, "reached"],
      ]),
      0,
    );
    assert.equal(
      code([
        [technique, "blocked"],
        [fronting, "inconclusive"],
      ]),
      0,
    );
    assert.equal(code([[technique, "inconclusive"]]), 1);
    assert.equal(code([[technique, "inconclusive"]], true), 0);
    assert.equal(code([[technique, "reached"]], true), 3);
  });
});

describe("a testimony", () => {
  test("is taken as signed, and in no other form", () => {
    const text = JSON.stringify(testimony([first]));
    assert.deepEqual(verify(token, text), JSON.parse(text));
    for (const [what, changed] of [
      ["a sighting taken out", JSON.stringify({ ...testimony([first]), sightings: [] })],
      ["a later end", text.replace("01:00:00", "02:00:00")],
      ["no signature", JSON.stringify({ ...testimony([first]), signature: undefined })],
      ["another version", text.replace("testimony/1", "testimony/2")],
      ["a list", "[]"],
      ["nothing", "null"],
      ["half", text.slice(0, 100)],
    ] as const) {
      assert.equal(typeof verify(token, changed), "string", what);
    }
    assert.equal(typeof verify("another-token-of-this", text), "string", "another token");
    assert.notEqual(proofOf(token, "hello", "n"), proofOf(token, "testimony", "n"), "a proof is for one purpose");
  });
});
