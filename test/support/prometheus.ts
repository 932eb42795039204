/** Metrics read by the parser of Prometheus' own Python client (Debian's python3-prometheus-client), not by ours. */
import { spawnSync } from "node:child_process";
import assert from "node:assert/strict";

const reader = `
import json, sys
from prometheus_client.parser import text_string_to_metric_families
out = []
for family in text_string_to_metric_families(sys.stdin.read()):
    samples = [{"name": s.name, "labels": s.labels, "value": repr(float(s.value))} for s in family.samples]
    out.append({"name": family.name, "type": family.type, "help": family.documentation, "samples": samples})
json.dump(out, sys.stdout)
`;

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface Family {
  name: string;
  type: string;
  help: string;
  samples: Sample[];
}

/** Throws where the text is not Prometheus' format. */
export function readMetrics(text: string): Family[] {
  const { stdout, stderr, status } = spawnSync("/usr/bin/python3", ["-c", reader], { input: text, encoding: "utf8" });
  assert.equal(status, 0, `${stderr}\n(the Debian package python3-prometheus-client is needed)`);
  const families = JSON.parse(stdout) as Family[];
  for (const family of families) for (const sample of family.samples) sample.value = numberOf(String(sample.value));
  return families;
}

/** As Python prints it. */
function numberOf(text: string): number {
  return text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text);
}

/** The sum of a metric's samples whose labels hold these. */
export function total(families: readonly Family[], name: string, labels: Record<string, string> = {}): number {
  const found = families
    .flatMap((family) => family.samples)
    .filter((each) => each.name === name && Object.entries(labels).every(([key, value]) => each.labels[key] === value));
  return found.reduce((sum, { value }) => sum + value, 0);
}
