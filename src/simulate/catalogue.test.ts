/** The catalogue holds what it promises: names of the field, known ATT&CK ids, every class, and safety in what it sends. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, test } from "node:test";
import { choose, listJson, notCovered, techniques } from "./catalogue.ts";
import { classes } from "./technique.ts";
import { mostCollectors } from "./range/addresses.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const sallyport = (...args: string[]) => spawnSync(`${root}sallyport`, ["simulate", ...args], { encoding: "utf8" });

describe("the catalogue", () => {
  test("has more than twenty techniques, each named once, with ATT&CK ids, and a reason where it is expected to reach", () => {
    assert.ok(techniques.length >= 22 && techniques.length <= mostCollectors, `${techniques.length}`);
    assert.equal(new Set(techniques.map(({ id }) => id)).size, techniques.length);
    for (const { id, attack, incidents, expected, limit, does, works } of techniques) {
      assert.match(id, /^[a-z0-9]+(-[a-z0-9]+)*$/);
      assert.ok(attack.length > 0 && attack.every((each) => /^T1\d{3}(\.00\d)?$/.test(each)), id);
      for (const each of incidents) assert.ok(each.year >= 2014 && each.year <= 2026 && each.name.length > 2, id);
      assert.equal(expected === "reached", limit !== undefined, `${id}: a limit is said, and only there`);
      assert.ok(does.endsWith(".") && works.endsWith("."), id);
    }
    assert.ok(techniques.filter(({ incidents }) => incidents.length > 0).length >= 20, "twenty from real incidents");
  });

  test("covers every class, or says why not", () => {
    const covered = new Set([...techniques, ...notCovered].map((each) => each.class));
    assert.deepEqual(
      Object.keys(classes).filter((each) => !covered.has(each as keyof typeof classes)),
      [],
    );
  });

  test("names no host outside of RFC 2606 and no address outside of documentation, loopback and metadata", () => {
    const sources = globSync("{techniques,range,probe}/**/*.ts", { cwd: import.meta.dirname });
    assert.ok(sources.length > 10);
    const wrong = sources.flatMap((file) => {
      const code = readFileSync(join(import.meta.dirname, file), "utf8").replaceAll(/^\s*(\/\*\*|\*|\/\/).*$/gm, "");
      const names = [
        ...code.matchAll(
          /["`/.]([a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|io|dev|app|cloud|page|site|sh|me|co|ai))["`/:]/g,
        ),
      ];
      const addresses = [...code.matchAll(/\b(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})\b/g)].filter(
        ([, address]) => !/^(192\.0\.2|198\.51\.100|203\.0\.113|127\.0\.0|0\.0\.0|169\.254)\./.test(address!),
      );
      return [...names, ...addresses].map(([, found]) => `${file}: ${found}`);
    });
    assert.deepEqual(wrong, []);
  });

  test("is listed, as text and as JSON, without root", () => {
    const { status, stdout } = sallyport("--list", "--json");
    assert.equal(status, 0);
    const list = JSON.parse(stdout) as ReturnType<typeof listJson>;
    assert.deepEqual(list, JSON.parse(JSON.stringify(listJson(techniques))));
    const [first] = list.techniques;
    for (const key of ["id", "name", "attack", "incidents"]) assert.ok(key in first!, key);
    const text = sallyport("--list", "--only", "dns-label").stdout;
    assert.match(text, /^dns-label +T1048\.003,T1071\.004 +blocked +data in a DNS label\n$/);
  });

  test("an unknown id is a usage error that names near ones", () => {
    assert.throws(() => choose(["dns-lable"]), /dns-label/);
    const { status, stdout, stderr } = sallyport("--only", "sni-spof");
    assert.deepEqual([status, stdout], [2, ""]);
    assert.match(stderr, /There is no technique "sni-spof"\. Near: sni-spoof-own-address, /);
  });
});
