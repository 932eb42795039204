/** `sallyport policy import` and `export`: policies of other products as ours and back. Files and the clock come in here. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { isCidrDefect, parseCidr } from "../address/cidr.ts";
import { SallyportError } from "../errors.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { exportFormats, exportPolicy } from "../translate/export.ts";
import type { ExportFormat } from "../translate/export.ts";
import { importFormats, importPolicy } from "../translate/import.ts";
import type { ImportFormat } from "../translate/import.ts";
import { isLoss, noteText } from "../translate/note.ts";
import type { Note } from "../translate/note.ts";
import { read, showProblems } from "./policy-file.ts";

const formats = Object.keys(importFormats) as ImportFormat[];

interface ImportFlags {
  source: ReadonlyMap<string, readonly string[]>;
  anySource?: true;
  job?: string;
  web?: true;
  json?: true;
}

export function addImport(policy: Command): void {
  policy
    .command("import")
    .usage("[options] [format] <file>")
    .description(
      "Translate another product's policy into one of ours, on stdout. Exit 1 when something was not carried.",
    )
    .argument("<format>", `${formats.join(", ")}; left out: by what the file looks like`)
    .argument(
      "[file]",
      "a workflow, an egress-firewall.yaml, an ACL, policies, or Terraform's JSON; - is standard input",
    )
    .addOption(
      new Option("--source <name=cidr,...>", "subnets of a service, group or policy that is no address (repeatable)")
        .argParser(readSource)
        .default(new Map(), "none"),
    )
    .option("--any-source", "take what has no subnets for every source, rather than leave its rules out")
    .option("--job <id>", "of a workflow, only this job")
    .option("--web", "where there are no ports: 443 and 80 by name, rather than every port")
    .option("--json", "as JSON: the policy's text and what was not carried")
    .addHelpText(
      "after",
      `
Examples:
  sallyport policy import .github/workflows/build.yml > sallyport.yaml
  sallyport policy import harden-runner build.yml --job test
  sallyport policy import acl.yaml --source web=10.20.1.0/24 --source batch=10.20.2.0/24
  terraform show -json | sallyport policy import aviatrix -

What could not be carried is in the output as comments, and on stderr. How each format is read: docs/import.md
Exit codes: 0 everything was carried, 1 something was not, 2 the file cannot be translated`,
    )
    .action((first: string, second: string | undefined, flags: ImportFlags) => {
      const [format, file] = second === undefined ? [null, first] : [formatOf(first, formats), second];
      const text = read(file);
      const { source: sources, anySource = false, job = null, web = false } = flags;
      const imported = importPolicy(text, file, format, { sources, anySource, job, web });
      if (isPolicyProblems(imported)) return showProblems(imported, text, flags.json === true);
      const { notes, complete } = imported;
      if (flags.json === true) {
        console.log(
          JSON.stringify({
            schema: "sallyport.import/1",
            format: imported.format,
            file,
            complete,
            notes,
            policy: imported.text,
          }),
        );
      } else {
        process.stdout.write(imported.text);
        tell(notes, file);
      }
      process.exitCode = complete ? 0 : 1;
    });
}

interface ExportFlags {
  source?: string;
  at: Date;
  json?: true;
}

export function addExport(policy: Command, atOption: Option): void {
  const targets = Object.keys(exportFormats) as ExportFormat[];
  policy
    .command("export")
    .description("Write a policy's hosts for another product, on stdout. Exit 1 when something was not carried.")
    .argument("<format>", targets.join(", "))
    .argument("<policy>", "policy file")
    .option("--source <name>", "a declared source whose list it is; default: an address in no source")
    .addOption(atOption)
    .option("--json", "as JSON: the text and what was not carried")
    .addHelpText(
      "after",
      `
Examples:
  sallyport policy export github sallyport.yaml > .github/egress-firewall.yaml
  sallyport policy export harden-runner sallyport.yaml --source python-runners

Exit codes: 0 everything was carried, 1 something was not, 2 the policy does not load. More: docs/import.md`,
    )
    .action((format: string, file: string, flags: ExportFlags) => {
      const target = formatOf(format, targets);
      const text = read(file);
      const loaded = loadPolicy(text, file, flags.at);
      if (isPolicyProblems(loaded)) return showProblems(loaded, text, flags.json === true);
      const { policy, engine } = loaded;
      const source = flags.source ?? null;
      if (source !== null && !policy.sources.some(({ name }) => name === source)) {
        const declared = policy.sources.map(({ name }) => name).join(", ");
        throw new SallyportError(
          "USAGE",
          `there is no source “${source}” in ${file}. Declared: ${declared || "none"}.`,
        );
      }
      const exported = exportPolicy(policy, engine, target, { source, now: flags.at.getTime() });
      const { notes, complete } = exported;
      if (flags.json === true) {
        console.log(
          JSON.stringify({ schema: "sallyport.export/1", format: target, file, complete, notes, text: exported.text }),
        );
      } else {
        process.stdout.write(exported.text);
        tell(notes, file);
      }
      process.exitCode = complete ? 0 : 1;
    });
}

function tell(notes: readonly Note[], file: string): void {
  for (const note of notes.filter(isLoss)) console.error(noteText(file, note));
}

function formatOf<F extends string>(text: string, formats: readonly F[]): F {
  const found = formats.find((format) => format === text);
  if (found !== undefined) return found;
  throw new SallyportError("USAGE", `there is no format “${text}”. Choose one of: ${formats.join(", ")}.`);
}

function readSource(text: string, before: ReadonlyMap<string, readonly string[]>): Map<string, readonly string[]> {
  const split = text.lastIndexOf("=");
  const subnets = text.slice(split + 1).split(",");
  if (split < 1) throw new InvalidArgumentError("Write name=10.20.1.0/24.");
  for (const subnet of subnets) {
    const cidr = parseCidr(subnet);
    if (isCidrDefect(cidr)) throw new InvalidArgumentError(`${cidr.message}. ${cidr.fix}`);
  }
  return new Map([...before, [text.slice(0, split), subnets]]);
}
