/**
 * What presets come to on a machine, word for word (test/support/golden.ts): the first line names the presets, `==== path`
 * starts a file below `project/`, `home/` or `root/`. npm is npm, asked in that folder. Every policy that comes out loads.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { goldenFiles, goldenTests, readGolden } from "../../test/support/golden.ts";
import type { Golden } from "../../test/support/golden.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import type { Machine } from "./machine.ts";
import { ecosystems, isMakeDefect, makePreset } from "./make.ts";
import type { Made } from "./make.ts";
import { writePresets } from "./write.ts";

const folder = new URL("golden/", import.meta.url);
const path = process.env["PATH"]!;

describe("presets", () => {
  let work: string;

  before(() => {
    work = mkdtempSync(join(tmpdir(), "sallyport-presets-"));
  });

  after(() => rmSync(work, { recursive: true, force: true }));

  /** A machine with these files and no others of its own; variables as `NAME=value`. */
  function machineOf(files: Readonly<Record<string, string>>, variables: readonly string[]): Machine {
    const at = mkdtempSync(join(work, "machine-"));
    for (const part of ["project", "home", "root"]) mkdirSync(join(at, part));
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(at, name)), { recursive: true });
      writeFileSync(join(at, name), text);
    }
    const home = join(at, "home");
    const given = Object.fromEntries(variables.map((each) => each.split(/=(.*)/s).slice(0, 2) as [string, string]));
    // The machine that the test runs on has settings of its own.
    const environment = { PATH: path, HOME: home, npm_config_globalconfig: join(at, "none"), ...given };
    return { folder: join(at, "project"), home, root: join(at, "root"), environment };
  }

  function makeAll(words: readonly string[], machine: Machine): Made[] {
    return words.map((word) => {
      const made = makePreset(word, machine);
      assert.ok(!isMakeDefect(made), JSON.stringify(made));
      return made;
    });
  }

  function output({ words, inputs }: Golden): string {
    const files = inputs[0]!.split(/^==== /m).slice(1);
    const named = files.map((part) => [part.slice(0, part.indexOf("\n")).trim(), part.slice(part.indexOf("\n") + 1)]);
    const variables = words.filter((word) => word.includes("=") && !word.startsWith("aws:"));
    const names = words.filter((word) => !variables.includes(word));
    if (names.length === 1) {
      const defect = makePreset(names[0]!, machineOf({}, variables));
      if (isMakeDefect(defect)) return defect.message;
    }
    const text = writePresets(
      makeAll(names, machineOf(Object.fromEntries(named) as Record<string, string>, variables)),
      ["A preset."],
    );
    const loaded = loadPolicy(text, "preset.yaml", new Date("2030-01-01T00:00:00Z"));
    assert.deepEqual(isPolicyProblems(loaded) ? loaded.problems : [], []);
    return text.trimEnd();
  }

  goldenTests(folder, output);

  test("every ecosystem is shown, with settings and without", () => {
    const shown = goldenFiles(folder).map((file) => readGolden(folder, file));
    for (const name of Object.keys(ecosystems)) {
      assert.ok(
        shown.some(({ words, inputs }) => words[0] === name && inputs[0]!.includes("====")),
        name,
      );
      assert.ok(
        shown.some(({ words, inputs }) => words.includes(name) && !inputs[0]!.includes("====")),
        name,
      );
    }
  });

  test("npm without settings is the registry that npm itself names, and nothing else", () => {
    const machine = machineOf({}, []);
    const asked = execFileSync("npm", ["config", "get", "registry"], {
      cwd: machine.folder,
      env: machine.environment,
      encoding: "utf8",
    });
    const [made] = makeAll(["npm"], machine);
    assert.deepEqual(
      made!.found.map(({ host }) => host),
      [new URL(asked.trim()).hostname],
    );
    assert.match(made!.found[0]!.why, /npm's own default/);
    assert.deepEqual(made!.missing, []);
  });

  test("packages that a lockfile has from the public registry come from the mirror that is configured, as npm has it", () => {
    const publicHost = new URL(
      execFileSync("npm", ["config", "get", "registry"], {
        cwd: work,
        env: machineOf({}, []).environment,
        encoding: "utf8",
      }).trim(),
    ).hostname;
    const lock = JSON.stringify({
      packages: {
        "node_modules/a": { resolved: `https://${publicHost}/a.tgz` },
        "node_modules/b": { resolved: "https://b.example/b.tgz" },
      },
    });
    const files = (replace: string) => ({
      "project/.npmrc": `registry=https://mirror.example/\n${replace}\n`,
      "project/package-lock.json": lock,
    });
    const hosts = (replace: string) =>
      makeAll(["npm"], machineOf(files(replace), []))[0]!
        .found.map(({ host }) => host)
        .toSorted();
    assert.deepEqual(hosts(""), ["b.example", "mirror.example"]);
    assert.deepEqual(hosts("replace-registry-host=never"), ["b.example", "mirror.example", publicHost].toSorted());
  });

  test("the same machine gives the same bytes", () => {
    const machine = machineOf(
      {
        "project/.npmrc": "registry=https://mirror.example/\n",
        "root/etc/docker/daemon.json": '{"registry-mirrors":["https://m.example"]}',
      },
      [],
    );
    const words = Object.keys(ecosystems).filter((name) => name !== "npm");
    assert.equal(writePresets(makeAll(words, machine), []), writePresets(makeAll(words, machine), []));
  });

  test("credentials in a URL are shown nowhere", () => {
    const files = {
      "project/.npmrc":
        "registry=https://user:hunter2@mirror.example/\n//mirror.example/:_authToken=hunter2\nhttps-proxy=http://u:hunter2@proxy.example:3128\n",
      "project/requirements.txt":
        "--index-url https://u:hunter2@pypi.example/simple\n-f ftp://u:hunter2@files.example/\n",
      "root/etc/apt/apt.conf": 'Acquire::http::Proxy "http://u:hunter2@proxy.example:3142";\n',
    };
    const made = makeAll(["npm", "pypi", "apt"], machineOf(files, []));
    assert.equal(made.flatMap(({ missing }) => missing).length, 4);
    assert.doesNotMatch(JSON.stringify(made) + writePresets(made, []), /hunter2/);
  });

  test("a file that is there and cannot be read is a failure, not an answer without it", () => {
    const machine = machineOf({}, []);
    mkdirSync(join(machine.root, "etc/apt/sources.list.d"), { recursive: true });
    // A name that leads back to itself: reading it fails for root, too.
    execFileSync("ln", ["-s", "loop.list", join(machine.root, "etc/apt/sources.list.d/loop.list")]);
    assert.throws(() => makePreset("apt", machine), { code: "SETTINGS_UNREADABLE" });
  });
});
