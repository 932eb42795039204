/**
 * An export never opens more than the policy: whatever it lists, for whomever, the policy itself allows, unless a note says
 * that it is wider. And what was exported to harden-runner comes back as it was.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { matchesPattern } from "../address/pattern.ts";
import { compile } from "../policy/compile.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { names, now, policies } from "../policy/policy.arbitrary.ts";
import { answer, isQuestionDefect, readQuestion, setScene } from "../policy/question.ts";
import { allowedHosts } from "./allowed.ts";
import { exportPolicy } from "./export.ts";
import { importPolicy } from "./import.ts";
import { Notes } from "./note.ts";

describe("an export", () => {
  test("lists nothing that the policy does not allow", () => {
    let listed = 0;
    fc.assert(
      fc.property(policies, fc.constantFrom(null, "one", "wide"), (policy, source) => {
        const engine = compile(policy, now);
        const scene = setScene(policy, engine);
        const notes = new Notes();
        for (const { host, pattern, port, protocol } of allowedHosts(policy, engine, { source, now }, notes)) {
          for (const name of names.filter((each) => matchesPattern(pattern, each))) {
            const endpoint = `${name}:${port ?? 8443}`;
            if (protocol === "icmp") continue;
            const question = readQuestion(scene, {
              source: source ?? "any",
              endpoint,
              protocol,
              ech: false,
              process: null,
            });
            if (isQuestionDefect(question)) continue;
            listed++;
            const { outcome } = answer(scene, question);
            assert.equal(outcome.answer, "allow", `${host} lists ${endpoint} ${protocol} for ${source}`);
          }
        }
      }),
      { numRuns: 600 },
    );
    assert.ok(listed > 300, `${listed} names were listed`);
  });

  test("to harden-runner comes back with the same hosts", () => {
    const text = 'version: 1\nrules:\n  - { name: a, to: [pypi.org, "**.deep.example", "db.example:22,80"] }\n';
    const loaded = loadPolicy(text, "sallyport.yaml", new Date(now));
    assert.ok(!isPolicyProblems(loaded));
    const exported = exportPolicy(loaded.policy, loaded.engine, "harden-runner", { source: null, now });
    assert.ok(exported.complete);
    const step = exported.text.replaceAll(/^#.*\n/gm, "").replaceAll(/^/gm, "        ");
    const workflow = `jobs:\n  build:\n    steps:\n      - uses: step-security/harden-runner@v2\n${step}`;
    const options = { sources: new Map<string, string[]>(), anySource: false, job: null, web: false };
    const imported = importPolicy(workflow, "build.yml", null, options);
    assert.ok(!isPolicyProblems(imported) && imported.complete, JSON.stringify(imported));
    const again = loadPolicy(imported.text, "again.yaml", new Date(now));
    assert.ok(!isPolicyProblems(again));
    const hosts = (policy: typeof loaded.policy, rule: string) =>
      policy.rules
        .filter(({ name }) => name === rule)
        .flatMap(({ targets }) =>
          targets.flatMap(({ endpoint, services }) =>
            services.map((each) => `${endpoint.text} ${each.port} ${each.protocol}`),
          ),
        )
        .toSorted();
    assert.deepEqual(hosts(again.policy, "job build"), hosts(loaded.policy, "a"));
  });
});
