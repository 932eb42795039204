/**
 * RG-07, conditions that hold forks off: `.fork` says something only where the event has a pull request. Elsewhere it is null, and
 * `!null` is true for every stranger.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { check, repository, sha } from "../testing/repository.ts";

const isFork = "${{ !github.event.pull_request.head.repo.fork }}";
const isOwn = "github.event.pull_request.head.repo.full_name == github.repository";
const file = (on: string, condition: string, more = "    runs-on: self-hosted\n") =>
  `name: W\non: ${on}\npermissions: {}\njobs:\n  a:\n${condition === "" ? "" : `    if: ${condition}\n`}${more}`;
const steps = `    steps:\n      - uses: sallyport/sallyport@${sha}\n`;
const job = (on: string, condition: string) => file(on, condition, `    runs-on: self-hosted\n${steps}`);
const statuses = (files: Record<string, string>) =>
  check(repository(files)).flatMap(({ rule, status, seen }) => (rule === "RG-07" ? [`${status}: ${seen}`] : []));
const expect = (files: Record<string, string>, ...patterns: RegExp[]) => {
  const said = statuses(files);
  assert.equal(said.length, patterns.length, said.join("\n"));
  for (const [i, pattern] of patterns.entries()) assert.match(said[i]!, pattern);
};

describe("head.repo.fork", () => {
  test("holds forks off where the event has a pull request", () =>
    expect({ "a.yml": job("pull_request_target", isFork) }, /^pass: .*holds forks off/));

  for (const on of ["issue_comment", "issues", "discussion", "watch"])
    test(`says nothing for ${on}`, () => expect({ "a.yml": job(on, isFork) }, new RegExp(`^fail: .*${on} runs`)));

  test("says nothing where one of two events has none", () =>
    expect({ "a.yml": job("[pull_request_target, issues]", isFork) }, /^fail: .*: issues runs/));

  test("says nothing in what follows a run, whatever began that; the repository's name does", () => {
    const start = file("pull_request_target", "", "    runs-on: ubuntu-latest\n    steps: [{ run: make }]\n");
    const follower = (condition: string) => ({
      "a.yml": start,
      "b.yml": job("{ workflow_run: { workflows: [W] } }", condition).replace("name: W", "name: V"),
    });
    expect(follower(isFork), /^fail: .*pull_request_target \(by way of .*a\.yml\)/);
    expect(follower(isOwn), /^pass: .*holds forks off/);
  });

  test("of a caller holds forks off what it calls only there", () => {
    const called = job("workflow_call", "");
    const files = (on: string) => ({
      "a.yml": file(on, isFork, "    uses: ./.github/workflows/c.yml\n"),
      "c.yml": called,
    });
    expect(files("issue_comment"), /^fail: .*issue_comment \(by way of .*a\.yml:\d+:\d+\)/);
    expect(files("pull_request_target"), /^unknown: .*no trigger .*other repositories/);
  });

  test("in a called workflow it is the caller's event that counts", () => {
    const files = (on: string) => ({
      "a.yml": file(on, "", "    uses: ./.github/workflows/c.yml\n"),
      "c.yml": job("workflow_call", isFork),
    });
    expect(files("issues"), /^fail: /);
    expect(files("pull_request_target"), /^pass: .*holds forks off/);
  });
});

test("the repository's name holds strangers off whatever the event: null is no name", () => {
  for (const on of ["issue_comment", "issues", "pull_request_target"])
    expect({ "a.yml": job(on, isOwn) }, /^pass: .*holds forks off/);
});
