/**
 * The action's documents are in step with it: each detection has a test that sets it off and one in which it is silent, each way out and
 * each complaint has what shows the answer, and every input of ours and of the products that people come from is on its page.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parse } from "yaml";
import { foreignInputs, inputNames } from "../src/action/inputs.ts";
import { root } from "./support/modules.ts";

const text = (path: string) => readFileSync(join(root, path), "utf8");

/** Rows of the table below a line that begins so, without the head: their cells. */
function rowsBelow(page: string, head: string): string[][] {
  const from = page.indexOf(`\n${head}`);
  assert.ok(from >= 0, head);
  const lines = page.slice(from + 1).split("\n");
  const end = lines.findIndex((line) => !line.startsWith("|"));
  return lines.slice(2, end).map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );
}

/** Files that a cell names, and the tests in them: `path`: “title”. */
function shownBy(cell: string): { path: string; title: string }[] {
  return [...cell.matchAll(/`([\w./-]+\.test\.ts)`: “([^”]+)”/g)].map(([, path, title]) => ({
    path: path!,
    title: title!,
  }));
}

function exists({ path, title }: { path: string; title: string }): void {
  assert.ok(text(path).includes(title), `${path} has no test “${title}”`);
}

describe("docs/detections.md", () => {
  const page = text("docs/detections.md");
  const types = [
    .../export type DetectionType =([^;]*);/.exec(text("src/audit/event.ts"))![1]!.matchAll(/"(\w+)"/g),
  ].map(([, type]) => type!);

  test("has for each detection a test that sets it off and one in which it is silent", () => {
    const rows = rowsBelow(page, "| detection | set off by | silent in |");
    assert.deepEqual(rows.map(([type]) => type!.replaceAll("`", "")).toSorted(), types.toSorted());
    for (const [type = "", fires = "", silent = ""] of rows) {
      const [firing, quiet] = [shownBy(fires), shownBy(silent)];
      assert.ok(firing.length > 0, type);
      assert.ok(quiet.length > 0 || silent.startsWith("the same"), type);
      for (const each of [...firing, ...quiet]) exists(each);
    }
  });

  test("says of each what sets it off in words", () => {
    for (const type of types) assert.match(page, new RegExp(`^(?:\\| \`${type}\` \\||\`${type}\` says)`, "m"), type);
  });

  test("has for each kind of tampering what shows it", () => {
    for (const [what = "", cell = ""] of rowsBelow(page, "| tampering or change | shown by |")) {
      assert.ok(shownBy(cell).length > 0, what);
      for (const each of shownBy(cell)) exists(each);
    }
  });
});

describe("docs/action.md", () => {
  const page = text("docs/action.md");
  const files = (cell: string) => [...cell.matchAll(/`([\w./-]+\.(?:test\.)?ts)`/g)].map(([, path]) => path!);
  const find = (path: string) => (path.includes("/") ? path : `test/action/${path}`);

  test("has each way out of a runner, R1 to R10, with a test or a word why there can be none", () => {
    const rows = rowsBelow(page, "| way out or around | what holds | shown by |");
    const numbers = rows.flatMap(([what]) => /^R\d+/.exec(what!)?.[0] ?? []);
    assert.deepEqual(
      numbers,
      Array.from({ length: 10 }, (_, i) => `R${i + 1}`),
    );
    for (const [what = "", holds = "", shown = ""] of rows) {
      assert.ok(holds !== "" && (files(shown).length > 0 || /not promised/.test(shown)), what);
      for (const path of files(shown)) assert.ok(existsSync(join(root, find(path))), path);
    }
  });

  test("answers each complaint that people have about such products", () => {
    const rows = rowsBelow(page, "| asked for | here |");
    const asked = rows.map(([what]) => what!);
    for (const what of [
      ...[
        "green check",
        "one policy",
        "wildcards",
        "breaks nothing",
        "reliable",
        "ARM",
        "Windows, macOS",
        "Kubernetes",
      ],
      ...[
        "containers and IPv6",
        "no service",
        "TLS that is left alone",
        "speed",
        "reach anywhere",
        "runs seldom",
        "image",
      ],
    ])
      assert.equal(asked.filter((each) => each.includes(what)).length, 1, what);
    for (const [what = "", answer = ""] of rows) {
      assert.ok(answer !== "", what);
      for (const path of files(answer)) assert.ok(existsSync(join(root, find(path))), path);
    }
  });

  test("and action.yml have each input and each output, and no other", () => {
    const action = parse(text("action.yml")) as Record<"inputs" | "outputs", Record<string, unknown>>;
    assert.deepEqual(new Set(Object.keys(action.inputs)), new Set(inputNames));
    const told = rowsBelow(page, "| input | without it | |").map(([name]) => name!.replaceAll("`", ""));
    assert.deepEqual(new Set(told), new Set(inputNames));
    const outputs = /\*\*Outputs\*\*:([\s\S]*?)\n\n/.exec(page)![1]!;
    const named = [...outputs.matchAll(/`(\w+)`/g)].map(([, name]) => name!);
    assert.deepEqual(new Set(named), new Set(Object.keys(action.outputs)));
    const written = [...text("src/action/main.ts").matchAll(/files\.output\("(\w+)"/g)].map(([, name]) => name!);
    assert.deepEqual(new Set(written), new Set(named));
  });
});

describe("docs/migration.md", () => {
  const page = text("docs/migration.md");
  const names = (cell: string) => [...cell.matchAll(/`([\w-]+)`/g)].map(([, name]) => name!);
  /** As they stood in September 2026. */
  const products = {
    "harden-runner":
      "egress-policy allowed-endpoints token disable-sudo disable-sudo-and-containers disable-file-monitoring policy use-policy-store disable-telemetry api-key deploy-on-self-hosted-vm exempt-files skip-harden-runner",
    Bullfrog:
      "egress-policy allowed-domains allowed-ips dns-policy enable-sudo collect-process-info api-token log-directory agent-download-base-url local-agent",
    CargoWall:
      "mode allowed-hosts allowed-cidrs github-service-hosts azure-infra-hosts config-file search-domains dns-upstream sudo-lockdown sudo-allow-commands fail-on-unsupported allow-existing-connections audit-summary github-token debug skip-actions-api job-id api-url api-audience offline binary-path version include-prerelease supported pid",
  };

  for (const [product, inputs] of Object.entries(products)) {
    test(`has each input of ${product}, and what is meant exists`, () => {
      const rows = rowsBelow(page, `| ${product} | here |`);
      assert.deepEqual(new Set(rows.flatMap(([cell]) => names(cell!))), new Set(inputs.split(" ")));
      for (const [name = "", here = ""] of rows) assert.ok(here !== "", name);
    });
  }

  test("says of harden-runner's what the action does with them", () => {
    const rows = rowsBelow(page, "| harden-runner | here |");
    const said = (start: string) => rows.flatMap(([cell, here]) => (here!.startsWith(start) ? names(cell!) : []));
    for (const name of [...said("the same"), ...said("another meaning")])
      assert.ok((inputNames as readonly string[]).includes(name), name);
    assert.deepEqual(new Set(said("taken without effect")), new Set(Object.keys(foreignInputs)));
    for (const name of said("refused")) {
      assert.ok(!(inputNames as readonly string[]).includes(name), name);
      assert.ok(!Object.hasOwn(foreignInputs, name), name);
    }
  });

  test("has each input of ours", () => {
    const told = new Set(names(page));
    for (const name of inputNames) assert.ok(told.has(name), name);
  });
});
