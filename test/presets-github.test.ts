/**
 * The preset of GitHub Actions grows only by hand: `scripts/presets-github.ts` reads an answer of the shape of `/meta` from a
 * server, refuses what is empty or suspicious, and adds a version that a person reads. Versions that are released never change.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { refresh } from "../scripts/presets/refresh.ts";
import { githubActions } from "../src/policy/preset-github-actions.ts";
import { presets } from "../src/policy/presets.ts";
import { root } from "./support/modules.ts";

/** Digests of every version that was released. A new one is a new line; a line never changes. */
const released: Record<string, string> = {
  "github-actions@1": "d787c9b7c2adbc55",
  "pypi@1": "e1b3263683484426",
  "go@1": "76d5abd589f69904",
  "cargo@1": "846bac64401e0782",
  "maven@1": "cab3ce395d7d7d65",
  "docker@1": "a69063996e05e984",
  "ghcr@1": "76205d1cfb0926d6",
};

const numbered = (numbers: readonly number[]) => numbers.map((n) => `productionresultssa${n}.blob.core.windows.net`);
const upTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

const exact = githubActions
  .at(-1)!
  .map(({ host }) => host)
  .filter((host) => !/[*{]/.test(host));
const all = [...upTo(0, 49), ...upTo(100, 199)];

interface Domains {
  actions?: unknown;
  actions_inbound?: unknown;
}

const answer = (full: unknown, also: Domains = {}) => ({
  verifiable_password_authentication: false,
  actions: ["192.0.2.0/24"],
  domains: {
    actions: ["*.actions.githubusercontent.com"],
    actions_inbound: { full_domains: full, wildcard_domains: ["*.actions.githubusercontent.com"] },
    ...also,
  },
});

describe("refreshing the preset of GitHub Actions", () => {
  let server: Server;
  let url: string;
  let work: string;
  let reply: (path: string) => { status?: number; body: string | Buffer; location?: string };

  before(async () => {
    work = mkdtempSync(join(tmpdir(), "sallyport-meta-"));
    server = createServer((request, response) => {
      const { status = 200, body, location } = reply(request.url!);
      response.writeHead(status, location === undefined ? {} : { location });
      response.end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/meta`;
  });

  after(() => {
    server.close();
    rmSync(work, { recursive: true, force: true });
  });

  /** Runs the script on an answer. */
  async function run(
    body: unknown,
    ...args: string[]
  ): Promise<{ code: number | null; out: string; error: string; written: string }> {
    reply =
      typeof body === "function"
        ? (body as typeof reply)
        : () => ({ body: typeof body === "string" ? body : JSON.stringify(body) });
    const file = join(work, "written.ts");
    rmSync(file, { force: true });
    const script = join(root, "scripts/presets-github.ts");
    const child = spawn(process.execPath, [
      "--disable-warning=ExperimentalWarning",
      script,
      "--url",
      url,
      "--out",
      file,
      ...args,
    ]);
    const [out, error] = await Promise.all(
      [child.stdout, child.stderr].map(async (stream) => (await stream.toArray()).join("")),
    );
    const code = child.exitCode ?? (await new Promise<number | null>((resolve) => child.on("exit", resolve)));
    return { code, out: out!, error: error!, written: existsSync(file) ? readFileSync(file, "utf8") : "" };
  }

  test("the same hosts are no change, and others in the answer are only told", async () => {
    const same = await run(answer([...exact, ...numbered(all), "education.github.com"]), "--write");
    assert.deepEqual([same.code, same.error, same.written], [0, "", ""]);
    assert.match(same.out, /^not in the preset: education\.github\.com\ngithub-actions@\d+ is what the answer says\n$/);
  });

  test("more numbered accounts are a new version, written only where asked, and the old ones stay", async () => {
    const more = answer([...exact, ...numbered([...all, 200, 201])]);
    const shown = await run(more);
    assert.deepEqual([shown.code, shown.written], [1, ""]);
    assert.match(shown.out, /^- productionresultssa\{0-49,100-199\}.*\n\+ productionresultssa\{0-49,100-201\}/m);
    const { code, written } = await run(more, "--write");
    assert.equal(code, 0);
    const was = readFileSync(join(root, "src/policy/preset-github-actions.ts"), "utf8");
    assert.ok(written.startsWith(was.slice(0, was.lastIndexOf("];"))), "the versions before are as they were");
    assert.equal(written.match(/productionresultssa\{0-49,100-201\}/g)?.length, 1);
  });

  test("a new host needs a reason, GitHub's own zone and to be in the answer", async () => {
    const full = [...exact, ...numbered(all), "new.actions.githubusercontent.com", "new.example"];
    const added = await run(
      answer(full),
      "--write",
      "--reason",
      "new.actions.githubusercontent.com=where logs of large jobs go",
    );
    assert.equal(added.code, 0);
    assert.match(added.written, /host: "new\.actions\.githubusercontent\.com", reason: "where logs of large jobs go"/);
    for (const [reason, why] of [
      ["new.example=a host of somebody else's", /in none of the zones/],
      ["other.github.com=that the answer has not", /not among the exact hosts/],
      ["new.actions.githubusercontent.com=why", /needs a reason/],
    ] as const) {
      const refused = await run(answer(full), "--write", "--reason", reason);
      assert.deepEqual([refused.code, refused.written], [2, ""]);
      assert.match(refused.error, why);
    }
  });

  test("what is empty or suspicious is refused, and nothing is written", async () => {
    const usual = [...exact, ...numbered(all)];
    const suspicious: [string, unknown, RegExp][] = [
      ["no list", { domains: {} }, /no domains\.actions_inbound\.full_domains/],
      ["an empty list", answer([]), /0 exact hosts/],
      ["an empty object", {}, /no domains/],
      ["null", null, /no domains/],
      ["a text", "<html>", /not valid JSON|Unexpected token/i],
      ["a host that is none", answer([...usual, "a b"]), /is no host/],
      ["a number", answer([...usual, 7]), /is no host/],
      ["a list that is none", answer(usual, { actions: "x" }), /is no list/],
      ["no numbered account", answer(exact), /no numbered storage account/],
      ["most accounts gone", answer([...exact, ...numbered(upTo(0, 9))]), /10 numbered accounts, the preset 150/],
      ["far more accounts", answer([...exact, ...numbered(upTo(0, 400))]), /401 numbered accounts/],
      [
        "a host gone",
        answer(usual.filter((host) => host !== "codeload.github.com")),
        /codeload\.github\.com is in the preset and not/,
      ],
      [
        "the wildcard gone",
        answer(usual, { actions: [], actions_inbound: { full_domains: usual, wildcard_domains: [] } }),
        /\*\.actions/,
      ],
      ["a failure", () => ({ status: 500, body: "" }), /answers 500/],
      ["a redirection", () => ({ status: 302, body: "", location: "http://127.0.0.1:1/" }), /redirect/],
      ["a flood", () => ({ body: Buffer.alloc(9 * 1024 * 1024, 0x20) }), /more than 8388608 bytes/],
    ];
    const said = { reasons: new Map(), remove: [], keep: [], accounts: null };
    for (const [title, body, why] of suspicious) {
      if (typeof body === "object" && title !== "an empty list") {
        const { refusals } = refresh(githubActions.at(-1)!, body, said);
        assert.match(refusals?.join("\n") ?? "", why, title);
        continue;
      }
      const { code, out, error, written } = await run(body, "--write");
      assert.deepEqual([code, out, written], [2, "", ""], title);
      assert.match(error, why, title);
    }
  });

  test("what looks wrong and is right, a person says", async () => {
    const few = answer([...exact, ...numbered(upTo(0, 9))]);
    assert.equal((await run(few, "--accounts", "10")).code, 1);
    assert.equal((await run(few, "--accounts", "11")).code, 2);
    const gone = answer([...exact, ...numbered(all)].filter((host) => host !== "codeload.github.com"));
    const removed = await run(gone, "--remove", "codeload.github.com");
    assert.deepEqual([removed.code, removed.error], [1, ""]);
    assert.match(removed.out, /^- codeload\.github\.com$/m);
    assert.equal((await run(gone, "--remove", "codeload.github.com", "--remove", "x.github.com")).code, 2);
    assert.equal((await run(gone, "--keep", "codeload.github.com")).code, 0);
  });
});

test("a version of a preset never changes", () => {
  const digests = Object.entries(presets).flatMap(([name, versions]) =>
    versions.map((hosts, i) => [
      `${name}@${i + 1}`,
      createHash("sha256").update(JSON.stringify(hosts)).digest("hex").slice(0, 16),
    ]),
  );
  assert.deepEqual(Object.fromEntries(digests), released);
});
