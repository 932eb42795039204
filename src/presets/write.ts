/** Expanded presets as the text of a policy: every host on a line with its reason. The same machine gives the same bytes. */
import { yamlText } from "../policy/wording.ts";
import { comment } from "../translate/write.ts";
import type { Found } from "./finding.ts";
import type { Made } from "./make.ts";

/** The policy's text; `intro` is what it opens with. */
export function writePresets(made: readonly Made[], intro: readonly string[]): string {
  const told = made.flatMap(({ title, notes, missing }) => [
    ...missing.flatMap((text) => comment(`NOT WHOLE: ${title}: ${text}`)),
    ...notes.flatMap((text) => comment(`${title}: ${text}`)),
  ]);
  const full = made.filter(({ found }) => found.length > 0);
  return [
    ...intro.flatMap((text) => comment(text, "# ", "# ")),
    ...(told.length === 0 ? [] : ["#", ...told]),
    "version: 1",
    ...(full.some((each) => destinationOf(each).length > 0) ? ["destinations:"] : []),
    ...full.flatMap((each) => destination(each)),
    ...(full.length === 0 ? [] : ["rules:"]),
    ...full.flatMap((each) => rules(each)),
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

function rules(made: Made): string[] {
  const { name, found } = made;
  const usual = destinationOf(made);
  const others = Map.groupBy(
    found.filter((each) => !usual.includes(each)),
    ({ protocol }) => protocol,
  );
  const out = usual.length === 0 ? [] : [`  - { name: ${yamlText(name)}, to: ${yamlText(name)} }`];
  for (const [protocol, entries] of others) {
    out.push(
      `  - name: ${yamlText(`${name} (${protocol})`)}`,
      "    to:",
      ...entries.flatMap(({ host, port, why }) => [
        ...comment(why, "      # ", "      #   "),
        `      - ${yamlText(`${host}:${port}`)}`,
      ]),
      `    protocol: ${protocol}`,
    );
  }
  return out;
}

function key(name: string): string {
  return /^[A-Za-z][\w.-]*$/.test(name) ? name : JSON.stringify(name);
}
