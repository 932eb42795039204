/**
 * Promises about masking: what looks like a secret, by its name or its shape, and every value given as one, never gets into a
 * record; what is no secret stays readable; and the work grows with the text's length.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { assertGrowsLinearly } from "../../test/support/work.ts";
import { argumentBounds, masker, maskText, shapes } from "./mask.ts";

const mask = masker(["correct-horse-battery"]);

describe("masked", () => {
  const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ["a value given as a secret, anywhere", ["x", "a=correct-horse-battery!"], ["x", "a=***!"]],
    ["what follows a flag named for a secret", ["x", "--password", "hunter2", "y"], ["x", "--password", "***", "y"]],
    [
      "what stands in such a flag",
      ["x", "--api-key=abc", "--db-password:abc"],
      ["x", "--api-key=***", "--db-password:***"],
    ],
    ["an environment's assignment", ["env", "MY_TOKEN=abc", "sh"], ["env", "MY_TOKEN=***", "sh"]],
    [
      "credentials of a URL",
      ["git", "clone", "https://me:pw@a.example/b"],
      ["git", "clone", "https://***@a.example/b"],
    ],
    ["a token of a URL", ["git", "clone", "https://tok@a.example/b"], ["git", "clone", "https://***@a.example/b"]],
    ["a query's", ["curl", "https://a.example/?token=abc&x=1"], ["curl", "https://a.example/?token=***&x=1"]],
    ["a header", ["curl", "-H", "Authorization: Bearer abc.def"], ["curl", "-H", "Authorization: ***"]],
    ["credentials of curl's", ["/usr/bin/curl", "-u", "me:pw", "x"], ["/usr/bin/curl", "-u", "***", "x"]],
    ["a token of GitHub's", ["x", `ghs_${"a1".repeat(18)}`, `github_pat_${"a1".repeat(20)}`], ["x", "***", "***"]],
    ["a key of AWS's", ["x", "AKIAIOSFODNN7EXAMPLE"], ["x", "***"]],
    ["a token of npm's in a script", ["sh", "-c", `echo npm_${"a1".repeat(18)} > f`], ["sh", "-c", "echo *** > f"]],
    ["a JSON web token", ["x", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"], ["x", "***"]],
    ["in JSON", ["x", '{"password":"abc","user":"me"}'], ["x", '{"password":"***","user":"me"}']],
  ];
  for (const [what, args, expected] of cases) {
    test(what, () => {
      const masked = mask(args);
      // A header's scheme may stay.
      assert.deepEqual(
        masked.map((each) => each.replace(/^(Authorization: )Bearer /, "$1")),
        expected,
      );
    });
  }
});

describe("left alone", () => {
  for (const args of [
    ["npm", "ci", "--prefer-offline"],
    ["curl", "-sSf", "https://a.example/path?page=2", "-o", "out"],
    ["git", "log", "--author=me", "-p", "8080"],
    ["python3", "-u", "script.py"],
    ["docker", "run", "-p", "80:80", "alpine"],
    ["sh", "-c", "echo $TOKEN"],
  ]) {
    test(args.join(" "), () => assert.deepEqual(mask(args), args));
  }
});

test("arguments are bounded in number and length, after masking", () => {
  const masked = mask(["x", "a".repeat(5000), ...Array.from({ length: 100 }, () => "y")]);
  assert.equal(masked.length, argumentBounds.most);
  assert.ok(masked.every((arg) => arg.length <= argumentBounds.longest));
});

test("a secret too short to be one masks nothing", () => {
  assert.deepEqual(masker(["", "a", "abc"])(["banana", "abcdef"]), ["banana", "abcdef"]);
});

test("the work grows with the text's length", () => {
  for (const [what, piece] of [
    ["words", "token"],
    ["assignments", "password="],
    ["addresses", "a://b"],
    ["spaces", "authorization: "],
    ["quotes", '"token" : "'],
    ["letters", "a"],
    ["dots", "eyJaaaaaaaaa."],
  ] as const) {
    assertGrowsLinearly(
      what,
      2000,
      (size) => piece.repeat(size),
      (text) => maskText(text),
    );
  }
});

test("what tells at a glance that there is no secret never says so of one", () => {
  const pieces = fc.constantFrom(
    ...[
      "Authorization",
      "PROXY-authorization",
      "password",
      "PassPhrase",
      "npm_",
      "ghp_",
      "github_pat_",
      "glpat-",
      "eyJ",
    ],
    ...[
      "api_key",
      "pat",
      "sig",
      "AUTH",
      "bearer",
      "BASIC",
      "AKIA",
      "xoxb-",
      "pypi-",
      "sk_live_",
      "AIza",
      "https://",
      "u:p@",
    ],
    ...[
      "=",
      ":",
      " ",
      '"',
      "'",
      ".",
      "-",
      "--",
      "&",
      "*",
      "K",
      "\u212a",
      "\u017f",
      "A1B2C3D4E5F6G7H8",
      "a1b2c3d4e5f6g7h8i9j0",
    ],
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
      const text = parts.join("");
      const all = shapes.reduce((out, { shape, by }) => out.replace(shape, by), text);
      assert.equal(maskText(text), all);
    }),
    { numRuns: 20_000 },
  );
});
