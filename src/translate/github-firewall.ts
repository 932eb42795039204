/**
 * GitHub's own egress firewall (technical preview): `.github/egress-firewall.yaml` with `mode: enforce | log`, `allow`, a list
 * of exact host names, and `no-default-urls: true`. It looks at DNS, HTTP and HTTPS outside the runner's machine. GitHub has
 * wildcards for itself alone: two of its four defaults stand for the hosts that its `/meta` answer names.
 */
import { presetHosts } from "../policy/presets.ts";
import type { Context } from "./context.ts";
import { placesOf, rulesFor } from "./draft.ts";
import { at, entriesOf, itemsOf, textOf } from "./field.ts";
import { quoted } from "./note.ts";

const known = ["mode", "allow", "no-default-urls"];

/** Hosts of the preset that GitHub's firewall allows unless the file says no. */
const isDefault = (host: string): boolean =>
  host === "github.com" ||
  host === "codeload.github.com" ||
  host.endsWith(".actions.githubusercontent.com") ||
  host.endsWith(".blob.core.windows.net");

/** What GitHub's firewall allows by default, as our patterns. */
export function githubDefaults(): string[] {
  return presetHosts("github-actions")
    .map(({ host }) => host)
    .filter(isDefault);
}

/** Fills the draft from GitHub's file. */
export function importGithub({ roots, notes, draft, problems }: Context): void {
  const root = roots[0];
  if (roots.length !== 1 || root?.kind !== "map") {
    const start = () => ({ line: 1, column: 1, text: "" });
    problems.add("schema", start, "this is no egress-firewall.yaml of GitHub's", "It has mode: and allow: at its top.");
    return;
  }
  for (const [name, entry] of entriesOf(root)) {
    if (!known.includes(name)) notes.add("other", entry, `${quoted(name)} is no key that GitHub documents`);
  }
  const mode = textOf(at(root, "mode"));
  if (mode === "log") draft.mode = "monitor";
  else if (mode !== "enforce") {
    const what = mode === null ? "there is no mode" : `mode ${quoted(mode)} is none that GitHub has`;
    notes.add("narrower", at(root, "mode") ?? root, `${what}; the policy enforces`);
  }
  if (textOf(at(root, "no-default-urls"))?.toLowerCase() !== "true") {
    draft.rules.push({ name: "GitHub's defaults", spot: null, from: null, to: githubDefaults() });
    draft.about.push("GitHub's defaults are allowed because the file does not say no-default-urls: true.");
  }
  const places = itemsOf(at(root, "allow")).flatMap((item) => {
    const host = textOf(item);
    if (host === null || /[*/:\s]/.test(host)) {
      notes.add(
        "narrower",
        item,
        `${quoted(host ?? "this")} is no plain host name, and GitHub's list has nothing else`,
      );
      return [];
    }
    const star = { crossesDots: false, mayBeEmpty: false };
    return placesOf(host, [443, 80], item, { product: "GitHub", star }, notes);
  });
  const spot = at(root, "allow") ?? root;
  draft.rules.push(...rulesFor({ name: "allow", spot, from: null }, places, false));
  draft.about.push("GitHub's list has no ports: a host is allowed for HTTP and HTTPS, here on 80 and 443.");
}
