/** What a token lacks is said before the long work: of a classic token by its scopes, of another by what GitHub answers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { github, Odd, slice } from "../../../test/support/github.ts";
import { GithubClient } from "./github-client.ts";
import { checkRights } from "./rights.ts";

const clientOf = (url: string) => new GithubClient({ url, token: "t", maxWait: 0, progress: () => undefined });
const example = (name: string) => JSON.stringify(slice.operations[name]!.example);
const classic = (scopes: string, name: string) => new Odd(200, example(name), { "x-oauth-scopes": scopes });
const first = "/orgs/octo/actions/permissions";

test("a classic token's scopes are compared with the first answer, those within others counted in", async (t) => {
  const answers = { [first]: classic("admin:org, repo", "get /orgs/{org}/actions/permissions") };
  const server = await github(t, { answers });
  assert.deepEqual(await checkRights(clientOf(server.url), ["octo"]), [
    { name: "rights for octo", seen: true, text: "enough for all that is asked" },
  ]);
  const few = new Odd(403, { message: "Must have admin rights" }, { "x-oauth-scopes": "read:org, public_repo" });
  server.answers.set(first, few);
  server.requests.length = 0;
  const lacking = await checkRights(clientOf(server.url), ["octo", "octo/api"]);
  assert.deepEqual(
    lacking.map(({ name, seen, text }) => `${name} ${seen} ${text.replace(/ \(RG.*: the/, ": the")}`),
    [
      "rights for octo false the organisation's settings: the token's scopes are read:org, public_repo; it takes admin:org, or Organization administration: read",
      "rights for octo false its runners and groups: the token's scopes are read:org, public_repo; it takes admin:org, or Self-hosted runners: read",
      "rights for octo false which labels are GitHub's larger runners: the token's scopes are read:org, public_repo; it takes manage_runners:org, or Administration: read of the organisation",
      "rights for octo/api false its settings and runners: the token's scopes are read:org, public_repo; it takes repo (as an administrator), or Administration: read",
    ],
  );
  // What scopes decide was not asked.
  assert.deepEqual(server.requests, [
    `GET ${first}`,
    "GET /repos/octo/api/git/trees/HEAD",
    "GET /repos/octo/api/actions/runs",
  ]);
});

test("another token's by 403 and 404, with the permission that GitHub names", async (t) => {
  const needs = { "x-accepted-github-permissions": "organization_self_hosted_runners=read" };
  const answers = {
    "/orgs/octo/actions/runner-groups": new Odd(403, { message: "Resource not accessible" }, needs),
    "/repos/octo/api/git/trees/HEAD": new Odd(409, { message: "Git Repository is empty." }),
    "/repos/octo/api/actions/permissions": new Odd(404, { message: "Not Found" }, {}),
  };
  const server = await github(t, { answers });
  const found = await checkRights(clientOf(server.url), ["octo", "octo/api"]);
  assert.equal(found.length, 2);
  assert.match(
    found[0]!.text,
    /^its runners and groups .* will be unknown: .*403.*organization_self_hosted_runners=read/,
  );
  assert.match(
    found[1]!.text,
    /^its settings and runners .* will be unknown: not there, or the token may not see it \(404\)/,
  );
});

test("a token that GitHub does not know is said once, after one request", async (t) => {
  const server = await github(t, { token: "another" });
  const found = await checkRights(clientOf(server.url), ["octo"]);
  assert.deepEqual([found.length, server.requests.length], [1, 1]);
  assert.match(found[0]!.text, /does not know the token \(401\)/);
});
