/** A live connection is judged again by what was known when it began, its process included (threat T8). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress } from "../address/ip.ts";
import type { Engine, ProcessFacts } from "../policy/decision.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { stillPasses } from "./ledger.ts";
import type { LiveFlow } from "./messages.ts";

const flow: LiveFlow = {
  source: parseAddress("10.0.0.2")!,
  sourcePort: 40_000,
  destination: parseAddress("198.51.100.7")!,
  destinationPort: 443,
  transport: "tcp",
  protocol: 6,
  local: false,
  process: null,
  who: null,
  application: "tls",
  name: "a.example",
  names: ["a.example"],
  ech: false,
  begunEnforced: true,
  verdict: "allow",
  rule: "a",
  monitored: [],
  tier: 2,
  since: 0,
};

function engine(rules: string): Engine {
  const loaded = loadPolicy(`version: 1\nrules:\n${rules}\n`, "p.yaml", new Date(0));
  assert.ok(!isPolicyProblems(loaded), JSON.stringify(loaded));
  return loaded.engine;
}

test("a connection of the process that a rule asks for lives on, another's is ended, an unknown one's is", () => {
  const asking = engine("  - { name: a, from: { process: { step: setup, exe: /usr/bin/curl } }, to: a.example }");
  const denying = engine(
    "  - { name: no, from: { process: { step: build } }, to: a.example, action: deny }\n  - { name: a, to: a.example }",
  );
  const curl: ProcessFacts = { step: "setup", action: null, exe: "/usr/bin/curl", runner: false };
  const cases: [ProcessFacts | null, boolean, boolean][] = [
    [curl, true, true],
    [{ ...curl, step: "build" }, false, false],
    [{ ...curl, exe: null }, false, true],
    [null, false, false],
  ];
  for (const [process, asked, denied] of cases) {
    for (const application of ["tls", null] as const) {
      const live = { ...flow, process, application, name: application === null ? null : flow.name };
      assert.equal(
        stillPasses(asking, live, () => []),
        asked,
        JSON.stringify(live),
      );
      assert.equal(
        stillPasses(denying, live, () => []),
        denied,
        JSON.stringify(live),
      );
    }
  }
});
