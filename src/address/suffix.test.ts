/** Wildcards over names that strangers register are recognised, in both sections of the Public Suffix List. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPublicSuffix, registrableDomain } from "./suffix.ts";

test("public suffixes of registries and of companies are both suffixes", () => {
  for (const name of ["com", "co.uk", "github.io", "blob.core.windows.net", "s3.amazonaws.com"])
    assert.ok(isPublicSuffix(name), name);
  for (const name of ["github.com", "pypi.org", "a.github.io", "example.co.uk"]) assert.ok(!isPublicSuffix(name), name);
});

test("the registrable domain is what one party holds", () => {
  assert.equal(registrableDomain("files.pythonhosted.org"), "pythonhosted.org");
  assert.equal(registrableDomain("x.acme.github.io"), "acme.github.io");
  assert.equal(registrableDomain("github.io"), null);
});
