/**
 * What the API shows of the runner policy, asked of a server made from GitHub's own OpenAPI description; and what a token that is
 * wrong, or may little, or a server that fails leaves: a clear line each, and the rest of the report.
 */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test, type TestContext } from "node:test";
import { github, Odd, slice } from "../../../test/support/github.ts";
import type { GithubOptions } from "../../../test/support/github.ts";
import type { Finding } from "../finding.ts";
import { frame, job, sha, validate } from "../testing/repository.ts";
import { runnerNeeds } from "./github.ts";
import { GithubClient, isRefused } from "./github-client.ts";
import { surveyGithub } from "./survey.ts";

const quiet = () => undefined;
const clientOf = (url: string, maxWait = 0) => new GithubClient({ url, token: "t", maxWait, progress: quiet });

async function survey(t: TestContext, names: string[], options: GithubOptions = {}, known: string[] = []) {
  const server = await github(t, options);
  const about = { ...frame, knownRunners: known, runnerNeeds };
  const seen = await surveyGithub(clientOf(server.url), names, { frame: about, runs: 10, progress: quiet, validate });
  return { ...seen, server };
}

const said = (findings: readonly Finding[], rule: string, check?: string) =>
  findings
    .filter((each) => each.rule === rule && (check === undefined || each.check === check))
    .map(({ status, subject, seen }) => `${status} ${subject}: ${seen}`);

/** The description's own example, with something else in it. */
const example = (name: string, more: object = {}) => ({ ...(slice.operations[name]!.example as object), ...more });
const runner = (name: string, more: object = {}) => ({
  id: 1,
  name,
  os: "linux",
  status: "online",
  busy: false,
  labels: [],
  ...more,
});
const runners = (...list: object[]) => ({ total_count: list.length, runners: list });

describe("an organisation", () => {
  test("settings: what holds, what does not, and a field that GitHub leaves out is unknown", async (t) => {
    const fork = "/orgs/octo/actions/permissions/fork-pr-workflows-private-repos";
    const answers = {
      "/orgs/octo/actions/permissions": { enabled_repositories: "all", allowed_actions: "all" },
      "/orgs/octo/actions/permissions/workflow": {
        default_workflow_permissions: "write",
        can_approve_pull_request_reviews: false,
      },
      "/orgs/octo/actions/permissions/fork-pr-contributor-approval": { approval_policy: "first_time_contributors" },
      [fork]: {
        run_workflows_from_fork_pull_requests: true,
        send_write_tokens_to_workflows: true,
        send_secrets_and_variables: false,
        require_approval_for_fork_pr_workflows: true,
      },
      "/orgs/octo/repos": [],
    };
    const { findings } = await survey(t, ["octo"], { answers });
    assert.deepEqual(said(findings, "RG-05"), ["fail octo: approval_policy is first_time_contributors"]);
    assert.deepEqual(said(findings, "RG-08"), [
      "fail octo: default_workflow_permissions is write",
      "pass octo: can_approve_pull_request_reviews is false",
    ]);
    assert.deepEqual(said(findings, "RG-09"), [
      "fail octo: allowed_actions is all",
      "unknown octo: the answer has no sha_pinning_required",
    ]);
    assert.deepEqual(
      said(findings, "RG-06").map((each) => each.split(" ")[0]),
      ["pass", "fail", "pass"],
    );
  });

  test("runners: a flag that is absent is unknown; names that nobody knows, and the worm's", async (t) => {
    const list = runners(
      runner("build-1", { ephemeral: true, version: "2.330.0" }),
      runner("build-2", { ephemeral: false }),
      runner("stray"),
      runner("SHA1HULUD"),
    );
    const answers = { "/orgs/octo/actions/runners": list, "/orgs/octo/repos": [] };
    const { findings, server } = await survey(t, ["octo"], { answers, page: 2 }, ["Build-*"]);
    assert.deepEqual(
      said(findings, "RG-01").map((each) => each.replace(/:.*/, "")),
      ["pass octo", "fail octo", "unknown octo", "unknown octo"],
    );
    const known = findings.filter(({ rule, check }) => rule === "RG-16" && check === "known");
    assert.deepEqual(
      known.map(({ status, severity }) => `${status} ${severity}`),
      ["pass high", "pass high", "fail high", "fail critical"],
    );
    assert.equal(server.requests.filter((each) => each.endsWith("/orgs/octo/actions/runners")).length, 2, "two pages");
    assert.match(said(findings, "RG-15")[0]!, /^unknown/);
  });

  test("groups: public repositories, visibility, workflows", async (t) => {
    const group = (more: object) => ({
      ...{ id: 1, name: "Default", visibility: "all", default: true, runners_url: "x", inherited: false },
      ...{ allows_public_repositories: true, restricted_to_workflows: false, ...more },
    });
    const good = {
      name: "tight",
      visibility: "selected",
      allows_public_repositories: false,
      restricted_to_workflows: true,
    };
    const runnerGroups = { total_count: 2, runner_groups: [group({}), group({ id: 2, ...good })] };
    const answers = { "/orgs/octo/actions/runner-groups": runnerGroups, "/orgs/octo/repos": [] };
    const { findings } = await survey(t, ["octo"], { answers });
    for (const rule of ["RG-02", "RG-03", "RG-04"])
      assert.deepEqual(
        said(findings, rule).map((each) => each.split(":")[0]),
        ["fail octo", "pass octo"],
        rule,
      );
  });

  test("every answer as the description's example: nothing is asked that GitHub does not have", async (t) => {
    const { findings, server, sources } = await survey(t, ["octo"]);
    assert.ok(findings.length > 20);
    const unseen = sources.filter(({ seen }) => !seen).map(({ name }) => name);
    assert.deepEqual(unseen, []);
    assert.ok(server.requests.length > 15);
  });
});

describe("a repository", () => {
  const workflow = job("pull_request", "big", `      - uses: sallyport/sallyport@${sha}`);
  const blob = (text: string) =>
    example("get /repos/{owner}/{repo}/git/blobs/{file_sha}", {
      content: Buffer.from(text).toString("base64"),
      encoding: "base64",
    });
  const entry = (path: string, id: string) => ({ path, mode: "100644", type: "blob", sha: id });
  const tree = (...list: object[]) => ({ sha, url: "x", truncated: false, tree: list });
  const base = "/repos/octo/api";
  const answers = {
    [base]: example("get /repos/{owner}/{repo}", {
      default_branch: "main",
      visibility: "public",
      full_name: "octo/api",
    }),
    [`${base}/git/trees/main`]: tree(
      entry(".github/workflows/ci.yml", "c1"),
      entry(".github/egress-firewall.yaml", "c2"),
      entry("CODEOWNERS", "c3"),
    ),
    [`${base}/git/blobs/c1`]: blob(workflow),
    [`${base}/git/blobs/c2`]: blob("mode: enforce\nallow: [pypi.org]\n"),
    [`${base}/git/blobs/c3`]: blob(".github/ @octo/sec\n"),
    [`${base}/rules/branches/main`]: [],
    [`${base}/branches/main/protection`]: new Odd(404, { message: "Branch not protected" }),
    [`${base}/actions/runs`]: { total_count: 0, workflow_runs: [] },
  };

  test("its files are checked like a folder's, and whether owners must review", async (t) => {
    const { findings } = await survey(t, ["octo/api"], { answers });
    assert.match(said(findings, "RG-10")[0]!, /^unknown|^pass octo\/api: \.github\/workflows\/ci\.yml#build/);
    assert.match(said(findings, "RG-07")[0]!, /^unknown .*whether that is a self-hosted runner/);
    assert.match(said(findings, "RG-14", "code-owner")[0]!, /^pass/);
    assert.match(said(findings, "RG-14", "review-required")[0]!, /^fail .*neither a ruleset nor/);
    assert.deepEqual(said(findings, "RG-06"), [], "public");
    const review = {
      type: "pull_request",
      parameters: {
        dismiss_stale_reviews_on_push: true,
        require_code_owner_review: true,
        require_last_push_approval: true,
        required_approving_review_count: 1,
        required_review_thread_resolution: true,
      },
    };
    const ruled = await survey(t, ["octo/api"], { answers: { ...answers, [`${base}/rules/branches/main`]: [review] } });
    assert.match(said(ruled.findings, "RG-14", "review-required")[0]!, /^pass .*ruleset/);
  });

  test("by way of its organisation, own labels are told from GitHub's larger runners", async (t) => {
    const [first] = slice.operations["get /orgs/{org}/repos"]!.example as object[] as [object];
    const hosted = slice.operations["get /orgs/{org}/actions/hosted-runners"]!.example as { runners: [object] };
    const larger = (name: string) => ({ total_count: 1, runners: [{ ...hosted.runners[0], name }] });
    const org = (name: string) => ({
      ...answers,
      "/orgs/octo/repos": [{ ...first, full_name: "octo/api", archived: false }],
      "/orgs/octo/actions/hosted-runners": larger(name),
    });
    assert.deepEqual(said((await survey(t, ["octo"], { answers: org("Big") })).findings, "RG-07"), []);
    assert.match(said((await survey(t, ["octo"], { answers: org("other") })).findings, "RG-07")[0]!, /^fail/);
  });

  test("a runner that did two jobs stays, whatever its flag; GitHub's own do not count; a log tells of a workspace", async (t) => {
    const done = (id: number, runnerId: number, name: string, group = "Default") => {
      const jobs = slice.operations["get /repos/{owner}/{repo}/actions/runs/{run_id}/jobs"]!.example as {
        jobs: [object];
      };
      return {
        ...jobs.jobs[0],
        created_at: "2026-11-01T00:00:00Z",
        id,
        status: "completed",
        runner_id: runnerId,
        runner_name: name,
        runner_group_name: group,
      };
    };
    const run = (slice.operations["get /repos/{owner}/{repo}/actions/runs"]!.example as { workflow_runs: [object] })
      .workflow_runs[0];
    const list = [
      done(1, 7, "kept"),
      done(2, 7, "kept"),
      done(3, 8, "once"),
      done(4, 9, "gh", "GitHub Actions"),
      done(5, 9, "gh", "GitHub Actions"),
      done(6, 10, "short"),
      done(7, 11, "SHA1HULUD"),
    ];
    const more = {
      [`${base}/actions/runs`]: { total_count: 1, workflow_runs: [{ ...run, id: 30 }] },
      [`${base}/actions/runs/30/jobs`]: { total_count: list.length, jobs: list },
      [`${base}/actions/runners`]: runners(
        runner("kept", { id: 7, ephemeral: true }),
        runner("short", { id: 10, ephemeral: true }),
      ),
      [`${base}/actions/jobs/3/logs`]: new Odd(200, "2026-11-01T00:00:00Z ##[group]Cleaning the repository\n"),
    };
    const { findings } = await survey(t, ["octo/api"], { answers: { ...answers, ...more } });
    const found = said(findings, "RG-01");
    assert.ok(found.includes("fail octo/api: runner kept: runner_id 7 did 2 jobs (1, 2): it stays"), found.join("\n"));
    assert.ok(found.some((each) => each.startsWith("unknown octo/api: runner once")));
    assert.ok(found.some((each) => each.startsWith("fail octo/api: runner once: the log of job 3")));
    assert.ok(!found.some((each) => each.includes("runner gh")));
    // One job proves nothing, so the flag decides; and who is in no list any more is known by his jobs.
    assert.ok(
      found.includes(
        "pass octo/api: runner short: runner_id 10 did one job of those looked at, and its ephemeral is true",
      ),
    );
    assert.match(said(findings, "RG-16", "known").join("\n"), /fail octo\/api: runner SHA1HULUD: .*it did job 7/);
  });

  test("a list of files that GitHub cut off passes nothing; a repository that is not there is one line each", async (t) => {
    const cut = {
      ...answers,
      [`${base}/git/trees/main`]: { ...tree(entry(".github/workflows/ci.yml", "c1")), truncated: true },
    };
    const { findings, sources } = await survey(t, ["octo/api"], { answers: cut });
    assert.ok(said(findings, "RG-10").some((each) => /^unknown .*cut the list of files off/.test(each)));
    assert.ok(sources.some(({ seen, text }) => !seen && /cut/.test(text)));
    const gone = await survey(t, ["octo/none"], {
      answers: { "/repos/octo/none": new Odd(404, { message: "Not Found" }) },
    });
    assert.match(said(gone.findings, "RG-10")[0]!, /^unknown octo\/none: .*not there, or the token may not see it/);
  });
});

test("GitHub Enterprise Server 3.18: what it lacks is unknown, and says since when there is it", async (t) => {
  const { findings } = await survey(t, ["octo"], { server: true, answers: { "/orgs/octo/repos": [] } });
  const [finding] = findings.filter(({ rule }) => rule === "RG-05");
  assert.equal(finding!.status, "unknown");
  assert.match(finding!.seen, /404/);
  assert.match(finding!.fix, /admin:org.*Enterprise Server 3\.19/);
});

describe("what goes wrong", () => {
  test("a token that GitHub does not know: one request, and one clear reason everywhere", async (t) => {
    const { findings, server } = await survey(t, ["octo"], { token: "another" });
    assert.equal(server.requests.length, 1);
    assert.ok(findings.length > 0 && findings.every(({ status }) => status === "unknown"));
    assert.match(findings[0]!.seen, /does not know the token \(401\)/);
  });

  for (const [name, odd, pattern] of [
    [
      "rights that are missing",
      new Odd(403, { message: "Must have admin rights" }, { "x-accepted-oauth-scopes": "admin:org" }),
      /the token may not \(403: Must have admin rights\) \(it takes admin:org\)/,
    ],
    [
      "404 for missing rights",
      new Odd(404, { message: "Not Found" }, { "x-accepted-github-permissions": "administration=read" }),
      /not there, or the token may not see it \(404\) \(it takes administration=read\)/,
    ],
    [
      "a limit that takes too long",
      new Odd(403, { message: "You have exceeded a secondary rate limit" }, { "retry-after": "900" }),
      /GitHub's limit: it asks to wait 900 s/,
    ],
    [
      "nothing left until later",
      new Odd(403, {}, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "4102444800" }),
      /GitHub's limit/,
    ],
    ["JSON that is cut off", new Odd(200, '{"approval_policy": "all_ext'), /no whole JSON \(28 characters\)/],
    ["an answer of another kind", new Odd(200, "[1]"), /the answer is no object/],
    ["a web page", new Odd(200, "<html>"), /no whole JSON/],
    ["a server that fails", new Odd(422, { message: "No" }), /422: No/],
  ] as const)
    test(`${name}: the rest of the report is made`, async (t) => {
      const answers = { "/orgs/octo/actions/permissions/fork-pr-contributor-approval": odd, "/orgs/octo/repos": [] };
      const { findings } = await survey(t, ["octo"], { answers });
      const [bad] = findings.filter(({ rule }) => rule === "RG-05");
      assert.equal(bad!.status, "unknown");
      assert.match(bad!.seen, pattern);
      assert.ok(findings.some(({ status }) => status !== "unknown"));
    });

  async function serve(
    t: TestContext,
    answer: (path: string, n: number, header: string | undefined) => [number, string, Record<string, string>?] | null,
  ) {
    let n = 0;
    const server = createServer((request, response) => {
      const said = answer(request.url!, n++, request.headers.authorization);
      if (said === null) {
        response.writeHead(200, { "content-length": "100" }).write('{"a":');
        setImmediate(() => response.destroy());
      } else response.writeHead(said[0], said[2]).end(said[1]);
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    t.after(() => (server.closeAllConnections(), server.close()));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  test("a limit that is short is waited for, and a 502 is asked again", async (t) => {
    const steps = [429, 502, 200];
    const url = await serve(t, (_, n) => [steps[n]!, "{}", steps[n] === 429 ? { "retry-after": "0" } : {}]);
    assert.ok(!isRefused(await clientOf(url).get("x")));
  });

  test("a connection that ends in the middle is said", async (t) => {
    const answer = await clientOf(await serve(t, () => null)).get("x");
    assert.ok(isRefused(answer) && /no whole answer/.test(answer.why));
  });

  test("a next page on another host is not asked, and the token goes to none", async (t) => {
    const heard: (string | undefined)[] = [];
    const other = await serve(t, (_path, _n, header) => (heard.push(header), [200, "[]"]));
    const url = await serve(t, (path) =>
      path.startsWith("/logs")
        ? [302, "", { location: `${other}/log` }]
        : [200, "[1]", { link: `<${other}/x>; rel="next"` }],
    );
    const answer = await clientOf(url).list("x", null);
    assert.ok(isRefused(answer) && /which is not asked/.test(answer.why));
    assert.deepEqual(heard, []);
    await clientOf(url).text("logs", 10);
    assert.deepEqual(heard, [undefined]);
  });

  test("the token goes over HTTPS, or to this machine", () => {
    for (const url of ["http://api.example", "https://u:p@api.example", "ftp://x", "x"])
      assert.throws(() => clientOf(url), { code: "USAGE" }, url);
  });
});
