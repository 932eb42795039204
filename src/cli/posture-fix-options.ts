/** What `sallyport posture --fix` takes; the work is loaded only when it runs. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { collect } from "./options.ts";
import { commentOf } from "./workflow.ts";

export interface FixFlags {
  fix?: true;
  apply?: true;
  undo?: string;
  undoFile?: string;
  adoptionIssue?: string;
  issueAuthor?: string;
  publicIssue?: true;
  pin: { readonly use: string; readonly commit: string }[];
  versionComment?: string;
  selectGroup: string[];
  restrictGroup: { readonly group: string; readonly workflows: readonly string[] }[];
}

export function addFixOptions(command: Command): void {
  command
    .optionsGroup("What it changes, with --apply alone:")
    .option("--fix", "plan what can be set right (more: --fix --help)")
    .addOption(
      new Option("--adoption-issue <owner/repo>", "how far GitHub's own firewall is, as an issue").argParser(
        readRepository,
      ),
    )
    .addOption(
      new Option(
        "--issue-author <login>",
        "who posts it, where the token cannot say: APP[bot]; in GitHub Actions github-actions[bot]",
      ).argParser(readLogin),
    )
    .option("--public-issue", "post it where everybody reads what private repositories lack")
    .option("--apply", "do what the plan says")
    .option("--undo <file>", "plan the way back, by the file that --apply left")
    .option("--undo-file <file>", "where that goes; default: .git/sallyport/ of the repository, else here")
    .addOption(
      new Option("--pin <owner/repo@ref=sha>", "the commit of something used (repeatable)")
        .argParser((text: string, before: FixFlags["pin"]) => [...before, readPin(text)])
        .default([], "none"),
    )
    .addOption(new Option("--version-comment <text>", "behind the commit of --uses, such as v1").argParser(commentOf))
    .option("--select-group <name>", "make a runner group for its listed repositories alone (repeatable)", collect, [])
    .addOption(
      new Option("--restrict-group <name=workflow@ref,…>", "let these workflows alone use a group (repeatable)")
        .argParser((text: string, before: FixFlags["restrictGroup"]) => [...before, readRestriction(text)])
        .default([], "none"),
    );
}

function readPin(text: string): { use: string; commit: string } {
  const [, use, commit] = /^([\w.-]+\/[\w.-]+@[^=\s]+)=([0-9a-f]{40})$/.exec(text) ?? [];
  if (use === undefined)
    throw new InvalidArgumentError("Write actions/checkout@v5= and a commit's 40 digits (0-9, a-f).");
  return { use, commit: commit! };
}

function readRepository(text: string): string {
  if (/^[\w.-]+\/[\w.-]+$/.test(text) && !text.split("/").some((part) => /^\.+$/.test(part))) return text;
  throw new InvalidArgumentError("Write owner/repository.");
}

function readLogin(text: string): string {
  if (/^[\w-]{1,100}(?:\[bot\])?$/.test(text)) return text;
  throw new InvalidArgumentError("Write a login of GitHub's, or APP[bot].");
}

/** GitHub keeps a ref with each workflow (docs.github.com, "Managing access to self-hosted runners using groups"). */
function readRestriction(text: string): { group: string; workflows: string[] } {
  const [, group, list] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  const workflows = (list ?? "").split(",");
  const isOne = (each: string) => /^[\w.-]+\/[\w.-]+\/\.github\/workflows\/[^@\s]+\.ya?ml@\S+$/.test(each);
  if (group !== undefined && workflows.every(isOne)) return { group, workflows };
  throw new InvalidArgumentError(
    "Write NAME=OWNER/REPO/.github/workflows/FILE.yml@refs/heads/main, more behind commas.",
  );
}
