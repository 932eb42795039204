/** Expanded presets as the text of a policy: every host on a line with its reason. The same machine gives the same bytes. */
import { isPolicyProblems, readPolicy } from "../policy/load.ts";
import { yamlText } from "../policy/wording.ts";
import { comment } from "../translate/write.ts";
import type { Found } from "./finding.ts";
import type { Made } from "./make.ts";

/** The policy's text; `intro` is what it opens with. It loads. */
export function writePresets(made: readonly Made[], intro: readonly string[]): string {
  const needless = new Set<string>();
  for (;;) {
    const text = write(made, intro, needless);
    const loaded = readPolicy(text, "(the policy that came out)");
    if (!isPolicyProblems(loaded)) return text;
    // A rule for what earlier presets have already: a policy may not have it.
    const lines = text.split("\n");
    const found = loaded.problems.flatMap(({ code, line }) => {
      const name = /^ {2}- (?:\{ )?name: ("(?:[^"\\]|\\.)*"|[^,]*)/.exec(lines[line - 1] ?? "")?.[1];
      return code === "unreachable" && name !== undefined && !needless.has(name) ? [name] : [];
    });
    if (found.length === 0)
      throw new TypeError(`a preset came to a policy that does not load: ${loaded.problems[0]!.message}`);
    for (const name of found) needless.add(name);
  }
}

function write(made: readonly Made[], intro: readonly string[], needless: ReadonlySet<string>): string {
  const told = made.flatMap(({ title, notes, missing }) => [
    ...missing.flatMap((text) => comment(`NOT WHOLE: ${title}: ${text}`)),
    ...notes.flatMap((text) => comment(`${title}: ${text}`)),
  ]);
  const full = made.filter(({ found }) => found.length > 0);
  const all = full.flatMap((each) => rules(each, needless));
  return [
    ...intro.flatMap((text) => comment(text, "# ", "# ")),
    ...(told.length === 0 ? [] : ["#", ...told]),
    "version: 1",
    ...(full.some((each) => destinationOf(each).length > 0) ? ["destinations:"] : []),
    ...full.flatMap((each) => destination(each)),
    ...(all.length === 0 ? [] : ["rules:"]),
    ...all,
    "default:",
    "  mode: enforce",
    "",
  ].join("\n");
}

/** What goes without a protocol: TLS on 443 and HTTP on 80. */
function destinationOf({ found }: Made): Found[] {
  return found.filter(
    ({ port, protocol }) => (port === 443 && protocol === "tls") || (port === 80 && protocol === "http"),
  );
}

function destination(made: Made): string[] {
  const { name, reference, title } = made;
  const entries = destinationOf(made);
  if (entries.length === 0) return [];
  if (reference !== null) {
    const hosts = entries.flatMap(({ host, why }) => comment(`${host}: ${why}`, "  # ", "  #   "));
    return [...hosts, `  ${key(name)}: { preset: ${reference} }`];
  }
  const lines = entries.flatMap(({ host, port, why }) => [
    ...comment(why, "    # ", "    #   "),
    `    - ${yamlText(port === 443 && /[.*]/.test(host) ? host : `${host}:${port}`)}`,
  ]);
  return [`  # ${title}`, `  ${key(name)}:`, ...lines];
}

function rules(made: Made, needless: ReadonlySet<string>): string[] {
  const { name, found } = made;
  const usual = destinationOf(made);
  const others = Map.groupBy(
    found.filter((each) => !usual.includes(each)),
    ({ protocol }) => protocol,
  );
  const out: string[] = [];
  const add = (written: string, lines: string[]): void => {
    if (needless.has(written)) out.push(`  # ${written}: the rules before allow it all`);
    else out.push(...lines);
  };
  if (usual.length > 0) add(yamlText(name), [`  - { name: ${yamlText(name)}, to: ${yamlText(name)} }`]);
  for (const [protocol, entries] of others) {
    const written = yamlText(`${name} (${protocol})`);
    add(written, [
      `  - name: ${written}`,
      "    to:",
      ...entries.flatMap(({ host, port, why }) => [
        ...comment(why, "      # ", "      #   "),
        `      - ${yamlText(`${host}:${port}`)}`,
      ]),
      `    protocol: ${protocol}`,
    ]);
  }
  return out;
}

function key(name: string): string {
  return /^[A-Za-z][\w.-]*$/.test(name) ? name : JSON.stringify(name);
}
