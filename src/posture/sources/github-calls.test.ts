/** Reusable workflows elsewhere, asked of a server made from GitHub's own description: each once, as deep as GitHub goes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { github, Odd, slice } from "../../../test/support/github.ts";
import { mostLevels } from "../workflows/calls.ts";
import { nothingBefore, readCalled } from "./github-calls.ts";
import { GithubClient } from "./github-client.ts";

const sha = "abcdefabcdefabcdefabcdefabcdefabcdefabcd";
const blobExample = slice.operations["get /repos/{owner}/{repo}/git/blobs/{file_sha}"]!.example as object;
const blob = (text: string) => ({ ...blobExample, content: Buffer.from(text).toString("base64"), encoding: "base64" });
const path = (n: number) => `.github/workflows/w${n}.yml`;
const tree = (...names: string[]) => ({
  ...{ sha, url: "x", truncated: false },
  tree: names.map((name, i) => ({ path: name, mode: "100644", type: "blob", sha: `b${i}` })),
});
const calling = (...uses: string[]) =>
  `on: workflow_call\njobs:\n${uses.map((each, i) => `  j${i}:\n    uses: ${each}\n`).join("")}`;

test("a chain is followed to the level that GitHub ends at, in its own repository and commit, each read once", async (t) => {
  const many = Array.from({ length: 12 }, (_, i) => path(i));
  const answers = {
    "/repos/octo/shared/git/trees/v1": tree(...many),
    ...Object.fromEntries(
      many.map((_, i) => [`/repos/octo/shared/git/blobs/b${i}`, blob(calling(`./${path(i + 1)}`, `./${path(0)}`))]),
    ),
  };
  const server = await github(t, { answers });
  const client = new GithubClient({ url: server.url, token: null, maxWait: 0, progress: () => undefined });
  const before = nothingBefore();
  const start = [{ path: ".github/workflows/ci.yml", text: calling(`octo/shared/${path(0)}@v1`) }];
  const { read, unread } = await readCalled(client, start, before);
  assert.deepEqual(
    read.map((each) => each.path),
    many.slice(0, mostLevels - 1).map((each) => `octo/shared/${each}@v1`),
  );
  assert.deepEqual(
    unread.map((each) => each.path),
    [`octo/shared/${path(mostLevels - 1)}@v1`],
  );
  assert.match(unread[0]!.why, /level 11.*GitHub allows 10 levels/);
  const asked = server.requests.length;
  assert.equal(asked, mostLevels);
  // Another repository that calls the same asks nothing more.
  await readCalled(client, start, before);
  assert.equal(server.requests.length, asked);
});

test("what cannot be had is a reason each, and the others are read", async (t) => {
  const answers = {
    "/repos/octo/none/git/trees/v1": new Odd(404, { message: "Not Found" }),
    "/repos/octo/shared/git/trees/main": tree(path(0), path(1)),
    "/repos/octo/shared/git/blobs/b0": blob(calling()),
    "/repos/octo/shared/git/blobs/b1": new Odd(200, '{"content": "b24'),
  };
  const server = await github(t, { answers });
  const client = new GithubClient({ url: server.url, token: null, maxWait: 0, progress: () => undefined });
  const uses = [`octo/none/${path(0)}@v1`, ...[0, 1, 2].map((n) => `octo/shared/${path(n)}@main`)];
  const { read, unread } = await readCalled(client, [{ path: "ci.yml", text: calling(...uses) }], nothingBefore());
  assert.deepEqual(
    read.map((each) => each.path),
    [uses[1]],
  );
  const why = unread.map((each) => each.why);
  assert.match(why[0]!, /trees\/v1: not there, or the token may not see it \(404\)/);
  assert.match(why[1]!, /no whole JSON/);
  assert.match(why[2]!, /has no \.github\/workflows\/w2\.yml/);
});
