/** `sallyport policy preset`: lists of hosts with reasons, from this machine's own configuration. */
import { homedir } from "node:os";
import { resolve } from "node:path";
import type { Command } from "commander";
import { SallyportError } from "../errors.ts";
import { presetHosts, presetRef, presets } from "../policy/presets.ts";
import { columns } from "../policy/wording.ts";
import { ecosystems, isMakeDefect, makePreset } from "../presets/make.ts";
import type { Made } from "../presets/make.ts";
import { awsServices } from "../presets/aws.ts";
import { writePresets } from "../presets/write.ts";

export function addPreset(policy: Command): void {
  policy
    .command("preset")
    .description(
      "Hosts that a client or service needs, with a reason for each, as a policy on stdout. Exit 1 when it is not whole.",
    )
    .argument("[name...]", "presets; without, the list of them")
    .option("-C, --folder <folder>", "the project, for its settings and lockfiles", ".")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      `
Examples:
  sallyport policy preset                                  what there is
  sallyport policy preset npm github-actions > sallyport.yaml
  sallyport policy preset aws:eu-central-1:sts,ecr=123456789012
  sallyport policy preset pypi > new.yaml && sallyport policy diff sallyport.yaml new.yaml

Clients are asked what they would do (npm config, pip.conf, apt's sources and others); no network is. More: docs/presets.md
Exit codes: 0 whole, 1 something is missing, 2 there is no such preset, or a file cannot be read`,
    )
    .action((names: string[], { folder, json }: { folder: string; json?: true }) => {
      if (names.length === 0) return list(json === true);
      const machine = { folder: resolve(folder), home: homedir(), root: "/", environment: process.env };
      const made = [...new Set(names)].map((name) => {
        const one = makePreset(name, machine);
        if (isMakeDefect(one)) throw new SallyportError("USAGE", one.message);
        return one;
      });
      const text = writePresets(made, [
        `By \`sallyport policy preset ${names.join(" ")}\`. Read it before it is in force.`,
      ]);
      if (json === true) console.log(JSON.stringify({ schema: "sallyport.preset/1", presets: made, policy: text }));
      else {
        process.stdout.write(text);
        tell(made);
      }
      if (made.some(({ missing }) => missing.length > 0)) process.exitCode = 1;
    });
}

function tell(made: readonly Made[]): void {
  for (const { name, missing } of made) for (const text of missing) console.error(`${name}: ${text}`);
}

function list(asJson: boolean): void {
  const services = ["github-actions", "ghcr"].map((name) => [
    presetRef(name),
    presetHosts(name)
      .map(({ host }) => host)
      .join(", "),
  ]);
  const own = Object.entries(ecosystems).map(([name, { what }]) => [name, what]);
  const rows = [...own, ["aws:REGION:SERVICES", Object.keys(awsServices).join(", ")], ...services];
  if (asJson) {
    const versions = Object.entries(presets).map(([name, all]) => [
      name,
      all.map((hosts, i) => ({ version: i + 1, hosts })),
    ]);
    console.log(
      JSON.stringify({
        schema: "sallyport.presets/1",
        made: Object.keys(ecosystems),
        built_in: Object.fromEntries(versions),
      }),
    );
  } else console.log(columns(rows).join("\n"));
}
