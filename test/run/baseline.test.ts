/**
 * From watching to enforcing, with real clients and real records: what several runs left behind becomes a policy that lets
 * those runs work and nothing else; what they tried on the way that looks like a way out is not in it.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { BaselineReport } from "../../src/baseline/report.ts";
import type { PlanReport } from "../../src/baseline/plan.ts";
import { sharedAddress } from "../lab/internet/default-zone.ts";
import { curl, Host, sallyport } from "./support.ts";

describe("a baseline of real runs", () => {
  let host: Host;
  let file: (name: string) => string;
  before(async () => {
    host = await Host.create();
    file = (name) => join(host.home, name);
  });
  after(() => host.close());

  const shell = (...commands: string[][]) => ["sh", "-c", commands.map((each) => each.join(" ")).join("; ")];
  const json = async <T>(...args: string[]): Promise<T> => {
    const { code, stdout, stderr } = await host.exec(sallyport, [...args, "--json"]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as T;
  };

  test("three runs on two records: three runs are told, what they used is proposed, the way out is held back", async () => {
    const work = shell(curl("https://allowed.example/"), curl("http://plain.example/"));
    for (let i = 0; i < 2; i++) {
      const { code, stderr } = await host.run(["--state", file("state"), "--", ...work]);
      assert.equal(code, 0, stderr);
    }
    const address = sharedAddress.v4;
    const spoof = curl("https://evil.example/", "-k", "--resolve", `evil.example:443:${address}`);
    const bare = curl(`https://${address}/`, "-k");
    // A record of its own, which remembers no name for that address.
    const { code } = await host.run([
      "--state",
      file("other"),
      "--report",
      file("three.json"),
      "--",
      ...shell(spoof, bare, ["true"]),
    ]);
    assert.equal(code, 0);

    const report = await json<BaselineReport>("baseline", file("state"), file("other"));
    const [source] = report.sources;
    // Begun within seconds of each other, they tell the estimate no more than one run would.
    assert.deepEqual([source!.runs, source!.advice.completeness.runs], [3, 1]);
    assert.deepEqual(
      source!.entries.map(({ endpoint, protocol, runs }) => [endpoint, protocol, runs]),
      [
        ["allowed.example", "tls", 2],
        ["plain.example:80", "http", 2],
      ],
    );
    // On a starved machine a hello of the good ones can be late, and is then held back as such.
    const ofThird = ({ endpoint }: { endpoint: string }) =>
      endpoint !== "allowed.example:443" && endpoint !== "plain.example:80";
    const doubts = source!.held.filter(ofThird).map(({ endpoint, doubt }) => `${endpoint} ${doubt}`);
    assert.ok(
      doubts.some((each) => each.startsWith("evil.example:443 ")),
      doubts.join(),
    );
    assert.ok(
      doubts.some((each) => each.startsWith(`${address}:443 `)),
      doubts.join(),
    );
    // The third run's own report tells the same of it.
    const third = await json<BaselineReport>("baseline", file("three.json"));
    assert.deepEqual(
      third.sources.flatMap(({ entries }) => entries),
      [],
    );
    assert.deepEqual(
      third.sources[0]!.held.map(({ endpoint, doubt }) => `${endpoint} ${doubt}`),
      doubts,
    );

    writeFileSync(file("proposed.yaml"), report.policy.replace("mode: monitor", "mode: enforce"));
    const enforced = await host.run([
      "--policy",
      file("proposed.yaml"),
      "--report",
      file("enforced.json"),
      "--",
      ...work,
    ]);
    assert.equal(enforced.code, 0, enforced.stderr);
    const refused = await host.run(["--policy", file("proposed.yaml"), "--", ...spoof]);
    assert.notEqual(refused.code, 0);

    // What the plan foretells of the recorded runs is what enforcement then did.
    const plan = await json<PlanReport>(
      "policy",
      "plan",
      file("proposed.yaml"),
      "--events",
      file("state"),
      file("other"),
    );
    assert.deepEqual(
      plan.changes.filter(({ kind }) => kind === "denied").map(({ endpoint }) => endpoint),
      [`${address}:443`, "evil.example:443"].toSorted(),
    );
    const after = await json<PlanReport>("policy", "plan", file("proposed.yaml"), "--events", file("enforced.json"));
    assert.deepEqual(after.changes, []);
    assert.ok(after.connections >= 2);
  });

  test("the page is in step until something new is contacted", async () => {
    const args = ["baseline", file("state"), "--docs", file("list.md")];
    assert.equal((await host.exec(sallyport, args)).code, 0);
    assert.equal((await host.exec(sallyport, [...args, "--check"])).code, 0);
    const page = readFileSync(file("list.md"), "utf8");
    await host.run(["--state", file("state"), "--", ...curl("https://only.example/")]);
    const { code, stderr } = await host.exec(sallyport, [...args, "--check"]);
    assert.deepEqual([code, /\+ `only\.example` tls/.test(stderr)], [1, true], stderr);
    assert.equal(readFileSync(file("list.md"), "utf8"), page);
  });
});
