/**
 * Takes secrets out of command lines before anybody stores them. Pure; work grows with the text's length. What looks like a
 * secret by its name (`--password`, `TOKEN=`) or its shape (GitHub, AWS, npm, …) becomes `***`; so does every value that was
 * given as a secret. It is a net and not a proof: a secret of no known shape, given without its name, is shown.
 */
const MASK = "***";
const LONGEST_ARGUMENT = 256;
const MOST_ARGUMENTS = 32;
/** A secret shorter than this would mask half of what is said. */
const SHORTEST_SECRET = 4;

/** Arguments kept, and characters of each after masking. */
export const argumentBounds = { most: MOST_ARGUMENTS, longest: LONGEST_ARGUMENT } as const;

const secretName =
  "(?:[\\w.-]{0,64}(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)[\\w.-]{0,64}|(?:[\\w.-]{0,64}[_.-])?auth|pwd|pat|sig|signature|_auth\\w*)";
const secretFlag = new RegExp(`^--?${secretName}$`, "i");
/** Programs whose `-u` or `-p` is a credential; elsewhere it is a port, a path, anything. */
const credentialFlags: Readonly<Record<string, RegExp>> = {
  curl: /^(?:-u|-U|--user|--proxy-user)$/,
  wget: /^(?:--user|--http-user)$/,
  "docker login": /^-p$/,
  "podman login": /^-p$/,
  mysql: /^-p$/,
  sshpass: /^-p$/,
};

interface Shape {
  shape: RegExp;
  by: string;
  /**
   * False only for text (`lower` is its lower case) in which the shape cannot be. Every program that a build starts is masked by three
   * threads, and the expressions are slow to compile and to run; nearly all arguments are told from secrets by this alone.
   */
  canBeIn(text: string, lower: string): boolean;
}

const isAssignment = (text: string) => text.includes("=") || text.includes(":");
/** Each name of {@link secretName} has one of these in it. */
const namesHave = /passw|passphrase|secret|token|key|credential|auth|pwd|pat|sig/;

/** Exported for the test that holds `canBeIn` against `shape`. */
export const shapes: readonly Shape[] = [
  // Authorization: Bearer x, Proxy-Authorization: Basic x; the scheme stays.
  {
    shape: /((?:proxy-)?authorization["']?\s{0,4}[:=]\s{0,4}["']?(?:[A-Za-z][\w-]{0,19}\s+)?)[^\s"']+/gi,
    by: `$1${MASK}`,
    canBeIn: (text, lower) => isAssignment(text) && lower.includes("authorization"),
  },
  // NAME=value, NAME: value, "name":"value", ?name=value; the value ends at white space, a quote or a separator of URLs.
  {
    shape: new RegExp(`((?:^|[^\\w.-])["']?-{0,2}${secretName}["']?\\s{0,4}[=:]\\s{0,4}["']?)[^\\s"'&;,]+`, "gi"),
    by: `$1${MASK}`,
    canBeIn: (text, lower) => isAssignment(text) && namesHave.test(lower),
  },
  {
    shape: /\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi,
    by: `$1 ${MASK}`,
    canBeIn: (_, lower) => lower.includes("bearer") || lower.includes("basic"),
  },
  // scheme://user:password@host and scheme://token@host.
  {
    shape: /([a-z][a-z0-9+.-]{0,19}:\/\/)[^\s/?#@]{1,512}@/gi,
    by: `$1${MASK}@`,
    canBeIn: (text) => text.includes("://") && text.includes("@"),
  },
  {
    shape: /\b(?:gh[pousr]_\w{16,255}|github_pat_\w{16,255}|ghs_[\w.-]{16,})/g,
    by: MASK,
    canBeIn: (text) => text.includes("gh") || text.includes("github_pat_"),
  },
  {
    shape: /\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b/g,
    by: MASK,
    canBeIn: (text) => text.length >= 20 && text.includes("A"),
  },
  {
    shape:
      /\b(?:npm_[A-Za-z0-9]{20,}|glpat-[\w-]{16,}|xox[abeoprs]-[\w-]{10,}|pypi-[\w-]{32,}|sk_live_\w{16,}|AIza[\w-]{30,})/g,
    by: MASK,
    canBeIn: (text) => text.length >= 15,
  },
  // JSON web tokens.
  {
    shape: /\beyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]{0,1024}/g,
    by: MASK,
    canBeIn: (text) => text.includes("eyJ"),
  },
];

/** Makes a function that masks the arguments of one command. `secrets` are values that must never be shown. */
export function masker(secrets: Iterable<string> = []): (args: readonly string[]) => string[] {
  const values = [...new Set(secrets)]
    .filter((secret) => secret.length >= SHORTEST_SECRET)
    .toSorted((a, b) => b.length - a.length);
  return (args) => {
    const program = (args[0] ?? "").split("/").at(-1) ?? "";
    const flag = credentialFlags[program] ?? credentialFlags[`${program} ${args[1] ?? ""}`];
    let hideNext = false;
    return args.slice(0, MOST_ARGUMENTS).map((arg, i) => {
      const hidden = hideNext;
      hideNext = i > 0 && (secretFlag.test(arg) || flag?.test(arg) === true);
      return hidden ? MASK : shorten(maskText(arg, values));
    });
  };
}

/** One text without what looks like a secret. */
export function maskText(text: string, secrets: readonly string[] = []): string {
  let out = text;
  for (const secret of secrets) out = out.replaceAll(secret, MASK);
  const lower = text.toLowerCase();
  for (const { shape, by, canBeIn } of shapes) if (canBeIn(text, lower)) out = out.replace(shape, by);
  return out;
}

function shorten(arg: string): string {
  return arg.length <= LONGEST_ARGUMENT ? arg : `${arg.slice(0, LONGEST_ARGUMENT - 1)}…`;
}
