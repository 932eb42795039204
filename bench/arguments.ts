/** The command line of `npm run bench`. Pure. */

export interface Arguments {
  help: boolean;
  quick: boolean;
  /** Names of cases; null: all. */
  only: string[] | null;
  /** Names of contenders beside forwarding and Sallyport; null: all. */
  contenders: string[] | null;
  /** A file, `-` for standard output, null for none. */
  json: string | null;
  write: boolean;
  /** Seconds that the run may take; null: what fits its kind. */
  limit: number | null;
}

/** The arguments, or what is wrong with them. */
export function parseArguments(given: readonly string[], known: readonly string[]): Arguments | string {
  const parsed: Arguments = {
    help: false,
    quick: false,
    only: null,
    contenders: null,
    json: null,
    write: false,
    limit: null,
  };
  for (let i = 0; i < given.length; i++) {
    const [option, attached] = split(given[i]!);
    // Only what cannot be another option is the value of the one before it.
    const value = () => attached ?? (given[i + 1]?.startsWith("-") === false ? given[++i] : undefined);
    if (option === "--help" || option === "-h") parsed.help = true;
    else if (option === "--quick") parsed.quick = true;
    else if (option === "--write") parsed.write = true;
    else if (option === "--json") parsed.json = value() ?? "-";
    else if (option === "--limit") {
      parsed.limit = Number(value());
      if (!(parsed.limit > 0)) return "--limit takes seconds.";
    } else if (option === "--only") {
      parsed.only = (value() ?? "").split(",");
      const wrong = parsed.only.filter((name) => !known.includes(name));
      if (wrong.length > 0) return `--only takes ${known.join(", ")}; not “${wrong.join(",")}”.`;
    } else if (option === "--contenders") parsed.contenders = (value() ?? "").split(",");
    else return `Unknown argument ${given[i]}: \`npm run bench -- --help\` lists them.`;
  }
  if (parsed.write && (parsed.quick || parsed.only !== null || parsed.contenders !== null))
    return "--write makes docs/performance.md of a whole run: not with --quick, --only or --contenders.";
  return parsed;
}

function split(argument: string): [string, string | undefined] {
  const at = argument.indexOf("=");
  return at < 0 ? [argument, undefined] : [argument.slice(0, at), argument.slice(at + 1)];
}

export function help(cases: readonly { name: string; title: string }[]): string {
  return `npm run bench [-- OPTIONS]      as root; Sallyport beside others, measured in one run on this machine

  --quick             a first look, under a minute; the whole takes under fifteen
  --only CASE[,CASE]  some of the cases below
  --contenders NAME[,NAME]  only these beside forwarding and sallyport
  --limit SECONDS     instead of a minute or fifteen: what does not fit is measured for less long, less often, or not
  --json [FILE]       the results as JSON, on standard output without FILE; tables then go to standard error
  --write             docs/performance.md anew, of a whole run on a quiet host

${cases.map(({ name, title }) => `  ${name.padEnd(18)}  ${title}`).join("\n")}

A contender that is not installed is left out and named; \`sudo sh scripts/setup --for-bench\` installs them from Debian.
Nothing fails on a figure: exit 1 only where something could not be measured at all.`;
}
