/** What is one run: as the event says, else as the place it was recorded in tells. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Event } from "../audit/event.ts";
import { type Input, jobOfCommand, RunTeller } from "./runs.ts";
import { connection, evidenceOf, gateway, recorded } from "./testing/events.ts";

const minute = 60;

/** A letter for each event that belongs to a run, the same for the same run. */
function keys(events: readonly Event[], input: Input, gapMs = 600_000): string {
  const teller = new RunTeller(gapMs);
  const numbers = new Map<string, string>();
  const letters = events.flatMap((event) => {
    const mark = teller.of(event, input);
    if (mark === null) return [];
    if (!numbers.has(mark.key)) numbers.set(mark.key, String.fromCharCode(97 + numbers.size));
    return [numbers.get(mark.key)!];
  });
  return letters.join("");
}

const at = (minutes: number, source = "10.0.0.1") => connection({ at: minutes * minute, source });
const started = (inside: string[]) => recorded(0, { kind: "lifecycle", message: "started", data: { inside } });

describe("a run", () => {
  test("of a gateway is what an address does until it is silent for longer than the gap, each address for itself", () => {
    assert.equal(keys([at(0), at(9), at(19), at(30), at(31, "10.0.0.2"), at(32)], gateway), "aaabcb");
    assert.equal(keys([at(0), at(9)], gateway, 300_000), "ab");
  });

  test("goes on while anything goes on: a look-up, or the end of a long connection", () => {
    const end = (minutes: number) => ({ ...at(minutes), kind: "flow_end" as const });
    assert.equal(keys([at(0), end(8), at(16)], gateway), "aaa");
  });

  test("survives a restart of the gateway", () => {
    assert.equal(keys([started(["eth1"]), at(0), started(["eth1"]), at(1)], gateway), "aa");
  });

  test("of a record that runs left is one start of Sallyport", () => {
    const input: Input = { id: "x", kind: "runs", job: null };
    assert.equal(keys([started(["inside"]), at(0), at(50), started(["inside"]), at(51)], input), "aab");
  });

  test("of a report is the report", () => {
    assert.equal(keys([at(0), at(500)], { id: "x", kind: "report", job: "npm ci" }), "aa");
  });

  test("is what the event says where it says it: run, attempt and job, wherever it was recorded", () => {
    const by = (run_id: number, run_attempt: number, job: string, minutes = 0) =>
      connection({ at: minutes * minute, identity: { repository: "acme/app", job, run_id, run_attempt } });
    const events = [by(1, 1, "test"), by(1, 1, "test", 90), by(1, 2, "test"), by(1, 1, "build"), by(2, 1, "test")];
    assert.equal(keys(events, gateway), "aabcd");
  });

  test("a job without a run id is still told by silence", () => {
    const events = [0, 5, 60].map((minutes) => connection({ at: minutes * minute, identity: { job: "test" } }));
    assert.equal(keys(events, gateway), "aab");
    const [source] = evidenceOf(events).sources;
    assert.deepEqual([...source!.passed.values()][0]!.users, new Map([["test", 3]]));
  });

  test("an identity of another form is none", () => {
    for (const identity of [null, 7, "x", {}, { job: {}, run_id: [] }]) {
      assert.equal(keys([connection({ identity: identity as object })], gateway), "a");
    }
  });

  test("of a destination counts once, however often it was connected to", () => {
    const [source] = evidenceOf([at(0), at(1), at(2), at(40)]).sources;
    assert.deepEqual(
      [...source!.runs.values()].map(({ seen }) => seen.size),
      [1, 1],
    );
    assert.deepEqual(
      [...source!.passed.values()].map(({ count }) => count),
      [4],
    );
  });
});

test("a command is called by its program and plain words, never by what could be a secret", () => {
  assert.equal(jobOfCommand(["/usr/bin/npm", "ci"]), "npm ci");
  assert.equal(jobOfCommand(["make", "release", "all", "more"]), "make release all");
  assert.equal(jobOfCommand(["curl", "-H", "Authorization: Bearer x"]), "curl");
  assert.equal(jobOfCommand(["deploy", "AKIAIOSFODNN7EXAMPLE"]), "deploy");
  assert.equal(jobOfCommand(["x", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"]), "x");
  assert.equal(jobOfCommand([]), "");
});
