/** Settings and lockfiles of package clients under fuzz: endpoints or a word on why not, and never a credential. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { asBytes, fuzzTarget, textOf } from "../../test/support/fuzz.ts";
import { isEndpointDefect, parseEndpoint } from "../policy/endpoint.ts";
import { deb822, oneLine } from "./apt.ts";
import { findAws } from "./aws.ts";
import { imagesOf } from "./docker.ts";
import { Finding, readUrl } from "./finding.ts";
import { readIni } from "./ini.ts";
import { readXml } from "./maven.ts";
import { resolvedOf } from "./npm.ts";
import { readToml, textsOf } from "./toml.ts";
import { writePresets } from "./write.ts";

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
      "https://*.example/simple",
      '{"packages":{"a":{"resolved":"https://**.example/a.tgz"},"b":{"resolved":"https://a{0-9}.example/b.tgz"}}}',
      "FROM *.example:5000/a",
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

/** Settings and lockfiles of package clients: endpoints or a word on why not, and never a credential. */
function presetOutcome(text: string): "found" | "nothing" {
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
    assert.doesNotMatch(host, /[@/*{}]/);
  }
  assert.notEqual(findAws(text, finding), "");
  const { found, notes, missing } = finding;
  // Throws where what comes out would not load.
  writePresets([{ name: "fuzz", title: "fuzz, version 1", reference: null, found, notes, missing }], ["A preset."]);
  const local = readUrl(text);
  assert.ok(local === null || local === "local" || (local.port >= 1 && local.port <= 65535));
  return found.length > 0 ? "found" : "nothing";
}

fuzzTarget<"found" | "nothing">({
  name: "client-settings",
  grammar: [asBytes(clientTexts)],
  outcomes: { found: true, nothing: true },
  check: (bytes) => presetOutcome(textOf(bytes)),
});
