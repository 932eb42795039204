/**
 * Whose policy counts: the trusted ref's, asked of a server that answers as GitHub's REST interface does. What cannot be read
 * is an error, and never an empty policy.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { parseAddress } from "../address/ip.ts";
import { SallyportError } from "../errors.ts";
import { readContext } from "./event.ts";
import { readInputs } from "./inputs.ts";
import { policyFiles } from "./job-files.ts";
import { choosePolicy, type JobPolicy } from "./job-policy.ts";

const folder = mkdtempSync(join(tmpdir(), "sallyport-policy-"));
/** `owner/name ref path` to what the server answers. */
const files = new Map<string, string | number>();
const asked: { url: string; authorization: string | undefined }[] = [];
let api = "";
const server = http.createServer((request, response) => {
  const url = new URL(request.url!, "http://host");
  const [, repository, path] = /^\/repos\/([^/]+\/[^/]+)\/contents\/(.*)$/.exec(url.pathname)!;
  asked.push({ url: request.url!, authorization: request.headers.authorization });
  const found = files.get(`${repository} ${url.searchParams.get("ref")} ${path}`) ?? 404;
  if (typeof found === "number") response.writeHead(found).end('{"message":"no"}');
  else response.writeHead(200).end(found);
});

before(async () => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  api = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.close();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  files.clear();
  asked.length = 0;
});

const usual = ".github/sallyport.yaml";
const allow = (host: string) => `version: 1\nrules:\n  - { name: packages, to: ${host}, reason: builds }\n`;

function choose(inputs: Record<string, string>, event = "push", payload: unknown = {}): Promise<JobPolicy> {
  const path = join(folder, "event.json");
  writeFileSync(path, JSON.stringify(payload));
  const context = readContext({
    GITHUB_REPOSITORY: "o/r",
    GITHUB_EVENT_NAME: event,
    GITHUB_EVENT_PATH: path,
    GITHUB_SHA: "c0ffee",
    GITHUB_JOB: "build",
    GITHUB_API_URL: api,
  });
  const env = Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]));
  const read = readInputs(env);
  return choosePolicy(read, context, policyFiles(read, context), new Date());
}

function allows({ policy }: JobPolicy, name: string, port = 443): string {
  const { engine } = policy.loaded;
  const [source, destination] = [parseAddress("192.0.2.1")!, parseAddress("198.51.100.9")!];
  const facts = {
    source,
    destination,
    local: false,
    process: null,
    transport: "tcp",
    port,
    names: [name],
    application: "tls",
    name,
    ech: false,
  } as const;
  return engine.name(facts).verdict;
}

async function refused(promise: Promise<unknown>, code: string): Promise<string> {
  const error = await promise.then(
    () => assert.fail("it was taken"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof SallyportError, String(error));
  assert.equal(error.code, code);
  return error.message;
}

const pull = {
  pull_request: { base: { ref: "main" }, head: { sha: "bad", repo: { full_name: "stranger/r" } } },
};

describe("the trusted ref (R8: a pull request must not bring its own policy)", () => {
  test("a pull request is decided by its base branch, and the difference is shown", async () => {
    files.set(`o/r refs/heads/main ${usual}`, allow("pypi.org"));
    files.set(`stranger/r bad ${usual}`, allow("evil.example"));
    const chosen = await choose({ token: "secret" }, "pull_request", pull);
    assert.equal(allows(chosen, "pypi.org"), "allow");
    assert.equal(allows(chosen, "evil.example"), "deny");
    assert.match(chosen.proposal!, /Becomes reachable[^]*\+ evil\.example/);
    assert.match(chosen.from, /o\/r at main/);
    assert.equal(asked[0]!.authorization, "Bearer secret");
  });

  for (const event of ["pull_request", "pull_request_target", "pull_request_review"]) {
    test(`${event} without a base is an error`, async () => {
      await refused(
        Promise.resolve().then(() => choose({}, event, { pull_request: { head: { sha: "bad" } } })),
        "ACTION_ENVIRONMENT",
      );
    });
  }

  test("a merge queue is decided by the branch it merges into", async () => {
    files.set(`o/r refs/heads/main ${usual}`, allow("pypi.org"));
    const chosen = await choose({}, "merge_group", { merge_group: { base_ref: "refs/heads/main", head_sha: "bad" } });
    assert.equal(allows(chosen, "pypi.org"), "allow");
  });

  test("a push is decided by its own commit", async () => {
    files.set(`o/r c0ffee ${usual}`, allow("pypi.org"));
    const chosen = await choose({});
    assert.equal(allows(chosen, "pypi.org"), "allow");
    assert.equal(chosen.proposal, null);
  });

  test("what a pull request removes or breaks is said", async () => {
    files.set(`o/r refs/heads/main ${usual}`, allow("pypi.org"));
    assert.match((await choose({}, "pull_request", pull)).proposal!, /removes \.github\/sallyport\.yaml/);
    files.set(`stranger/r bad ${usual}`, "version: 1\nruls: []\n");
    assert.match((await choose({}, "pull_request", pull)).proposal!, /would not load[^]*ruls/);
  });
});

describe("nothing downgrades by itself", () => {
  test("a policy that was named and is not there is an error", async () => {
    assert.match(
      await refused(choose({ policy: "ci/egress.yaml" }), "POLICY_UNREADABLE"),
      /ci\/egress\.yaml is not in o\/r/,
    );
  });

  test("GitHub that fails, refuses or cannot be reached is an error", async () => {
    files.set(`o/r c0ffee ${usual}`, 403);
    assert.match(await refused(choose({}), "POLICY_UNREADABLE"), /answered 403.*contents: read/);
    files.set(`o/r c0ffee ${usual}`, 500);
    assert.match(await refused(choose({}), "POLICY_UNREADABLE"), /answered 500/);
    assert.equal(asked.length, 4, "a failure that may pass is tried again, a refusal is not");
  });

  test("a policy that does not load is an error with its position", async () => {
    files.set(`o/r c0ffee ${usual}`, "version: 1\nrules:\n  - { nam: x }\n");
    assert.match(await refused(choose({}), "POLICY_INVALID"), /sallyport\.yaml:3:7/);
  });

  test("no policy and no endpoints: everything is refused", async () => {
    const chosen = await choose({});
    assert.equal(allows(chosen, "pypi.org"), "deny");
    assert.match(chosen.from, /^nothing/);
  });

  test("egress-policy decides over the file's mode, and says so", async () => {
    files.set(`o/r c0ffee ${usual}`, `${allow("pypi.org")}default: { mode: monitor }\n`);
    const chosen = await choose({});
    assert.equal(allows(chosen, "evil.example"), "deny");
    assert.match(chosen.notices.join(), /egress-policy decides/);
    assert.equal(allows(await choose({ "egress-policy": "audit" }), "evil.example"), "would_deny");
  });

  test("sources that a file enforces for do not leave this machine out", async () => {
    files.set(
      `o/r c0ffee ${usual}`,
      "version: 1\nsources: { a: { subnets: [10.1.0.0/16] } }\ndefault: { mode: monitor, enforce_for: [a] }\n",
    );
    assert.equal(allows(await choose({}), "evil.example"), "deny");
  });
});

describe("allowed-endpoints, in harden-runner's syntax", () => {
  test("hosts, ports and its meaning of * are kept", async () => {
    const chosen = await choose({ "allowed-endpoints": "pypi.org:443\n*.corp.example\tapi.example.com:8443" });
    assert.equal(allows(chosen, "pypi.org"), "allow");
    assert.equal(allows(chosen, "a.b.corp.example"), "allow", "its * takes in dots");
    assert.equal(allows(chosen, "api.example.com", 8443), "allow");
    assert.equal(allows(chosen, "api.example.com"), "deny");
    assert.equal(allows(chosen, "productionresultssa1.blob.core.windows.net"), "deny", "only to the runner itself");
  });

  test("they are added to the file's rules", async () => {
    files.set(`o/r c0ffee ${usual}`, allow("pypi.org"));
    const chosen = await choose({ "allowed-endpoints": "ghcr.io:443" });
    assert.equal(allows(chosen, "pypi.org"), "allow");
    assert.equal(allows(chosen, "ghcr.io"), "allow");
  });

  test("an endpoint that cannot be meant is an error, not left out", async () => {
    assert.match(
      await refused(choose({ "allowed-endpoints": "pypi.org:99999" }), "ACTION_INPUT"),
      /no port from 1 to 65535/,
    );
  });

  test("they cannot write YAML of their own", async () => {
    for (const text of ["pypi.org\n          egress-policy: audit", "x: y", "- a", "'", '"', "&a *a", "{a: b}", "|"]) {
      const chosen = await choose({ "allowed-endpoints": text }).catch((error: unknown) => error);
      if (chosen instanceof SallyportError) assert.equal(chosen.code, "ACTION_INPUT", chosen.message);
      else assert.equal(allows(chosen as JobPolicy, "evil.example"), "deny");
    }
  });
});
