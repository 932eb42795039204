/**
 * The promise of a release: what `action.yml` names is there after a build, and it is all that a runner needs: JavaScript that asks for
 * Node alone, and one binary for each processor.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** e_machine of an ELF header (elf(5)). */
const machines = { x64: 62, arm64: 183 } as const;

describe("npm run build:action -- --all", () => {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-release-"));
  const action = parse(readFileSync(join(root, "action.yml"), "utf8")) as { runs: Record<string, string> };
  let files: string[];

  before(() => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    assert.match(scripts["build:action"]!, /node scripts\/build-action\.ts$/);
    const script = join(root, "scripts/build-action.ts");
    const options = ["--disable-warning=ExperimentalWarning", script, "--all", `--out=${folder}/action/dist`];
    execFileSync(process.execPath, options, { stdio: ["ignore", "ignore", "inherit"] });
    files = readdirSync(join(folder, "action/dist")).toSorted();
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test("makes each file that action.yml names", () => {
    const { using, pre, main, post } = action.runs;
    assert.equal(using, "node24");
    for (const path of [pre, main, post]) assert.ok(existsSync(join(folder, path!)), `${path} is missing`);
    // Cancelled or failed, `post` tells.
    assert.equal(action.runs["post-if"], "always()");
  });

  test("makes a binary for each processor, and besides them bundles alone", () => {
    for (const [arch, machine] of Object.entries(machines)) {
      const bytes = readFileSync(join(folder, "action/dist", `koffi-linux-${arch}.node`));
      assert.deepEqual([bytes.toString("latin1", 1, 4), bytes.readUInt16LE(18)], ["ELF", machine]);
    }
    assert.deepEqual(
      files.filter((name) => !name.endsWith(".mjs")),
      ["koffi-linux-arm64.node", "koffi-linux-x64.node"],
    );
  });

  test("asks for nothing that is not there: Node's own modules and files beside it", () => {
    for (const name of files.filter((each) => each.endsWith(".mjs"))) {
      const text = readFileSync(join(folder, "action/dist", name), "utf8");
      const asked = [
        ...text.matchAll(/^(?:import|export)\b[^"'\n]*\bfrom "([^"]+)";?$/gm),
        ...text.matchAll(/\bimport\("([^"]+)"\)/g),
        ...text.matchAll(/(?<![\w.])require\("([^"]+)"\)/g),
        ...text.matchAll(/getBuiltinModule\("([^"]+)"\)/g),
      ].map(([, each]) => each!);
      assert.ok(asked.length > 0, name);
      const foreign = asked.filter((each) => !builtinModules.includes(each.replace(/^node:/, "")));
      assert.deepEqual(foreign, [], name);
      for (const [, file] of text.matchAll(/new URL\("(\.\/[^"]+)", (?:import\.meta\.url|here)\)/g))
        if (file !== "./") assert.ok(files.includes(basename(file!)), `${name} starts ${file}`);
    }
  });
});
