/** A fold never lets in a name that a stranger could register. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isPatternDefect, matchesPattern, parsePattern } from "../address/pattern.ts";
import { isPublicSuffix, registrableDomain } from "../address/suffix.ts";
import { foldNames, presetPattern } from "./fold.ts";

const numbered = (zone: string, lead = "shard") => [1, 2, 3, 5, 6].map((n) => `${lead}${n}.${zone}`);
const random = (zone: string) =>
  ["d3a4b5c6e7f8", "0f9e8d7c6b5a", "a1b2c3d4e5f6", "9c8b7a6f5e4d", "77aa88bb99cc", "1f2e3d4c5b6a"].map(
    (l) => `${l}.${zone}`,
  );
const patterns = (names: string[], stars = false) => foldNames(names, stars).map(({ pattern }) => pattern);

describe("numbers", () => {
  test("of one owner fold into what was seen, small gaps filled and nothing beyond the ends", () => {
    assert.deepEqual(patterns(numbered("cdn.example.com")), ["shard{1-6}.cdn.example.com"]);
    assert.deepEqual(patterns(["a1.x.example.com", "a2.x.example.com", "a90.x.example.com"]), [
      "a{1-2,90}.x.example.com",
    ]);
  });

  test("directly below an owner's domain, where customers may be, are exactly those seen", () => {
    assert.deepEqual(patterns(["a1.example.com", "a2.example.com", "a3.example.com"]), ["a{1-3}.example.com"]);
    assert.deepEqual(patterns(["a1.example.com", "a3.example.com", "a5.example.com"]), ["a{1,3,5}.example.com"]);
  });

  test("do not fold by twos, nor with leading zeros, nor where they are long enough to be accounts", () => {
    assert.deepEqual(patterns(["a1.x.example.com", "a2.x.example.com"]), []);
    assert.deepEqual(patterns(["a01.x.example.com", "a02.x.example.com", "a03.x.example.com"]), []);
    assert.deepEqual(patterns([1, 2, 3].map((n) => `${123_450 + n}.x.example.com`)), []);
  });

  test("of a preset's known accounts fold into its pattern, from the first on", () => {
    const [fold] = foldNames(["productionresultssa7.blob.core.windows.net"], false);
    assert.equal(fold?.pattern, presetPattern("productionresultssa7.blob.core.windows.net"));
    assert.equal(presetPattern("productionresultssa77.blob.core.windows.net"), null);
    // It was reviewed for TLS on 443 and nothing else.
    assert.deepEqual(foldNames(["productionresultssa7.blob.core.windows.net"], false, false), []);
    // A preset's star is for whoever writes the preset into his policy.
    assert.deepEqual(patterns(["pipelines.actions.githubusercontent.com"], true), []);
  });
});

describe("shared zones", () => {
  const shared = [
    ...["cloudfront.net", "s3.amazonaws.com", "s3.eu-west-1.amazonaws.com", "blob.core.windows.net", "github.io"],
    ...["execute-api.us-east-1.amazonaws.com", "elb.us-east-1.amazonaws.com", "dkr.ecr.us-east-1.amazonaws.com"],
    ...["azurewebsites.net", "azurecr.io", "vault.azure.net", "core.windows.net", "table.core.windows.net"],
    ...["storage.googleapis.com", "us-docker.pkg.dev", "run.app", "appspot.com", "firebaseio.com", "web.app"],
    ...[
      "pages.dev",
      "workers.dev",
      "r2.cloudflarestorage.com",
      "netlify.app",
      "vercel.app",
      "herokuapp.com",
      "fly.dev",
    ],
    ...["jfrog.io", "atlassian.net", "slack.com", "myshopify.com", "ngrok.io", "duckdns.org", "sslip.io", "ts.net"],
    ...["digitaloceanspaces.com", "backblazeb2.com", "supabase.co", "com", "co.uk", "example", "pvt.k12.ma.us"],
    ...["global.ssl.fastly.net", "b-cdn.net", "akamaized.net", "azureedge.net", "azurefd.net"],
  ];
  for (const zone of shared) {
    test(`${zone}: neither customers nor what lies below one`, () => {
      for (const stars of [false, true]) {
        assert.deepEqual(patterns(numbered(zone), stars), []);
        assert.deepEqual(patterns(random(zone), stars), []);
      }
    });
  }

  test("below a bucket: a name with dots is another bucket", () => {
    for (const zone of ["bucket.s3.amazonaws.com", "a.b.s3.amazonaws.com", "x.storage.googleapis.com"]) {
      for (const stars of [false, true]) assert.deepEqual(patterns([...numbered(zone), ...random(zone)], stars), []);
    }
  });

  test("whatever the zone, what a pattern lets in has the owner of what was seen", () => {
    const zones = fc.constantFrom(...shared, "cdn.example.com", "a.b.example.org", "x.example.co.uk", "example.net");
    const label = fc.oneof(
      fc.nat(12).map((n) => `n${n}`),
      fc.stringMatching(/^[0-9a-f]{12}$/),
      fc.constantFrom("www", "api"),
    );
    const name = fc
      .tuple(fc.array(label, { minLength: 1, maxLength: 3 }), zones)
      .map(([labels, zone]) => [...labels, zone].join("."));
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 40 }), name, fc.boolean(), (names, other, stars) => {
        for (const { pattern: text, names: folded, how } of foldNames(names, stars)) {
          const pattern = parsePattern(text);
          assert.ok(!isPatternDefect(pattern));
          for (const each of folded) assert.ok(matchesPattern(pattern, each), `${text} ${each}`);
          const zone = text.slice(text.indexOf(".") + 1);
          assert.ok(how === "preset" || (!isPublicSuffix(zone) && registrableDomain(zone) !== null), text);
          if (how !== "preset" && matchesPattern(pattern, other)) {
            assert.equal(registrableDomain(other), registrableDomain(folded[0]!));
            assert.ok(names.includes(other) || registrableDomain(zone) !== zone, `${text} lets in ${other}`);
          }
        }
      }),
      { numRuns: 500, seed: 1 },
    );
  });
});

describe("random labels", () => {
  test("fold only when asked, only in a zone below an owner's domain, and only when there are several", () => {
    assert.deepEqual(patterns(random("cdn.example.com")), []);
    assert.deepEqual(patterns(random("cdn.example.com"), true), ["*.cdn.example.com"]);
    assert.deepEqual(patterns(random("cdn.example.com").slice(0, 4), true), []);
    assert.deepEqual(patterns(random("example.com"), true), []);
    assert.deepEqual(
      patterns(
        ["www", "api", "login", "static", "mail", "docs"].map((l) => `${l}.cdn.example.com`),
        true,
      ),
      [],
    );
  });
});

describe("more names", () => {
  test("never make less of what was let in", () => {
    const name = fc.tuple(fc.nat(30), fc.constantFrom("a", "b")).map(([n, lead]) => `${lead}${n}.cdn.example.com`);
    const list = fc.uniqueArray(name, { maxLength: 20 });
    const admits = (names: string[], each: string) =>
      names.includes(each) ||
      patterns(names).some((text) => {
        const pattern = parsePattern(text);
        return !isPatternDefect(pattern) && matchesPattern(pattern, each);
      });
    fc.assert(
      fc.property(list, list, name, (some, more, each) => {
        if (admits(some, each)) assert.ok(admits([...new Set([...some, ...more])], each), each);
      }),
      { numRuns: 500, seed: 2 },
    );
  });
});
