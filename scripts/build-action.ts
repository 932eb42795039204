/**
 * Makes `action/dist/`, what a tag of the action holds besides `action.yml`: a bundle of plain JavaScript for each process and
 * thread, and the FFI's binary for each processor. Nothing is installed or downloaded on a runner.
 *
 *   npm run build:action            for the processor of this machine (what the tests use)
 *   npm run build:action -- --all   for x64 and arm64: what a release holds
 *
 * The other processor's binary comes from the npm registry by npm itself, and must have the checksum of package-lock.json.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const out = resolve(
  root,
  process.argv.find((each) => each.startsWith("--out="))?.slice("--out=".length) ?? "action/dist",
);

/** How threads are named; each gets a door of its own. */
const urlReference = /new URL\(\s*"\.{1,2}\/(?:[^"]*\/)?([^"/]+)\.ts",\s*import\.meta\.url\s*,?\s*\)/g;

const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };

const oneFile: Plugin = {
  name: "one-file",
  setup(build) {
    build.onLoad({ filter: /src\/version\.ts$/ }, () => ({
      loader: "ts",
      contents: `export const version = ${JSON.stringify(version)};`,
    }));
    build.onLoad({ filter: /src\/.*\.ts$/ }, ({ path }) => ({
      loader: "ts",
      contents: readFileSync(path, "utf8")
        .replace(urlReference, (_, name: string) => `new URL("./${name}.mjs", import.meta.url)`)
        // As a namespace it is taken in whole, with its messages in fifty languages.
        .replace('import { z } from "zod";', 'import * as z from "zod";'),
    }));
    // Loading these takes longer than anything else of Node's, and an import reads every export, some of which load more that
    // nobody here uses (a WebSocket, a WebCrypto). So each is loaded when it is first used, which in most processes is after the start.
    build.onResolve({ filter: /^node:(crypto|http|https)$/ }, ({ path }) => ({ path, namespace: "asked" }));
    build.onLoad({ filter: /^/, namespace: "asked" }, ({ path }) => ({
      loader: "js",
      contents: `const load = () => process.getBuiltinModule("${path}");
for (const name of ${JSON.stringify(Object.keys(process.getBuiltinModule(path) as object))})
  Object.defineProperty(exports, name, { enumerable: true, get: () => load()[name] });`,
    }));
    build.onResolve({ filter: /^koffi$/ }, () => ({ path: join(root, "node_modules/koffi/src/koffi/indirect.js") }));
    build.onLoad({ filter: /koffi\/src\/koffi\/indirect\.js$/ }, ({ path }) => {
      const text = readFileSync(path, "utf8");
      const call = "loadDynamic(import.meta.dirname, pkg, triplets)";
      if (!text.includes(call)) throw new Error(`${path} no longer calls ${call}: see how it finds its binary now`);
      return { loader: "js", contents: text.replace(call, "require2(`./koffi-linux-${process.arch}.node`)") };
    });
  },
};

/** A bundle for each process and thread, with what that one needs and no more: each is read and compiled anew at each start. */
const bundles: Readonly<Record<string, string>> = {
  pre: phaseDoor("pre"),
  main: phaseDoor("main"),
  post: phaseDoor("post"),
  install: 'import { install } from "./src/machine/install.ts";\n\nawait install(process.argv[2]);',
  agent:
    'import { agent } from "./src/machine/agent.ts";\nimport { summarise } from "./src/action/summary.ts";\n\nawait agent(process.argv[2], summarise, (code) => process.exit(code));',
  // A thread is started by a file's name alone.
  "queue-worker": 'import "./src/datapath/queue-worker.ts";',
  "conntrack-worker": 'import "./src/datapath/conntrack-worker.ts";',
  "dns-worker": 'import "./src/enforcer/dns-worker.ts";',
  "recorder-thread": 'import "./src/audit/recorder-thread.ts";',
  "observer-worker": 'import "./src/machine/observer-worker.ts";',
};

function phaseDoor(name: string): string {
  return `import { phase } from "./src/cli/action.ts";\nimport { ${name} } from "./src/action/${name}.ts";\n\nawait phase(${name});`;
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
for (const [name, contents] of Object.entries(bundles)) {
  await build({
    stdin: { contents, resolveDir: root, sourcefile: `${name}.ts`, loader: "ts" },
    outfile: join(out, `${name}.mjs`),
    bundle: true,
    plugins: [oneFile],
    platform: "node",
    format: "esm",
    target: "node24",
    charset: "ascii",
    legalComments: "eof",
    // Packages that are CommonJS inside ask for Node's modules by `require`.
    banner: {
      js: 'import { createRequire as makeRequire } from "node:module";\nconst require = makeRequire(import.meta.url);',
    },
    logLevel: "warning",
  });
  escapeAll(join(out, `${name}.mjs`));
}

/**
 * In text of one byte a character V8 finds its way faster, and there is half of it. `charset` leaves comments and regular
 * expressions as they are; in both an escape means the same.
 */
function escapeAll(file: string): void {
  const code = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  writeFileSync(file, readFileSync(file, "utf8").replace(/[^\0-\x7f]/g, code));
}

const isWhole = process.argv.includes("--all");
for (const arch of isWhole ? ["x64", "arm64"] : [process.arch]) {
  copyFileSync(binaryOf(arch), join(out, `koffi-linux-${arch}.node`));
}
const size = Object.keys(bundles).reduce((sum, name) => sum + statSync(join(out, `${name}.mjs`)).size, 0);
console.error(
  `${basename(out)}/: ${(size / 1e6).toFixed(1)} MB and the FFI's binary${isWhole ? " for x64 and arm64" : ""}`,
);

function binaryOf(arch: string): string {
  const name = `@koromix/koffi-linux-${arch}`;
  const file = `linux_${arch}/koffi.node`;
  if (arch === process.arch) return join(root, "node_modules", name, file);
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, { version: string; integrity: string }>;
  };
  const entry = lock.packages[`node_modules/${name}`];
  if (entry === undefined) throw new Error(`package-lock.json has no ${name}`);
  const folder = mkdtempSync(join(tmpdir(), "sallyport-action-"));
  const [{ filename }] = JSON.parse(
    execFileSync("npm", ["pack", "--json", "--pack-destination", folder, `${name}@${entry.version}`], {
      encoding: "utf8",
    }),
  ) as [{ filename: string }];
  const archive = join(folder, basename(filename));
  const [algorithm, expected] = entry.integrity.split("-", 2);
  const digest = createHash(algorithm!).update(readFileSync(archive)).digest("base64");
  if (digest !== expected) throw new Error(`${name}@${entry.version} is not what package-lock.json expects`);
  execFileSync("tar", ["-xzf", archive, "-C", folder, `package/${file}`]);
  return join(folder, "package", file);
}
