/**
 * Texts of other programs under fuzz. The host's: resolv.conf and hosts give bindings of canonical names, or nothing. Other
 * firewalls': a policy that loads comes out, the same each time, or problems at places that are in the file.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { asBytes, fuzzTarget, textOf } from "../../test/support/fuzz.ts";
import { canonicalName } from "../address/name.ts";
import { isEndpointDefect, parseEndpoint } from "../policy/endpoint.ts";
import { isPolicyProblems, readPolicy } from "../policy/load.ts";
import { deb822, oneLine } from "../presets/apt.ts";
import { findAws } from "../presets/aws.ts";
import { imagesOf } from "../presets/docker.ts";
import { Finding, readUrl } from "../presets/finding.ts";
import { readIni } from "../presets/ini.ts";
import { readXml } from "../presets/maven.ts";
import { resolvedOf } from "../presets/npm.ts";
import { readToml, textsOf } from "../presets/toml.ts";
import { writePresets } from "../presets/write.ts";
import { foreignPolicies } from "../translate/foreign.arbitrary.ts";
import { importPolicy } from "../translate/import.ts";
import { bindingsFromHosts, resolvConfFor } from "./resolv.ts";

const line = fc
  .tuple(
    fc.constantFrom(
      "nameserver ",
      "  nameserver\t",
      "search ",
      "#nameserver ",
      "127.0.0.1\t",
      "192.0.2.1 ",
      "::1 ",
      "x ",
    ),
    fc.constantFrom(
      "127.0.0.53",
      "::1",
      "0.0.0.0",
      "192.0.2.53",
      "a.example b.example # c",
      "A.example.",
      "é.example",
      "1.2",
      "",
    ),
  )
  .map((parts) => parts.join(""));

/** Lines of every kind of settings, in any order: each reader meets its own among strangers. */
const clientTexts = fc
  .array(
    fc.constantFrom(
      "[global]",
      "index-url = https://u:p@pypi.example/simple",
      "  https://second.example:8443/",
      "registry=http://npm.example/",
      'url = "https://toml.example/"',
      "[[source]]",
      "deb [arch=amd64] http://apt.example/debian stable main",
      "URIs: https://one.example https://[2001:db8::1]/",
      "Enabled: no",
      "",
      "<settings><mirrors><mirror><id>a</id><url>https://xml.example/</url></mirror></mirrors></settings>",
      "<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>",
      "<x>",
      '{"packages":{"a":{"resolved":"https://lock.example/a.tgz"}}}',
      '{"dependencies":{"a":{"resolved":"git+ssh://git@git.example/a","dependencies":{}}}}',
      "FROM --platform=x registry.example:5000/a AS b",
      "FROM b",
      "eu-central-1:sts,s3=a..b",
      "https://a.example:99999/",
      "file:///x",
      "ftp://u:p@a.example/",
    ),
    { maxLength: 6 },
  )
  .map((lines) => lines.join("\n"));

const options = { sources: new Map([["one", ["10.0.0.0/8"]]]), anySource: false, job: null, web: false };

/** What an import comes to; it must not throw, and what it gives loads. */
function importOutcome(text: string): "imported" | "refused" {
  const imported = importPolicy(text, "fuzz", null, options);
  if (isPolicyProblems(imported)) {
    const lines = text.split("\n").length;
    assert.ok(imported.problems.length > 0);
    for (const { file, line, column, fix } of imported.problems)
      // A problem of what came out is ours.
      assert.ok(file === "fuzz" && line >= 1 && line <= lines + 1 && column >= 1 && fix !== "");
    return "refused";
  }
  assert.ok(!isPolicyProblems(readPolicy(imported.text, "out.yaml")), imported.text);
  assert.deepEqual(importPolicy(text, "fuzz", imported.format, options), imported);
  for (const { line, column } of imported.notes) assert.ok(line >= 1 && column >= 1);
  return "imported";
}

/** Settings and lockfiles of package clients: endpoints or a word on why not, and never a credential. */
function presetOutcome(text: string): void {
  const file = { name: "file", text };
  const finding = new Finding();
  for (const { value } of readIni(text)) finding.url(value, "ini");
  for (const url of resolvedOf(text) ?? []) finding.url(url, "lockfile");
  for (const { uri } of [...oneLine(file), ...deb822(file)]) finding.url(uri, "apt");
  for (const { values } of readXml(file, finding)) finding.url(values.get("url")!, "xml");
  for (const each of textsOf(readToml(file, finding) ?? {}, "url")) finding.url(each, "toml");
  for (const [, registry] of imagesOf(text)) finding.url(`https://${registry}`, "docker");
  for (const { host, port } of finding.found) {
    assert.ok(!isEndpointDefect(parseEndpoint(`${host}:${port}`)), host);
    assert.doesNotMatch(host, /[@/*]/);
  }
  assert.notEqual(findAws(text, finding), "");
  const { found, notes, missing } = finding;
  // Throws where what comes out would not load.
  writePresets([{ name: "fuzz", title: "fuzz, version 1", reference: null, found, notes, missing }], ["A preset."]);
  const local = readUrl(text);
  assert.ok(local === null || local === "local" || (local.port >= 1 && local.port <= 65535));
}

fuzzTarget<"stays" | "changes" | "bindings" | "imported">({
  name: "host-text",
  grammar: [
    asBytes(fc.array(line, { maxLength: 6 }).map((lines) => lines.join("\n"))),
    asBytes(foreignPolicies),
    asBytes(clientTexts),
  ],
  outcomes: { stays: true, changes: true, bindings: true, imported: true },
  check: (bytes) => {
    const text = textOf(bytes);
    const outcome = importOutcome(text);
    presetOutcome(text);
    const changed = resolvConfFor(text, "192.0.2.254");
    if (changed !== null) {
      // Lines as resolvers read them: they end at a line feed and nowhere else, which JavaScript's `m` does not know.
      const lines = changed.split("\n");
      assert.ok(lines.some((each) => /^nameserver[ \t]+\S/.test(each)));
      assert.ok(!lines.some((each) => /^[ \t]*nameserver[ \t]+(?:127\.|::1$|0\.0\.0\.0$)/.test(each)));
    }
    const bindings = bindingsFromHosts(text);
    for (const { name } of bindings) assert.equal(canonicalName(name), name);
    if (outcome === "imported") return outcome;
    return bindings.length > 0 ? "bindings" : changed === null ? "stays" : "changes";
  },
});
