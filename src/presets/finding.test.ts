/** What stands in a file that a stranger may change opens the one host it names, and no zone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Finding } from "./finding.ts";

test("a URL whose host is a pattern opens nothing, and is told", () => {
  const finding = new Finding();
  const urls = [
    "https://*.example/a.tgz",
    "https://*pypi.example/simple",
    "https://**.example/",
    "https://a{0-9}.example/",
  ];
  for (const url of urls) finding.url(url, "project package-lock.json:1");
  assert.deepEqual(finding.found, []);
  assert.equal(finding.missing.length, urls.length);
  for (const text of finding.missing) assert.match(text, /is no name of one host$/);
});
