/**
 * What comes out of an import means what went in: flows that the product lets through are let through, and flows that it
 * refuses are refused, asked of our own evaluator.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import fc from "fast-check";
import { stringify } from "yaml";
import type { Protocol } from "../policy/decision.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { answer, isQuestionDefect, readQuestion, setScene } from "../policy/question.ts";
import type { Scene } from "../policy/question.ts";
import type { ImportOptions } from "./context.ts";
import { importPolicy } from "./import.ts";

const plain: ImportOptions = { sources: new Map(), anySource: false, job: null, web: false };

function sceneOf(text: string, options: Partial<ImportOptions> = {}): Scene {
  const imported = importPolicy(text, "theirs", null, { ...plain, ...options });
  assert.ok(!isPolicyProblems(imported), JSON.stringify(imported));
  const loaded = loadPolicy(imported.text, "ours", new Date("2030-01-01T00:00:00Z"));
  assert.ok(!isPolicyProblems(loaded), imported.text);
  return setScene(loaded.policy, loaded.engine);
}

function verdict(scene: Scene, source: string, endpoint: string, protocol: Protocol | null = null): string {
  const question = readQuestion(scene, { source, endpoint, protocol, ech: false, process: null });
  assert.ok(!isQuestionDefect(question), JSON.stringify(question));
  return answer(scene, question).outcome.verdict;
}

const golden = (name: string) =>
  readFileSync(new URL(`golden/${name}.txt`, import.meta.url), "utf8").split("----\n")[0]!;

type Flow = [source: string, endpoint: string, protocol: Protocol | null, verdict: string];

const imports: Record<string, { file: string; options?: Partial<ImportOptions>; flows: Flow[] }> = {
  "harden-runner": {
    file: "harden-runner",
    flows: [
      ["any", "github.com", null, "allow"],
      ["any", "files.pythonhosted.org", null, "allow"],
      ["any", "a.example.com", null, "allow"],
      ["any", "a.b.example.com", null, "allow"],
      ["any", "example.com", null, "deny"],
      ["any", "sa.blob.example", null, "allow"],
      ["any", "sa12.blob.example", null, "allow"],
      ["any", "xcorp.example:8443", "tcp", "allow"],
      ["any", "db.example:5432", "tcp", "allow"],
      ["any", "db.example", null, "deny"],
      ["any", "pypi.org:80", null, "deny"],
      ["any", "evil.example", null, "deny"],
      ["any", "productionresultssa7.blob.core.windows.net", null, "allow"],
      ["any", "productionresultssaevil.blob.core.windows.net", null, "deny"],
      ["any", "203.0.113.7:443", "tls", "deny"],
      ["any", "pypi.org:443", "udp", "deny"],
    ],
  },
  "a harden-runner that only audits": {
    file: "harden-runner-jobs",
    options: { job: "test" },
    flows: [
      ["any", "pypi.org", null, "allow"],
      ["any", "evil.example", null, "would_deny"],
    ],
  },
  "GitHub's file": {
    file: "github",
    flows: [
      ["any", "api.github.com", null, "allow"],
      ["any", "api.github.com:80", null, "allow"],
      ["any", "codeload.github.com", null, "allow"],
      ["any", "x.example.com", null, "deny"],
      ["any", "api.github.com:22", null, "deny"],
    ],
  },
  "GitHub's file without its defaults": {
    file: "github-log",
    flows: [
      ["any", "pypi.org", null, "allow"],
      ["any", "github.com", null, "would_deny"],
    ],
  },
  Bullfrog: {
    file: "bullfrog",
    flows: [
      ["any", "hub.docker.com:9000", "tcp", "allow"],
      ["any", "203.0.113.7:25", "tcp", "allow"],
      ["any", "203.0.113.7:53", "udp", "allow"],
      ["any", "203.0.113.8:25", "tcp", "deny"],
    ],
  },
  CargoWall: {
    file: "cargowall",
    flows: [
      ["any", "pypi.org", null, "allow"],
      ["any", "below.pypi.org", null, "allow"],
      ["any", "pypi.org:80", null, "would_deny"],
      ["any", "auth.docker.io:25", "tcp", "allow"],
      ["any", "one.svc.example:8080", "tcp", "allow"],
      ["any", "one.two.svc.example", null, "would_deny"],
      ["any", "one.two.deep.example", null, "allow"],
      ["any", "[2001:db8::1]:443", "tcp", "allow"],
      ["any", "[2001:db8::1]:80", "tcp", "would_deny"],
    ],
  },
  "CargoWall, the web alone": {
    file: "cargowall",
    options: { web: true },
    flows: [
      ["any", "auth.docker.io", null, "allow"],
      ["any", "auth.docker.io:25", "tcp", "would_deny"],
      ["any", "auth.docker.io:443", "udp", "would_deny"],
      ["any", "203.0.113.7:53", "udp", "allow"],
    ],
  },
  "Cilium's policies": {
    file: "cilium",
    options: { sources: new Map([["builders", ["10.3.0.0/16"]]]) },
    flows: [
      ["builders", "pypi.org", null, "allow"],
      ["builders", "a.example.com", null, "allow"],
      ["builders", "a.b.example.com", null, "deny"],
      ["builders", "a.b.deep.example", null, "allow"],
      ["builders", "cdn.example.net", null, "allow"],
      ["builders", "any.example:9999", "udp", "allow"],
      ["builders", "api.example", null, "deny"],
      ["builders", "pypi.org/198.51.100.7", null, "deny"],
      ["builders", "time.example:123", "udp", "allow"],
      ["any", "time.example:123", "udp", "allow"],
      ["any", "time.example:123", "tcp", "deny"],
      ["any", "203.0.113.9:8001", "tcp", "allow"],
      ["any", "203.0.113.9:8003", "tcp", "deny"],
      ["any", "pypi.org", null, "deny"],
    ],
  },
  "Aviatrix's rules": {
    file: "aviatrix",
    flows: [
      ["python runners", "pypi.org", null, "allow"],
      ["python runners", "a.b.pythonhosted.org", null, "allow"],
      ["python runners", "pypi.org:80", null, "deny"],
      ["python runners", "198.51.100.7:9", "udp", "allow"],
      ["any", "198.51.100.7", "icmp", "allow"],
      ["any", "pypi.org", null, "deny"],
      ["any", "198.51.100.8:443", "tcp", "deny"],
    ],
  },
  "Aviatrix's state": {
    file: "aviatrix-state",
    flows: [
      ["runners", "pypi.org:8080", "http", "allow"],
      ["runners", "pypi.org:8443", "tls", "allow"],
      ["runners", "db.example.com:5432", "tcp", "allow"],
      ["runners", "evil.example", null, "would_deny"],
    ],
  },
};

describe("what comes out of an import means what went in", () => {
  for (const [title, { file, options, flows }] of Object.entries(imports)) {
    test(title, () => {
      const scene = sceneOf(golden(file), options);
      const got = flows.map(([source, endpoint, protocol]) => [
        source,
        endpoint,
        protocol,
        verdict(scene, source, endpoint, protocol),
      ]);
      assert.deepEqual(got, flows);
    });
  }

  // acl.go: Decide, in its order.
  test("Smokescreen: any ACL, whoever asks for whatever", () => {
    const hosts = ["a.example", "x.a.example", "b.example", "x.b.example", "c.example"];
    const globs = fc.uniqueArray(fc.constantFrom("a.example", "*.a.example", "b.example", "*.b.example", "*.example"), {
      maxLength: 2,
    });
    const action = fc.constantFrom("open", "report", "enforce");
    const service = fc.record({ action, allowed_domains: globs });
    const acls = fc.record({
      web: service,
      batch: service,
      default: fc.option(service),
      global_deny_list: globs,
      global_allow_list: globs,
    });
    const sources = new Map([
      ["web", ["10.1.0.0/16"]],
      ["batch", ["10.2.0.0/16"]],
    ]);
    const fits = (host: string, list: readonly string[]) =>
      list.some((glob) => (glob.startsWith("*.") ? host.endsWith(glob.slice(1)) : host === glob));
    let passed = 0;
    fc.assert(
      fc.property(acls, ({ web, batch, default: fallback, ...global }) => {
        const services = [
          { name: "web", project: "p", ...web },
          { name: "batch", project: "p", ...batch },
        ];
        const written = {
          version: "v1",
          services,
          ...(fallback === null ? {} : { default: { project: "p", ...fallback } }),
          ...global,
        };
        const scene = sceneOf(stringify(written), { sources });
        for (const [who, rule] of [
          ["web", web],
          ["batch", batch],
          ["any", fallback],
        ] as const) {
          for (const host of hosts) {
            const passes =
              rule !== null &&
              (fits(host, rule.allowed_domains) ||
                (!fits(host, global.global_deny_list) &&
                  (fits(host, global.global_allow_list) || rule.action !== "enforce")));
            const got = verdict(scene, who, `${host}:9000`, "tcp");
            assert.equal(got !== "deny", passes, `${who} ${host} ${got}\n${stringify(written)}`);
            if (passes) passed++;
          }
        }
      }),
      { numRuns: 150 },
    );
    assert.ok(passed > 100);
  });

  // Lowest priority first, the first match decides, watched policies only record; then the default action, or permit.
  test("Aviatrix: any policies, whoever asks for whatever", () => {
    const anywhere = "def000ad-0000-0000-0000-000000000000";
    const internet = "def000ad-0000-0000-0000-000000000001";
    const snis = ["a.example", "*.a.example", "b.example", "*"];
    const hosts = ["a.example", "x.y.a.example", "b.example", "c.example"];
    const policy = fc.record({
      action: fc.constantFrom("PERMIT", "DENY"),
      priority: fc.nat(3),
      watch: fc.boolean(),
      group: fc.nat(snis.length - 1),
      runnersOnly: fc.boolean(),
      port: fc.constantFrom(443, 80),
    });
    const setups = fc.record({
      list: fc.array(policy, { minLength: 1, maxLength: 6 }),
      ending: fc.option(fc.constantFrom("PERMIT", "DENY")),
    });
    let denied = 0;
    fc.assert(
      fc.property(setups, ({ list, ending }) => {
        const policies = list.map(({ action, priority, watch, group, runnersOnly, port }, i) => ({
          name: `policy ${i}`,
          action,
          priority,
          watch,
          protocol: "TCP",
          src_smart_groups: [runnersOnly ? "${aviatrix_smart_group.runners.uuid}" : anywhere],
          dst_smart_groups: [internet],
          web_groups: [`\${aviatrix_web_group.g${group}.uuid}`],
          port_ranges: [{ lo: port }],
        }));
        const groups = snis.map((snifilter, i) => [
          `g${i}`,
          { name: `g${i}`, selector: { match_expressions: [{ snifilter }] } },
        ]);
        const written = {
          resource: {
            aviatrix_smart_group: {
              runners: { name: "runners", selector: { match_expressions: [{ cidr: "10.1.0.0/16" }] } },
            },
            aviatrix_web_group: Object.fromEntries(groups) as object,
            aviatrix_distributed_firewalling_policy_list: { all: { policies } },
            ...(ending === null
              ? {}
              : { aviatrix_distributed_firewalling_default_action_rule: { all: { action: ending } } }),
          },
        };
        const scene = sceneOf(JSON.stringify(written, null, 1));
        const ordered = list.toSorted((a, b) => a.priority - b.priority);
        const isKnown = list.some(({ runnersOnly }) => runnersOnly);
        for (const who of isKnown ? ["runners", "any"] : ["any"]) {
          for (const host of hosts) {
            for (const port of [443, 80]) {
              const first = ordered.find(
                (each) =>
                  !each.watch &&
                  each.port === port &&
                  (who === "runners" || !each.runnersOnly) &&
                  (snis[each.group] === "*" ||
                    snis[each.group] === host ||
                    (each.group === 1 && host.endsWith(".a.example"))),
              );
              const passes = (first?.action ?? ending ?? "PERMIT") === "PERMIT";
              const got = verdict(scene, who, `${host}:${port}`);
              assert.equal(got !== "deny", passes, `${who} ${host}:${port} ${got} ${JSON.stringify(list)} ${ending}`);
              if (!passes) denied++;
            }
          }
        }
      }),
      { numRuns: 200 },
    );
    assert.ok(denied > 200, `${denied} were denied`);
  });
});
