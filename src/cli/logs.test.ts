/**
 * `sallyport logs` as people and scripts meet it: a key pair, verification that says what it did not check, and retention by hand.
 * The real launcher on a real record; no privileges.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadSigningKey } from "../audit/key.ts";
import { Spool } from "../audit/spool.ts";
import type { Verification } from "../audit/verify.ts";

const launcher = fileURLToPath(new URL("../../sallyport", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "sallyport-logs-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const keyFile = join(folder, "key");
const state = join(folder, "state");

function logs(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(launcher, ["logs", ...args], { encoding: "utf8" });
  return { code: status, stdout, stderr };
}

async function write(directory: string, count: number, key: string | null): Promise<void> {
  const signing = key === null ? null : loadSigningKey(key);
  const spool = await Spool.open({ directory, key: signing, segmentBytes: 5000, flushBytes: 1000 });
  for (let port = 1; port <= count; port++) {
    spool.append({ kind: "connection", destination: { name: null, name_from: "none", port, protocol: "tcp" } });
  }
  await spool.close();
}

const copy = (name: string) => {
  const to = join(folder, name);
  rmSync(to, { recursive: true, force: true });
  cpSync(state, to, { recursive: true });
  return to;
};

before(async () => {
  assert.equal(logs("keygen", "--out", keyFile).code, 0);
  await write(state, 60, keyFile);
});

describe("sallyport logs keygen", () => {
  test("makes a pair, says what each half is for, and overwrites nothing", () => {
    const file = join(folder, "pair");
    const { code, stdout } = logs("keygen", "--out", file);
    assert.equal(code, 0);
    assert.match(
      stdout,
      /^private key {2}.*pair .*--sign-key.*\npublic key .*pair\.pub .*--key.*\nkey id +[0-9a-f]{64}\n$/,
    );
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const kept = readFileSync(file, "utf8");
    const again = logs("keygen", "--out", file);
    assert.deepEqual([again.code, again.stdout], [2, ""]);
    assert.match(again.stderr, /not overwritten.*\n.*KEY_UNUSABLE/);
    assert.equal(readFileSync(file, "utf8"), kept);
  });
});

describe("sallyport logs verify", () => {
  test("with the key: every closed segment and the head; without it, what was not checked", () => {
    const keyed = logs("verify", "--state", state, "--key", `${keyFile}.pub`);
    assert.deepEqual([keyed.code, keyed.stderr], [0, ""]);
    assert.match(
      keyed.stdout,
      /^The chain holds: 60 records in \d segments, head [0-9a-f]{64}\.\n {2}seals .*every closed segment \(\d\) and the head, with a good signature\n$/,
    );
    const unkeyed = logs("verify", "--state", state);
    assert.equal(unkeyed.code, 0);
    assert.match(
      unkeyed.stdout,
      /signed by key [0-9a-f]{64}\n {2}not checked: the signatures; give the public key with --key\n$/,
    );
  });

  test("an unsigned record says that it proves nothing about who wrote it, and fails with a key", async () => {
    const directory = join(folder, "unsigned");
    await write(directory, 60, null);
    const { code, stdout } = logs("verify", "--state", directory);
    assert.equal(code, 0);
    assert.match(stdout, /(\d) of \1 closed segments, none signed\n {2}not checked: who wrote it/);
    const keyed = logs("verify", "--state", directory, "--key", `${keyFile}.pub`);
    assert.deepEqual([keyed.code, keyed.stdout], [1, ""]);
    assert.match(
      keyed.stderr,
      /^sallyport: events-000000000001\.ndjson: record 1 is seal_unsigned: .*is not signed\.\n.*CHAIN_BROKEN/,
    );
  });

  test("another key, no key and a private key are told apart", () => {
    assert.equal(logs("keygen", "--out", join(folder, "other")).code, 0);
    const other = logs("verify", "--state", state, "--key", join(folder, "other.pub"));
    assert.deepEqual([other.code, /seal_other_key: .* is signed by another key/.test(other.stderr)], [1, true]);
    const both = logs("verify", "--state", state, "--key", join(folder, "other.pub"), "--key", `${keyFile}.pub`);
    assert.equal(both.code, 0, both.stderr);
    for (const file of [keyFile, join(folder, "none")]) {
      const { code, stderr } = logs("verify", "--state", state, "--key", file);
      assert.deepEqual([code, /KEY_UNUSABLE/.test(stderr)], [2, true], stderr);
    }
  });

  test("--heads holds it to copies of head.json that were kept elsewhere", async () => {
    const directory = join(folder, "longer");
    cpSync(state, directory, { recursive: true });
    const heads = join(folder, "heads");
    const copyHead = () => appendFileSync(heads, readFileSync(join(directory, "events", "head.json")));
    copyHead();
    await write(directory, 5, keyFile);
    copyHead();
    const args = ["--key", `${keyFile}.pub`, "--heads", heads];
    const good = logs("verify", "--state", directory, ...args);
    assert.equal(good.code, 0, good.stderr);
    const older = logs("verify", "--state", state, ...args);
    assert.deepEqual([older.code, older.stdout], [1, ""]);
    assert.match(older.stderr, /record 61 is truncated: .* record 65 was there when its hash was kept elsewhere/);
    appendFileSync(heads, "{}\n");
    for (const [file, says] of [
      [heads, /heads:3: this line is no copy/],
      [join(folder, "none"), /cannot be read: ENOENT/],
    ] as const) {
      const { code, stderr } = logs("verify", "--state", state, "--heads", file);
      assert.deepEqual([code, says.test(stderr), /--heads.*HEADS_UNREADABLE/.test(stderr)], [2, true, true], stderr);
    }
  });

  test("--json says the same to a script", () => {
    const good = JSON.parse(
      logs("verify", "--state", state, "--key", `${keyFile}.pub`, "--json").stdout,
    ) as Verification;
    assert.deepEqual([good.ok, good.first, good.records, good.retention], [true, 1, 60, null]);
    assert.deepEqual([good.seals.checked, good.seals.sealed === good.seals.closed], [true, true]);
    const directory = copy("edited");
    const file = join(directory, "events", "events-000000000001.ndjson");
    writeFileSync(file, readFileSync(file, "utf8").replace('"port":3,', '"port":4,'));
    const { code, stdout, stderr } = logs("verify", "--state", directory, "--json");
    assert.equal(code, 1);
    assert.deepEqual((JSON.parse(stdout) as Verification).broken?.kind, "edited");
    assert.match(stderr, /^sallyport: events-000000000001\.ndjson:3: record 3 is edited/);
  });
});

describe("sallyport logs prune", () => {
  const files = (directory: string) => readdirSync(join(directory, "events")).toSorted();

  test("--dry-run says what would go and changes nothing", () => {
    const directory = copy("dry");
    const before = files(directory);
    const { code, stdout } = logs("prune", "--state", directory, "--keep-size", "12 kB", "--dry-run");
    assert.equal(code, 0);
    assert.match(stdout, /^events-000000000001\.ndjson {2}records 1 to \d+ {2}4\.\d kB {2}closed 20\S+Z {2}too much\n/);
    assert.match(stdout, /\nWould delete \d segments, [\d.]+ kB; \d stay, [\d.]+ kB\.\n$/);
    assert.deepEqual(files(directory), before);
    const plan = JSON.parse(
      logs("prune", "--state", directory, "--keep-size", "12 kB", "--dry-run", "--json").stdout,
    ) as {
      segments: { first: number; last: number; reason: string }[];
    };
    assert.deepEqual([plan.segments[0]!.first, plan.segments[0]!.reason], [1, "size"]);
    assert.match(logs("prune", "--state", directory, "--keep-for", "1d", "--dry-run").stdout, /^Nothing to delete: /);
  });

  test("deletes, and what remains verifies; a signed record needs its key", () => {
    const directory = copy("pruned");
    const unsigned = logs("prune", "--state", directory, "--keep-size", "12 kB");
    assert.deepEqual([unsigned.code, /give that key with --sign-key/.test(unsigned.stderr)], [2, true]);
    const done = logs("prune", "--state", directory, "--keep-size", "12 kB", "--sign-key", keyFile);
    assert.match(done.stdout, /\nDeleted \d segments/, done.stderr);
    assert.ok(!files(directory).includes("events-000000000001.ndjson"));
    const { code, stdout, stderr } = logs("verify", "--state", directory, "--key", `${keyFile}.pub`);
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      /\n {2}begins .*with record \d+, ends with 61: retention deleted the rest, as record 61 says\n/,
    );
  });

  test("what is not meant is exit 2: no bound, no time, no size, a key that others may read", () => {
    const open = join(folder, "open");
    cpSync(keyFile, open);
    chmodSync(open, 0o644);
    for (const args of [
      [],
      ["--keep-for", "soon"],
      ["--keep-for", "0d"],
      ["--keep-size", "10"],
      ["--keep-size", "1 kB", "--sign-key", open],
    ]) {
      const { code, stderr } = logs("prune", "--state", state, ...args);
      assert.equal(code, 2, `${args.join(" ")}: ${stderr}`);
    }
    assert.equal(logs("verify", "--state", state, "--key", `${keyFile}.pub`).code, 0);
  });

  test("a segment whose seal does not fit stops it, exit 1", () => {
    const directory = copy("blocked");
    rmSync(join(directory, "events", "events-000000000001.seal.json"));
    const { code, stderr } = logs("prune", "--state", directory, "--keep-size", "1 kB", "--sign-key", keyFile);
    assert.equal(code, 1);
    assert.match(stderr, /events-000000000001\.ndjson has no seal/);
  });
});
