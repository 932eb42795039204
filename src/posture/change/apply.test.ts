/**
 * Changes are made one by one, and only where what is there is what the plan showed: files below open directories, whatever links
 * are put in the way, and settings against a server made from GitHub's own description, which refuses, limits, forgets and changes
 * in the middle. What was made can be taken back by the file that is left, also after a crash, and never where it is something else.
 */
import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { github, Odd } from "../../../test/support/github.ts";
import type { GithubOptions } from "../../../test/support/github.ts";
import { changesOf, reversed } from "../fix/change.ts";
import type { Change, Values } from "../fix/change.ts";
import { planSettings } from "../fix/settings.ts";
import type { GroupsWanted } from "../fix/settings.ts";
import { backText, planText } from "../fix/text.ts";
import { doneOf, parseUndo, undoLine, undoStart } from "../fix/undo-file.ts";
import { readOwner } from "../sources/github.ts";
import { checkOwner } from "../checks/github.ts";
import { frame } from "../testing/repository.ts";
import { GithubClient } from "../sources/github-client.ts";
import { runnerNeeds } from "../sources/github.ts";
import { applyChanges } from "./apply.ts";
import { Folder } from "./folder.ts";
import { openJournal, startJournal } from "./journal.ts";

const path = ".github/workflows/ci.yml";
const about = { version: "0.0.0", made: "2026-11-01T00:00:00.000Z", folder: "/x", api: null };
const quiet = () => undefined;

function folderWith(t: TestContext, files: Record<string, string | Buffer>): { at: string; folder: Folder } {
  const at = mkdtempSync(join(tmpdir(), "sallyport-fix-"));
  mkdirSync(join(at, ".github/workflows"), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(at, ".github/workflows", name), text);
  const folder = new Folder(at);
  t.after(() => {
    folder.close();
    rmSync(at, { recursive: true });
  });
  return { at, folder };
}

const file = (from: string, to: string, at = path): Change => ({ kind: "file", path: at, from, to });
const applyTo = (folder: Folder, ...changes: Change[]) => applyChanges(changes, { folder, client: null, note: quiet });

describe("files", () => {
  test("are replaced whole, with their rights; nothing is left beside them", async (t) => {
    const text = "\uFEFFon: push\r\n\tx\r\n";
    const { at, folder } = folderWith(t, { "ci.yml": text });
    chmodSync(join(at, path), 0o640);
    const [outcome] = await applyTo(folder, file(text, `${text}# more\r\n`));
    assert.deepEqual(outcome, { name: path, state: "done", why: "" });
    assert.equal(readFileSync(join(at, path), "utf8"), `${text}# more\r\n`);
    assert.equal(statSync(join(at, path)).mode & 0o7777, 0o640);
    assert.deepEqual(readdirSync(join(at, ".github/workflows")), ["ci.yml"]);
  });

  test("that changed, are so already, are gone or are no text are left; the others are made", async (t) => {
    const { at, folder } = folderWith(t, {
      "ci.yml": "new",
      "b.yml": "to",
      "d.yml": Buffer.from([0xff]),
      "e.yml": "from",
    });
    const names = ["ci.yml", "b.yml", "c.yml", "d.yml", "e.yml"];
    const outcomes = await applyTo(folder, ...names.map((name) => file("from", "to", `.github/workflows/${name}`)));
    assert.deepEqual(
      outcomes.map(({ state, why }) => `${state} ${why}`),
      [
        "changed what is there is neither what the plan showed nor what it would be",
        "already it is so already",
        "failed it is not there",
        "failed it is not UTF-8",
        "done ",
      ],
    );
    assert.equal(readFileSync(join(at, path), "utf8"), "new");
  });

  test("behind links are never read nor written, wherever the link is", async (t) => {
    const outside = folderWith(t, { "ci.yml": "from" });
    const { at, folder } = folderWith(t, {});
    symlinkSync(join(outside.at, path), join(at, path));
    const outcomes = [...(await applyTo(folder, file("from", "to")))];
    rmSync(join(at, ".github/workflows"), { recursive: true });
    symlinkSync(join(outside.at, ".github/workflows"), join(at, ".github/workflows"));
    outcomes.push(...(await applyTo(folder, file("from", "to"))));
    rmSync(join(at, ".github"), { recursive: true });
    symlinkSync(join(outside.at, ".github"), join(at, ".github"));
    outcomes.push(...(await applyTo(folder, file("from", "to"), file("from", "to", "../x.yml"))));
    assert.deepEqual(
      outcomes.map(({ state, why }) => `${state} ${why}`),
      [...Array(3).fill("failed a link is on the way, and is not followed"), "failed it is no path"],
    );
    assert.equal(readFileSync(join(outside.at, path), "utf8"), "from");
  });

  test("of which a hard link is elsewhere are replaced here alone", async (t) => {
    const { at, folder } = folderWith(t, { "ci.yml": "from" });
    linkSync(join(at, path), join(at, "other"));
    assert.equal((await applyTo(folder, file("from", "to")))[0]!.state, "done");
    assert.deepEqual([readFileSync(join(at, path), "utf8"), readFileSync(join(at, "other"), "utf8")], ["to", "from"]);
  });
});

const base = "/orgs/octo/actions/permissions";
const group = (more: object) => ({
  ...{ id: 7, name: "big", visibility: "all", default: false, runners_url: "x", inherited: false },
  ...{ allows_public_repositories: true, restricted_to_workflows: false, selected_workflows: [], ...more },
});
const bad = () => ({
  [`${base}/workflow`]: { default_workflow_permissions: "write", can_approve_pull_request_reviews: true },
  [`${base}/fork-pr-contributor-approval`]: { approval_policy: "first_time_contributors" },
  [`${base}/fork-pr-workflows-private-repos`]: {
    run_workflows_from_fork_pull_requests: true,
    send_write_tokens_to_workflows: true,
    send_secrets_and_variables: true,
    require_approval_for_fork_pr_workflows: false,
  },
  "/orgs/octo/actions/runner-groups": { total_count: 1, runner_groups: [group({})] },
});
const flow = "octo/api/.github/workflows/release.yml@main";
const listing = (value: string[] | null, why: string | null = null) =>
  new Map([["orgs/octo/actions/runner-groups/7", { endpoint: "GET x", value, why }]]);
const named: GroupsWanted = {
  select: new Set(["big"]),
  restrict: new Map([["big", [flow]]]),
  listed: listing(["octo/api", "octo/web"]),
};
const nobody: GroupsWanted = { select: new Set(), restrict: new Map(), listed: new Map() };

async function planned(t: TestContext, options: GithubOptions = {}, groups = named) {
  const server = await github(t, { answers: bad(), ...options });
  const client = new GithubClient({ url: server.url, token: "t", maxWait: 0, progress: quiet });
  const plan = async () => {
    const owner = await readOwner(client, "org", "octo");
    const findings = checkOwner(owner, { ...frame, knownRunners: [], runnerNeeds });
    const failing = new Map(findings.filter(({ status }) => status === "fail").map((each) => [each.id, each]));
    return planSettings([owner], failing, groups);
  };
  const { settings, why } = await plan();
  return { server, client, plan, settings, why, changes: changesOf({ files: [], settings, left: [] }) };
}

const apply = (changes: readonly Change[], client: GithubClient, note: (i: number, state: string) => void = quiet) =>
  applyChanges(changes, { folder: null, client, note });

describe("settings", () => {
  test("are set, seen so afterwards, and the second plan is empty; taken back, they are as they were", async (t) => {
    const { server, client, plan, changes, settings } = await planned(t);
    assert.deepEqual(
      settings.flatMap(({ reasons }) => reasons.map(({ text }) => text)),
      [
        "default_workflow_permissions: write → read",
        "can_approve_pull_request_reviews: true → false",
        "approval_policy: first_time_contributors → all_external_contributors",
        "send_secrets_and_variables: true → false",
        "send_write_tokens_to_workflows: true → false",
        "require_approval_for_fork_pr_workflows: false → true",
        "allows_public_repositories: true → false",
        "visibility: all → selected",
        "restricted_to_workflows: false → true",
        `selected_workflows: [] → ["${flow}"]`,
      ],
    );
    assert.deepEqual(
      (await apply(changes, client)).map(({ state }) => state),
      ["done", "done", "done", "done"],
    );
    const { settings: again } = await plan();
    assert.deepEqual(again, []);
    assert.deepEqual(
      (await apply(changes, client)).map(({ state }) => state),
      Array(4).fill("already"),
    );
    const was = server.sent.length;
    assert.deepEqual(
      (await apply(reversed(changes), client)).map(({ state }) => state),
      Array(4).fill("done"),
    );
    assert.equal(server.sent.length, was + 4);
    for (const [at, value] of Object.entries(bad())) assert.deepEqual(server.answers.get(at), value, at);
  });

  test("of a group's list of workflows are shown in full, old and new", async (t) => {
    const old = Array.from({ length: 9 }, (_, i) => `octo/api/.github/workflows/deploy-${i}.yml@refs/heads/main`);
    const answers = {
      ...bad(),
      "/orgs/octo/actions/runner-groups": { total_count: 1, runner_groups: [group({ selected_workflows: old })] },
    };
    const { settings } = await planned(t, { answers });
    const text = planText({ files: [], settings, left: [] }, 1);
    assert.ok(text.includes(`selected_workflows: ${JSON.stringify(old)} → ${JSON.stringify([flow])}`), text);
  });

  test("of a group show who may use it before and after; an empty or unseen list is left", async (t) => {
    const { settings } = await planned(t);
    const text = planText({ files: [], settings, left: [] }, 1);
    assert.match(
      text,
      /before: every repository of octo\n {2}who may use it after: {2}2 repositories: octo\/api, octo\/web$/m,
    );
    for (const [listed, pattern] of [
      [listing([]), /its list is empty, so nobody would have its runners/],
      [listing(null, "404"), /which repositories it lists was not seen: 404/],
      [new Map<string, never>(), /was not seen: it was not asked/],
    ] as const) {
      const left = await planned(t, {}, { ...named, listed });
      assert.equal(left.settings.at(-1)!.to["visibility"], undefined);
      assert.equal(left.settings.at(-1)!.users, undefined);
      assert.match([...left.why.values()].join("\n"), pattern);
    }
  });

  test("of groups are set only as somebody named; what the enterprise decides is left", async (t) => {
    const { settings, why } = await planned(t, {}, nobody);
    assert.deepEqual(settings.at(-1)!.to, { name: "big", allows_public_repositories: false });
    assert.match([...why.values()].join("\n"), /--select-group "big".*\n.*--restrict-group "big=OWNER/);
    const answers = {
      ...bad(),
      "/orgs/octo/actions/runner-groups": { total_count: 1, runner_groups: [group({ inherited: true })] },
    };
    const inherited = await planned(t, { answers });
    assert.equal(inherited.settings.length, 3);
    assert.ok([...inherited.why.values()].every((each) => /enterprise's/.test(each)));
  });

  for (const [status, body, pattern] of [
    [403, { message: "Resource not accessible by personal access token" }, /the token may not/],
    [404, { message: "Not Found" }, /not there/],
    [409, { message: "The organization decides" }, /409: The organization decides/],
    [422, { message: "Validation Failed" }, /422: Validation Failed/],
  ] as const) {
    test(`${status} in the middle: the others are made, and it is said`, async (t) => {
      const { server, client, changes } = await planned(t);
      server.answers.set(`PUT ${base}/fork-pr-contributor-approval`, new Odd(status, body));
      const outcomes = await apply(changes, client);
      assert.deepEqual(
        outcomes.map(({ state }) => state),
        ["done", "failed", "done", "done"],
      );
      assert.match(outcomes[1]!.why, pattern);
      assert.deepEqual(server.answers.get(`${base}/fork-pr-contributor-approval`), {
        approval_policy: "first_time_contributors",
      });
    });
  }

  test("a limit in the middle: nothing more is asked", async (t) => {
    const { server, client, changes } = await planned(t);
    const limit = new Odd(403, { message: "You have exceeded a secondary rate limit" }, { "retry-after": "60" });
    server.answers.set(`PUT ${base}/fork-pr-contributor-approval`, limit);
    const outcomes = await apply(changes, client);
    assert.deepEqual(
      outcomes.map(({ state }) => state),
      ["done", "failed", "not-tried", "not-tried"],
    );
    assert.match(outcomes[2]!.why, /GitHub's limit/);
    assert.equal(server.sent.length, 1);
  });

  test("an answer that is lost: what GitHub says afterwards counts; unseen, it is unclear", async (t) => {
    const at = `${base}/fork-pr-contributor-approval`;
    const { server, client, changes } = await planned(t, {
      meanwhile: (request, answers) => {
        // Taken, and the answer is a gateway's.
        if (request === `PUT ${at}`) answers.set(at, { approval_policy: "all_external_contributors" });
      },
    });
    server.answers.set(`PUT ${at}`, new Odd(502, "bad gateway"));
    assert.deepEqual(
      (await apply(changes, client)).map(({ state }) => state),
      Array(4).fill("done"),
    );
    const lost = await planned(t, {
      meanwhile: (request, answers) => {
        if (request === `PUT ${at}`) answers.set(`GET ${at}`, new Odd(404, "{}"));
      },
    });
    assert.deepEqual(
      (await apply(lost.changes, lost.client)).map(({ state }) => state),
      ["done", "unclear", "done", "done"],
    );
  });

  test("changed between plan and change: not touched; overruled from above: said", async (t) => {
    const at = `${base}/workflow`;
    const { server, client, changes } = await planned(t);
    server.answers.set(at, { default_workflow_permissions: "read", can_approve_pull_request_reviews: true });
    assert.equal((await apply(changes, client))[0]!.state, "changed");
    assert.ok(!server.requests.includes(`PUT ${at}`));
    const ruled = await planned(t);
    ruled.server.answers.set(`GET ${at}`, bad()[at]);
    const [outcome] = await apply(ruled.changes, ruled.client);
    assert.match(`${outcome!.state} ${outcome!.why}`, /^failed .*says something else afterwards/);
  });
});

describe("what is taken back", () => {
  const notes = async (changes: readonly Change[], client: GithubClient) => {
    const said = new Map<number, string>();
    await apply(changes, client, (i, state) => void said.set(i, state));
    return [...said];
  };
  const at = `${base}/workflow`;

  test("is nothing that GitHub refused, whoever makes it so later; what it took and denied afterwards is looked at", async (t) => {
    const limit = new Odd(403, { message: "You have exceeded a secondary rate limit" }, { "retry-after": "60" });
    for (const [odd, state] of [
      [limit, "failed"],
      [new Odd(401, { message: "Bad credentials" }), "failed"],
      [new Odd(422, { message: "no" }), "failed"],
      [new Odd(502, "bad gateway"), "started"],
    ] as const) {
      const { server, client, changes } = await planned(t);
      server.answers.set(`PUT ${at}`, odd);
      const [change] = changes;
      assert.deepEqual(await notes([change!], client), [[0, state]]);
      const text = undoStart(about, [change!]) + undoLine(0, state);
      assert.equal(doneOf(parseUndo(text, "u")).length, state === "failed" ? 0 : 1);
    }
    const ruled = await planned(t);
    ruled.server.answers.set(`GET ${at}`, bad()[at]);
    assert.deepEqual(await notes([ruled.changes[0]!], ruled.client), [[0, "started"]]);
  });

  test("is also a file that was replaced when its directory could not be brought onto the disk", async (t) => {
    const { at: root } = folderWith(t, { "ci.yml": "from" });
    const folder = new Folder(root, () => {
      throw new Error("EIO: i/o error, fsync");
    });
    t.after(() => folder.close());
    const said: string[] = [];
    const note = (_: number, state: string) => void said.push(state);
    const [outcome] = await applyChanges([file("from", "to")], { folder, client: null, note });
    assert.deepEqual([outcome!.state, said, readFileSync(join(root, path), "utf8")], ["unclear", ["started"], "to"]);
    assert.match(outcome!.why, /^it was replaced, and may not last: EIO/);
  });

  test("is shown whole before: lines of a file, values of a setting; nothing in it moves the cursor", () => {
    const setting: Change = {
      ...{ kind: "setting", method: "PATCH", path: "orgs/octo/actions/runner-groups/7" },
      ...{ from: { name: "big", selected_workflows: [] }, to: { name: "big", selected_workflows: [flow] } },
    };
    const text = backText([file("a\nb\nc\n", "a\n- run: curl evil.example\rb\nc\n"), setting]);
    assert.match(text, /^ a\n-b\n\+- run: curl evil\.example\uFFFDb\n c$/m);
    assert.ok(text.includes(`PATCH /orgs/octo/actions/runner-groups/7:\n  selected_workflows: [] → ["${flow}"]`), text);
    assert.match(text, /would take back \.github\/workflows\/ci\.yml\nwould take back PATCH/);
  });
});

describe("the undo file", () => {
  const changes = [file("a", "b"), file("c", "d", ".github/workflows/b.yml")];
  const place = (t: TestContext) => {
    const at = mkdtempSync(join(tmpdir(), "sallyport-undo-"));
    t.after(() => rmSync(at, { recursive: true }));
    return join(at, "undo.jsonl");
  };

  test("is its owner's alone, whole before the first change, and never one that was there", (t) => {
    const at = place(t);
    const journal = startJournal(at, about, changes);
    assert.equal(statSync(at).mode & 0o7777, 0o600);
    assert.deepEqual(parseUndo(readFileSync(at, "utf8"), at).changes, changes);
    assert.throws(() => startJournal(at, about, changes), { code: "FILE_UNWRITABLE" });
    const link = `${at}.link`;
    symlinkSync(`${at}.elsewhere`, link);
    assert.throws(() => startJournal(link, about, changes), { code: "FILE_UNWRITABLE" });
    assert.ok(!existsSync(`${at}.elsewhere`));
    journal.close();
  });

  test("says what may have to be taken back, also after a crash with a torn line", (t) => {
    const at = place(t);
    const journal = startJournal(at, about, changes);
    journal.note(0, "started");
    journal.close();
    writeFileSync(at, '{"change":1,"sta', { flag: "a" });
    const { file: read, resume } = openJournal(at);
    assert.deepEqual(
      doneOf(read).map(({ number }) => number),
      [0],
    );
    const more = resume();
    more.note(0, "undone");
    more.close();
    assert.deepEqual(doneOf(openJournal(at).file), []);
  });

  test("is read where it is this user's alone, and gone on with where it is still that file", (t) => {
    const { at: folder } = folderWith(t, {});
    const [at, link] = [join(folder, "undo.jsonl"), join(folder, "link.jsonl")];
    startJournal(at, about, [file("a", "b")]).close();
    const refused = (message: RegExp, path = at) =>
      assert.throws(() => openJournal(path), { code: "UNDO_INVALID", message });
    for (const mode of [0o602, 0o620, 0o666]) {
      chmodSync(at, mode);
      refused(/can be written by others/);
    }
    chmodSync(at, 0o600);
    // To give something away takes root.
    if (process.geteuid!() === 0) {
      chownSync(at, 12345, 12345);
      refused(/belongs to another user/);
      chownSync(at, 0, 0);
    }
    symlinkSync(at, link);
    refused(/ELOOP/, link);
    refused(/no regular file/, folder);
    const { resume } = openJournal(at);
    writeFileSync(join(folder, "other"), readFileSync(at));
    renameSync(join(folder, "other"), at);
    assert.throws(resume, { code: "FILE_UNWRITABLE", message: /changed meanwhile/ });
  });

  test("takes back nothing that a fix would not do, whoever wrote it", () => {
    const fields: Values = { approval_policy: "a" };
    const setting = (path: string, method: "PUT" | "PATCH", from = fields, to = from): Change => ({
      ...{ kind: "setting", path, method, from, to },
    });
    const approval = "actions/permissions/fork-pr-contributor-approval";
    const wrong: Change[] = [
      file("a", "b", "/etc/passwd"),
      file("a", "b", ".github/workflows/../../x.yml"),
      file("a", "b", ".github/workflows/a.sh"),
      setting(`repos/octo/../${approval}`, "PUT"),
      setting("repos/octo/api/collaborators/eve", "PUT"),
      setting(`repos/octo/api/${approval}?x`, "PUT"),
      setting(`repos/octo/api/${approval}`, "PUT", { permission: "admin" }),
      setting(`repos/octo/api/${approval}`, "PUT", fields, {}),
      setting("orgs/octo/actions/runner-groups/1/../2", "PATCH", { name: "x" }),
      setting("repos/octo/api/actions/runner-groups/1", "PATCH", { name: "x" }),
    ];
    for (const each of wrong)
      assert.throws(() => parseUndo(undoStart(about, [each]), "u"), { code: "UNDO_INVALID", message: /^u:2: / });
    const right = setting(`repos/octo/api/${approval}`, "PUT");
    assert.deepEqual(parseUndo(undoStart(about, [right]), "u").changes, [right]);
    for (const text of ["", "x\n", "{}\n", `${undoStart(about, [])}{"change":0,"state":"done"}\n`])
      assert.throws(() => parseUndo(text, "u"), { code: "UNDO_INVALID" });
  });
});
