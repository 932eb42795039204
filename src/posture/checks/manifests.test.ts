/** Runner sets in Kubernetes: ephemeral or not, and whether a network policy closes their way out; a template is not read as one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { check, repository } from "../testing/repository.ts";

const set = (spec: string) =>
  `apiVersion: actions.summerwind.dev/v1alpha1\nkind: RunnerDeployment\nmetadata: { name: r, namespace: ci }\nspec:\n  template:\n    metadata: { labels: { app: runner } }\n    spec: ${spec}\n`;
const scale =
  "apiVersion: actions.github.com/v1alpha1\nkind: AutoscalingRunnerSet\nmetadata: { name: s, namespace: ci }\nspec: { template: { metadata: { labels: { app: runner } } } }\n";
const policy = (to: string, selector = "{ matchLabels: { app: runner } }") =>
  `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: n, namespace: ci }\nspec:\n  podSelector: ${selector}\n  policyTypes: [Egress]\n  egress: ${to}\n`;
const said = (rule: string, ...texts: string[]) =>
  check(repository({}, { infrastructure: [{ path: "k8s.yaml", text: texts.join("---\n") }] }))
    .filter((each) => each.rule === rule)
    .map(({ status, seen }) => `${status}: ${seen}`);
const expect = (list: string[], ...patterns: RegExp[]) => {
  assert.equal(list.length, patterns.length, list.join("\n"));
  for (const [i, pattern] of patterns.entries()) assert.match(list[i]!, pattern);
};

test("RG-01: a scale set is ephemeral, the older kinds unless they say not", () => {
  expect(said("RG-01", scale), /^pass: AutoscalingRunnerSet/);
  expect(said("RG-01", set("{}")), /^pass: .*by default/);
  expect(said("RG-01", set("{ ephemeral: false }")), /^fail: .*ephemeral: false/);
  expect(said("RG-01", set('{ ephemeral: "no" }')), /^unknown/);
  expect(said("RG-01", "{{- if .x }}\n" + scale), /^unknown: .*template/);
});

test("RG-19: a policy counts for its namespace and labels; open ones add up; a closed one still has to be enforced", () => {
  const gateway = "[{ to: [{ ipBlock: { cidr: 10.0.0.1/32 } }] }]";
  expect(said("RG-19", scale), /^unknown: no NetworkPolicy/);
  expect(said("RG-19", scale, policy(gateway)), /^unknown: egress only as k8s\.yaml:6 \(n\)/);
  expect(
    said("RG-19", scale, policy(gateway), policy("[{ to: [{ ipBlock: { cidr: 0.0.0.0/0 } }] }]", "{}")),
    /^fail: open/,
  );
  expect(said("RG-19", scale, policy("[{ ports: [{ port: 443 }] }]")), /^fail: open/);
  expect(said("RG-19", scale, policy(gateway, "{ matchLabels: { app: other } }")), /^unknown: no NetworkPolicy/);
  expect(
    said("RG-19", scale, policy(gateway).replace("namespace: ci", "namespace: else")),
    /^unknown: no NetworkPolicy/,
  );
  expect(said("RG-19", set("{ hostNetwork: true }"), policy(gateway)), /^fail: hostNetwork/);
});
