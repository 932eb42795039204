/**
 * Makes `dist/` from `src/`: the same files, one JavaScript module for each, for the npm package. Needed because Node
 * refuses to strip types under `node_modules`; a clone runs `src/` as it is. Called by `npm run build` and, through
 * `prepack`, by `npm pack`.
 *
 * Tests and what only they use stay behind. Nothing is bundled: a stack trace in the field names the file it names here, and worker threads start from the same
 * relative paths.
 */
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

const src = fileURLToPath(new URL("../src", import.meta.url));
const dist = fileURLToPath(new URL("../dist", import.meta.url));

/** `new URL("./worker.ts", import.meta.url)`: how worker threads and data files are named. */
const urlReference = /new URL\(\s*"(\.{1,2}\/[^"]+)\.ts",\s*import\.meta\.url\s*,?\s*\)/g;

const isTest = (file: string) =>
  /(\.test|[./]arbitrary)\.ts$|(^|\/)(testing|fixtures|testdata|corpus|golden)\//.test(file);

/** Keeps every import an import, with the ending its target has in `dist/`. */
const importsStay: Plugin = {
  name: "imports-stay",
  setup(build) {
    build.onResolve({ filter: /^\.{1,2}\/.*\.ts$/ }, ({ kind, path }) =>
      kind === "entry-point" ? null : { path: path.replace(/\.ts$/, ".js"), external: true },
    );
  },
};

const files = globSync("**/*", { cwd: src, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => relative(src, join(entry.parentPath, entry.name)))
  .filter((file) => !isTest(file));
const modules = files.filter((file) => file.endsWith(".ts"));

rmSync(dist, { recursive: true, force: true });
await build({
  entryPoints: modules.map((file) => join(src, file)),
  outbase: src,
  outdir: dist,
  bundle: true,
  packages: "external",
  plugins: [importsStay],
  platform: "node",
  format: "esm",
  target: "node24",
  charset: "utf8",
  logLevel: "warning",
});

for (const file of modules) {
  const path = join(dist, file.replace(/\.ts$/, ".js"));
  const text = readFileSync(path, "utf8").replace(urlReference, 'new URL("$1.js", import.meta.url)');
  writeFileSync(path, text);
  // A reference this script does not understand would fail only in the field, in a worker thread: fail here.
  const left = /["'`]\.{1,2}\/[^"'`]*\.ts["'`]/.exec(text);
  if (left)
    throw new Error(`${file}: ${left[0]} still names a TypeScript file; write it as new URL("…", import.meta.url)`);
}
for (const file of files.filter((file) => !file.endsWith(".ts"))) {
  cpSync(join(src, file), join(dist, file), { recursive: true });
}
console.error(`dist/: ${modules.length} modules`);
