/**
 * Whether user data has a secret in it, and of which kind; never which. By shape where there is one, else by name, where a value that
 * is not itself looked up (`$(aws …)`, `${TOKEN}`) follows.
 */
const shapes: readonly (readonly [string, RegExp])[] = [
  ["a GitHub token", /\b(?:gh[pousr]_\w{16,255}|github_pat_\w{16,255})/],
  ["an AWS access key", /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/],
  ["a private key", /-----BEGIN (?:[A-Z]{1,20} ){0,2}PRIVATE KEY-----/],
  ["a registry's or chat's token", /\b(?:npm_[A-Za-z0-9]{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}|pypi-[\w-]{32,})/],
  ["a web token", /\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{4,}/],
  ["a runner's registration token", /--(?:token|pat)[= ]["']?[A-Za-z0-9_]{20,}/],
  [
    "a password or token by its name",
    /(?:^|[\s"'_-])(?:\w{0,40}(?:passw(?:or)?d|secret(?:_?key)?|api_?key|access_?key|token|pat))["']?\s{0,4}[=:]\s{0,4}["']?(?![$<{(`]|arn:)[^\s"'$`]{8,}/i,
  ],
];

/** What kind of secret the text has; null: none of a known kind. */
export function secretIn(text: string): string | null {
  const some = text.slice(0, 1_000_000);
  return shapes.find(([, shape]) => shape.test(some))?.[0] ?? null;
}
