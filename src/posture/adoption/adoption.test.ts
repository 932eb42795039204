/**
 * How far GitHub's firewall is adopted, as an issue: each stage by what a repository has, text of repositories that is code and
 * nothing else, as much as an issue takes with the rest counted, and one issue: found again by marker and author, never a second.
 */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { marked } from "marked";
import { github, Odd, slice } from "../../../test/support/github.ts";
import type { GithubOptions } from "../../../test/support/github.ts";
import { goldenTests } from "../../../test/support/golden.ts";
import { authorOf, issueToDo, postIssue } from "../change/issue.ts";
import { findingId } from "../finding.ts";
import type { RepositoryFacts } from "../facts.ts";
import type { Finding } from "../finding.ts";
import { GithubClient } from "../sources/github-client.ts";
import { check, job, repository } from "../testing/repository.ts";
import { adoptionOf } from "./adoption.ts";
import type { Adoption } from "./adoption.ts";
import { adoptionReport, mostOfIssue } from "./markdown.ts";

const path = ".github/egress-firewall.yaml";
const on = job("push", "ubuntu-24.04-firewall", "      - run: make");
const off = job("push", "ubuntu-latest", "      - run: make");
const enforce = "mode: enforce\nallow:\n  - pypi.org\n";
const owned = ["CODEOWNERS", "/.github/ @octo/security\n"] as const;

function adopted(
  name: string,
  workflow: string,
  files: Record<string, string>,
  review: Finding["status"] = "pass",
): Adoption {
  const facts = repository(
    { "ci.yml": workflow },
    { files: new Map(Object.entries(files)), paths: Object.keys(files) },
  );
  const reviewed = {
    ...check(facts)[0]!,
    id: findingId("RG-14", "review-required", name),
    check: "review-required",
    status: review,
  };
  return adoptionOf(name, facts, [...check(facts), reviewed]);
}

const ours = `version: 1\nrules:\n  - name: python\n    action: allow\n    to: [pypi.org, files.pythonhosted.org]\n    reason: builds\n    owner: sec\n`;
const all = () => [
  adopted("octo/good", on, { [path]: enforce, ...Object.fromEntries([owned]) }),
  adopted("octo/open", on, { [path]: enforce }, "fail"),
  adopted("octo/log", on, {
    [path]: enforce.replace("enforce", "log"),
    ...Object.fromEntries([owned]),
    ".github/sallyport.yaml": ours,
  }),
  adopted("octo/misnamed", on, { ".github/egress-firewall.yml": enforce }),
  adopted("octo/broken", on, { [path]: "mode: perhaps\n" }),
  adopted("octo/nofile", on, {}),
  adopted("octo/nolabel", off, { [path]: enforce, ...Object.fromEntries([owned]) }),
  adopted("octo/never", off, {}),
  adoptionOf("octo/unseen", null, []),
];

test("stages", () => {
  assert.deepEqual(
    all().map(({ name, stage, file }) => `${name} ${stage} ${file}`),
    [
      "octo/good enforced present",
      "octo/open unprotected present",
      "octo/log logging present",
      "octo/misnamed incomplete misnamed",
      "octo/broken incomplete broken",
      "octo/nofile incomplete missing",
      "octo/nolabel incomplete present",
      "octo/never not-used missing",
      "octo/unseen unknown unknown",
    ],
  );
  assert.deepEqual(all()[0]!.lacks, []);
  assert.equal(
    adopted("octo/x", on, { [path]: enforce, ...Object.fromEntries([owned]) }, "unknown").stage,
    "unprotected",
  );
});

describe("jobs", () => {
  const files = new Map([[path, enforce], owned]);
  const of = (workflows: Record<string, string>, more: Partial<RepositoryFacts> = {}) => {
    const facts = repository(workflows, { files, ...more });
    const reviewed = { ...check(facts)[0]!, check: "review-required", status: "pass" as const };
    const { stage, jobs, lacks } = adoptionOf("octo/x", facts, [...check(facts), reviewed]);
    return { stage, jobs, lacks: lacks.join("\n") };
  };
  const none = { files: new Map<string, string>() };

  test("that nobody could read are no sign that it is not used", () => {
    const broken = of({ "ci.yml": "on: [push\njobs:\n" }, none);
    assert.equal(broken.stage, "unknown");
    assert.match(broken.lacks, /ci\.yml cannot be read/);
    const unread = [{ path: ".github/workflows/ci.yml", why: "too large" }];
    assert.equal(of({}, { ...none, unread }).stage, "unknown");
    assert.equal(of({}, { ...none, unread: [{ path: ".github/x.yml", why: "too large" }] }).stage, "not-used");
    assert.equal(of({ "ci.yml": job("push", "${{ vars.RUNNER }}", "      - run: make") }).stage, "unknown");
    // What is known to be on the label stays so.
    assert.equal(of({ "ci.yml": on, "b.yml": "on: [push\n" }).stage, "enforced");
  });

  test("of called workflows count, here and elsewhere; what was not read is unknown", () => {
    const elsewhere = "octo/shared/.github/workflows/build.yml@v1";
    const caller = (uses: string) => `on: push\njobs:\n  all:\n    uses: ${uses}\n`;
    const called = [{ path: elsewhere, text: on.replace("push", "workflow_call") }];
    const good = of({ "ci.yml": caller(elsewhere) }, { called });
    assert.deepEqual([good.stage, good.jobs], ["enforced", [`${elsewhere}#build`]]);
    assert.deepEqual(of({ "ci.yml": caller("./.github/workflows/b.yml"), "b.yml": called[0]!.text }).stage, "enforced");
    const unseen = of({ "ci.yml": caller(elsewhere) });
    assert.equal(unseen.stage, "unknown");
    assert.match(unseen.lacks, /ci\.yml#all calls a workflow whose jobs were not read/);
  });

  test("beside the label are said, and the firewall is not called enforced for them", () => {
    const others = Array.from(
      { length: 5 },
      (_, i) => `  j${i}:\n    runs-on: self-hosted\n    steps:\n      - run: make\n`,
    );
    const mixed = of({ "ci.yml": on + others.join("") });
    assert.equal(mixed.stage, "partial");
    assert.match(mixed.lacks, /^5 of 6 jobs can run on other runners$/m);
    const matrix = job(
      "push",
      "${{ matrix.os }}",
      "      - run: make",
      "    strategy:\n      matrix:\n        os: [ubuntu-24.04-firewall, ubuntu-latest]\n",
    );
    assert.equal(of({ "ci.yml": matrix }).stage, "partial");
  });
});

describe("the report, word for word", () => {
  goldenTests(new URL("golden/", import.meta.url), ({ words }) => {
    const unseen = ["GET /repos/octo/unseen: not there, or the token may not see it (404)"];
    return adoptionReport(all(), words, unseen, "0.0.0").body.trimEnd();
  });
});

describe("text of repositories", () => {
  const hostile = [
    "@octo/team",
    "`@octo`",
    "``x`@octo`",
    "a\\|@octo",
    "a|b|@octo",
    "<script>x</script>",
    "[a](https://a.example)",
    "https://a.example",
    "![x](//a.example/x.png)",
    "#1 octo/api#2 GH-3",
    "\n\n# @octo\n<!-- ",
    "-->@octo",
    "\u202E@octo",
    "```\n@octo",
    "`",
    "\\",
    "  ",
    "www.a.example x@a.example",
  ];
  test("is code and nothing else, wherever it stands", () => {
    const one = { ...all()[5]!, owners: hostile };
    const named = hostile.map((name) => ({ ...one, name, jobs: [name], lacks: [name], owners: [name] }));
    const { body } = adoptionReport(named, hostile, hostile, "0.0.0");
    // GitHub reads Markdown as marked does, but for what is a mention, a reference or a bare link: nothing of it outside of code.
    const html = marked.parse(body, { async: false });
    const outside = html
      .replaceAll(/<code>[^]*?<\/code>/g, "")
      .replace(/^<!--.*?-->/, "")
      .replaceAll("&#39;", "'");
    assert.doesNotMatch(outside, /@|<script|<a |<img|a\.example|#\d|GH-|<!--|octo/);
    assert.equal(html.match(/<pre/), null);
  });

  test("that fills an issue is counted, and the issue is taken", () => {
    const one = all()[3]!;
    const many = Array.from({ length: 3_000 }, (_, i) => ({ ...one, name: `octo/${"ü".repeat(40)}${i}` }));
    const { body, leftOut } = adoptionReport(many, ["octo"], [], "0.0.0");
    assert.ok(Buffer.byteLength(body) <= mostOfIssue && Buffer.byteLength(body) > mostOfIssue - 2_000);
    const shown = [...body.matchAll(/^- `octo/gm)].length;
    assert.ok(shown > 100 && shown + leftOut === 3_000);
    assert.match(body, new RegExp(`${leftOut} of 3000 repositories are left out`));
    const huge = { ...one, lacks: Array<string>(5_000).fill("x".repeat(5_000)) };
    const unseen = Array<string>(5_000).fill("y".repeat(5_000));
    assert.ok(Buffer.byteLength(adoptionReport([huge], unseen, unseen, "0.0.0").body) <= mostOfIssue);
  });
});

describe("the issue", () => {
  const report = adoptionReport(all(), ["octo"], [], "0.0.0");
  const at = "/repos/octo/sec/issues";
  const login = (slice.operations["get /user"]!.example as { login: string }).login;
  const issue = (number: number, more: object = {}) => ({
    ...(slice.operations["get /repos/{owner}/{repo}/issues"]!.example as object[])[0],
    ...{ number, body: report.body, pull_request: undefined, ...more },
  });
  const start = async (t: TestContext, issues: object[], more: GithubOptions = {}) => {
    const server = await github(t, { answers: { [at]: issues }, page: 2, ...more });
    const client = new GithubClient({ url: server.url, token: "t", maxWait: 0, progress: () => undefined });
    const run = async (said = report, named: string | null = null, usual: string | null = null) => {
      const author = await authorOf(client, named, usual);
      const plan = await issueToDo(client, "octo/sec", said, author);
      return { plan, number: await postIssue(client, "octo/sec", said, author, plan) };
    };
    return { server, client, run };
  };
  const bodies = (list: unknown) => (list as { body: string }[]).map(({ body }) => body);

  test("is made once, then says the same, then something else in place", async (t) => {
    const { server, run } = await start(t, [issue(1, { body: "of others" })]);
    const first = await run();
    assert.equal(first.plan.kind, "create");
    assert.deepEqual((await run()).plan.kind, "same");
    const other = { ...report, body: `${report.body}\nmore` };
    const { plan, number } = await run(other);
    assert.deepEqual([plan.kind, number], ["update", first.number]);
    assert.deepEqual(bodies(server.answers.get(at)), ["of others", other.body]);
    assert.deepEqual(
      server.sent.map(({ request }) => request.split(" ")[0]),
      ["POST", "PATCH"],
    );
  });

  test("of somebody else with our marker, and a pull request, are none of ours; a marker of other targets neither", async (t) => {
    const user = { ...(issue(1) as { user?: object }).user, login: "eve" };
    const pull = (slice.operations["post /repos/{owner}/{repo}/issues"]!.example as { pull_request: object })
      .pull_request;
    const elsewhere = adoptionReport(all(), ["other"], [], "0.0.0").body;
    const { run } = await start(t, [
      issue(1, { user }),
      issue(2, { pull_request: pull }),
      issue(3, { body: `x\n${report.body}` }),
      issue(4, { body: elsewhere }),
    ]);
    assert.equal((await run()).plan.kind, "create");
  });

  test("that was closed is found on any page, and stays closed; of two, the older", async (t) => {
    const old = { body: `${report.marker}\nold`, state: "closed" };
    const { server, run } = await start(t, [issue(9), issue(8, { body: "x" }), issue(7, { body: "x" }), issue(3, old)]);
    const { plan } = await run();
    assert.deepEqual(plan, { kind: "update", number: 3, isOpen: false, others: [9] });
    assert.deepEqual(server.sent, [{ request: `PATCH ${at}/3`, body: { title: report.title, body: report.body } }]);
  });

  test("made by another run meanwhile: ours is closed, and that one says it", async (t) => {
    const { server, run } = await start(t, [], {
      meanwhile: (request, answers) => {
        if (request === `POST ${at}`) (answers.get(at) as object[]).push(issue(1, { body: `${report.marker}\nold` }));
      },
    });
    assert.equal((await run()).number, 1);
    const list = server.answers.get(at) as { number: number; state: string; body: string }[];
    assert.deepEqual(
      list.map(({ state }) => state),
      ["open", "closed"],
    );
    assert.equal(list[0]!.body, report.body);
  });

  test("of another app's token is not made a second time, whoever we take ourselves for", async (t) => {
    const bot = { ...(issue(1) as { user?: object }).user, login: "ours[bot]", type: "Bot" };
    const example = slice.operations["post /repos/{owner}/{repo}/issues"]!.example as object;
    const { server, run } = await start(t, []);
    server.answers.set("/user", new Odd(403, "{}"));
    const usual = "github-actions[bot]";
    // GitHub says only then whose the token is.
    server.answers.set(`POST ${at}`, new Odd(201, { ...example, number: 7, user: bot }));
    server.answers.set(`PATCH ${at}/7`, new Odd(200, { ...example, number: 7 }));
    await assert.rejects(run(report, null, usual), {
      code: "ISSUE_REFUSED",
      message: /ours\[bot\].*#7 is closed.*--issue-author ours\[bot\]/,
    });
    assert.deepEqual(
      server.requests.filter((each) => !each.startsWith("GET")),
      [`POST ${at}`, `PATCH ${at}/7`],
    );
    server.answers.set(at, [issue(7, { user: bot, state: "closed" })]);
    await assert.rejects(run(report, null, usual), {
      code: "ISSUE_REFUSED",
      message: /#7 .*--issue-author ours\[bot\]/,
    });
    assert.equal(server.requests.filter((each) => each.startsWith("POST")).length, 1);
    assert.deepEqual((await run(report, "ours[bot]", usual)).plan.kind, "same");
    server.answers.delete("/user");
    await assert.rejects(run(report, "ours[bot]"), { code: "ISSUE_REFUSED", message: /the token is octocat's/ });
  });

  test("is not made where the list, or whose token it is, cannot be seen", async (t) => {
    const { server, run, client } = await start(t, []);
    server.answers.set(`GET ${at}`, new Odd(403, { message: "Resource not accessible by integration" }));
    await assert.rejects(run, { code: "ISSUE_REFUSED" });
    server.answers.delete(`GET ${at}`);
    server.answers.set("/user", new Odd(403, "{}"));
    await assert.rejects(run, { code: "ISSUE_REFUSED", message: /whose the token is/ });
    assert.equal(await authorOf(client, null, "github-actions[bot]"), "github-actions[bot]");
    assert.equal(await authorOf(client, "ours[bot]", "github-actions[bot]"), "ours[bot]");
    assert.deepEqual(server.sent, []);
    assert.notEqual(login, "");
  });
});
