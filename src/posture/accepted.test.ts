/** Accepted findings: an entry excuses one finding until its last day, and says so when it no longer counts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptedNow, parseAccepted } from "./accepted.ts";
import { check, job, repository } from "./testing/repository.ts";

const findings = check(repository({ "ci.yml": job("push", "ubuntu-latest", "      - run: x") }));
const { id } = findings.find(({ rule, status }) => rule === "RG-10" && status === "fail")!;
const entry = (more = "") => `  - { id: ${id}, owner: sec, reason: soon, expires: 2027-01-31${more} }\n`;
const file = (body: string) => `version: 1\naccepted:\n${body}`;
const at = (time: string) => acceptedNow(parseAccepted(file(entry()), "a.yaml"), findings, "a.yaml", new Date(time));

test("counts to the end of its last day, and is said after it", () => {
  assert.deepEqual([...at("2027-01-31T23:59:59Z").accepted.keys()], [id]);
  const { accepted, notes } = at("2027-02-01T00:00:00Z");
  assert.equal(accepted.size, 0);
  assert.match(notes[0]!, /^a\.yaml:3: .* lapsed on 2027-01-31 \(sec\): it counts again$/);
});

test("an entry that fits nothing any more is said", () => {
  const { notes } = acceptedNow(parseAccepted(file(entry()), "a.yaml"), [], "a.yaml", new Date("2026-11-01T00:00:00Z"));
  assert.match(notes[0]!, /fits nothing/);
});

for (const [name, text] of [
  ["no version", `accepted:\n${entry()}`],
  ["another key", file(`${entry()}more: 1\n`)],
  ["no owner", file(entry().replace("owner: sec, ", ""))],
  ["an empty reason", file(entry().replace("reason: soon", 'reason: " "'))],
  ["a key of nobody's", file(entry(", severity: low"))],
  ["a day that does not exist", file(entry().replace("2027-01-31", "2027-02-30"))],
  ["no id", file(entry().replace(id, "RG-10"))],
  ["twice", file(entry() + entry())],
  ["tabs", "version: 1\naccepted:\n\t- x\n"],
  ["no list", "version: 1\naccepted: yes\n"],
] as const)
  test(`refused, with its line: ${name}`, () => {
    assert.throws(() => parseAccepted(text, "a.yaml"), { code: "ACCEPTED_INVALID", message: /^a\.yaml:\d+: / });
  });
