/**
 * What npm delivers works: the packed tarball, installed the way users install it, gives a `sallyport` that runs on the
 * Node it finds, and one that says what it needs where there is none. Packages come the way npm is configured here.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const version = (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version;

/** npm's own variables, set by the `npm test` around us, would send the install back into this clone. */
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));

describe("the npm package", () => {
  let work: string;
  let packed: string[];
  let bin: string;

  before(() => {
    work = mkdtempSync(join(tmpdir(), "sallyport-package-"));
    const npm = (...args: string[]) =>
      execFileSync("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], {
        cwd: root,
        env: environment,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "inherit"],
      });
    npm("pack", "--pack-destination", work);
    const tarball = join(work, `sallyport-${version}.tgz`);
    packed = execFileSync("tar", ["-tzf", tarball], { encoding: "utf8" }).trim().split("\n");
    npm("install", "--global", "--prefix", join(work, "prefix"), "--prefer-offline", tarball);
    bin = join(work, "prefix/bin/sallyport");
  });

  after(() => rmSync(work, { recursive: true, force: true }));

  const run = (path: string, ...args: string[]) =>
    spawnSync(bin, args, { env: { ...environment, PATH: path }, encoding: "utf8", cwd: work });

  test("holds the launcher, the built program and the documents, and no sources or tests", () => {
    const profiles = ["minimal", "python", "node", "docker"].map((name) => `profiles/${name}.yaml`);
    for (const file of ["sallyport", "dist/cli/main.js", "README.md", "LICENSE", "package.json", ...profiles]) {
      assert.ok(packed.includes(`package/${file}`), `${file} is missing`);
    }
    assert.deepEqual(
      packed.filter((file) => /\.ts$|\.test\.|^package\/(src|test|scripts|bench|node_modules)\//.test(file)),
      [],
    );
  });

  test("installs a command that runs", () => {
    const result = run([dirname(process.execPath), "/usr/bin", "/bin"].join(delimiter), "--version");
    assert.equal(result.stderr, "");
    assert.match(result.stdout, new RegExp(`\\b${version.replaceAll(".", "\\.")}\\b`));
    assert.equal(result.status, 0);
  });

  test("answers a query: the engine came with it", () => {
    const events = join(work, "state/events");
    mkdirSync(events, { recursive: true });
    const event = `{"schema":"sallyport.event/1","time":"2026-05-04T09:00:00.000000Z","kind":"connection","verdict":"allow","destination":{"name":"pypi.org"}}`;
    writeFileSync(join(events, "events-000000000001.ndjson"), `${event}\n`);
    const path = [dirname(process.execPath), "/usr/bin", "/bin"].join(delimiter);
    const result = run(path, "query", "destinations", "--quiet", "--json", "--state", join(work, "state"));
    assert.deepEqual([result.status, result.stderr], [0, ""]);
    assert.match(result.stdout, /^\{"destination":"pypi.org",.*"connections":1,/);
  });

  test("sends a record to a sink: the exporter's process starts from the built program", () => {
    const program = join(work, "prefix/lib/node_modules/sallyport/dist");
    const out = join(work, "sent.ndjson");
    const script = `
      const { Spool } = await import(${JSON.stringify(join(program, "audit/spool.js"))});
      const { Exporter } = await import(${JSON.stringify(join(program, "export/exporter.js"))});
      const state = ${JSON.stringify(join(work, "sent"))};
      const spool = await Spool.open({ directory: state });
      spool.append({ kind: "lifecycle", message: "sent by the package" });
      await spool.flush();
      const sinks = [{ name: "file", kinds: null, to: "file", path: ${JSON.stringify(out)}, format: "native" }];
      const exporter = new Exporter({ state, sinks, incident: (message) => console.error(message) });
      for (let i = 0; i < 200 && exporter.status()[0].delivered === 0; i++) await new Promise((go) => setTimeout(go, 50));
      await exporter.stop(1000);
      await spool.close();`;
    const result = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      env: environment,
      encoding: "utf8",
    });
    assert.deepEqual([result.status, result.stderr], [0, ""]);
    assert.match(readFileSync(out, "utf8"), /"message":"sent by the package"/);
  });

  test("every worker file that the built program starts is in the package", () => {
    const references = packed
      .filter((file) => /^package\/dist\/.*\.js$/.test(file))
      .flatMap((file) => {
        const path = join(work, "prefix/lib/node_modules/sallyport", file.replace(/^package\//, ""));
        const text = readFileSync(path, "utf8");
        return [...text.matchAll(/new URL\("(\.[^"]*\.js)", import\.meta\.url\)/g)].map((m) =>
          join(dirname(path), m[1]!),
        );
      });
    assert.ok(references.length > 0, "the data path runs in worker threads, so there is at least one");
    assert.deepEqual(
      references.filter((path) => !existsSync(path)),
      [],
    );
  });

  test("says which Node it needs where there is none, or one that is too old", () => {
    const tools = join(work, "tools");
    mkdirSync(tools);
    for (const tool of ["sh", "readlink", "dirname", "id"]) {
      symlinkSync(execFileSync("sh", ["-c", `command -v ${tool}`], { encoding: "utf8" }).trim(), join(tools, tool));
    }
    const none = run(tools, "--version");
    assert.equal(none.status, 4);
    assert.match(none.stderr, /no `node` on PATH.*Node 24/s);
    assert.equal(none.stdout, "");

    writeFileSync(join(tools, "node"), "#!/bin/sh\necho v20.20.2\n");
    chmodSync(join(tools, "node"), 0o755);
    const old = run(tools, "--version");
    assert.equal(old.status, 4);
    assert.match(old.stderr, /v20\.20\.2; Node 24 or newer/);
    assert.equal(old.stdout, "");
  });
});
