/** The help of `sallyport posture`: one screen of what is mostly wanted, another of what fixes, and all of it with --all. */
import { type Command, Help, type Option } from "commander";

/** What most runs want; the rest is on the whole list. */
const usual = [
  ...["--repository", "--no-repository", "--github", "--api-url", "--iam", "--network", "--plan", "--evidence"],
  ...["--format", "--json", "--all", "--accept", "--fail-on", "--unknown-fails", "--fix", "--adoption-issue", "--help"],
];
const fixing = [
  ...["--fix", "--repository", "--no-repository", "--github", "--api-url", "--max-wait", "--uses", "--accept"],
  ...["--apply", "--undo", "--undo-file", "--pin", "--version-comment", "--select-group", "--restrict-group"],
  ...["--help", "--json", "--all"],
];

const lookingText = `
Examples:
  sallyport posture                              the repository here
  sallyport posture --format sarif > posture.sarif
  GITHUB_TOKEN=… sallyport posture --no-repository --github octo
  sallyport posture --no-repository --iam roles.json --network vpc.json

What could not be seen is unknown, never ok. The rules: docs/posture.md; the
cloud's files: docs/posture-cloud.md. Every option: --all --help
Exit codes: 0 nothing as bad as --fail-on, 1 something is, 2 nothing was seen`;

const fixingText = `
Examples:
  sallyport posture --fix --uses sallyport/sallyport@<40 hex> --version-comment v1
  GITHUB_TOKEN=… sallyport posture --fix --no-repository --github octo --apply
  GITHUB_TOKEN=… sallyport posture --undo .git/sallyport/undo-….jsonl --no-repository --apply

Without --apply nothing is changed: a plan is shown. Rules: docs/posture.md
Exit codes: 0 all is done, or only planned; 1 some was not done; 2 nothing can be done`;

const isSaid = (...words: readonly string[]) => words.some((word) => process.argv.includes(word));
const isFix = () => isSaid("--fix", "--undo");

export function addPostureHelp(command: Command): void {
  command
    .helpOption("-h, --help", "this; --fix --help and --all --help say more")
    .configureHelp({
      visibleOptions: (of) => {
        const shown = isFix() ? fixing : usual;
        const isWanted = ({ long }: Option) => isSaid("--all") || shown.includes(long ?? "");
        return new Help().visibleOptions(of).filter(isWanted);
      },
      optionDescription: (option) => (isSaid("--all") ? new Help().optionDescription(option) : shortly(option)),
    })
    .addHelpText("after", () => (isFix() ? fixingText : lookingText));
}

/** On a line of a terminal: without choices that its text names, and without a default that nobody asks for. */
function shortly({ description, defaultValue, defaultValueDescription: said, long }: Option): string {
  const isPlain = typeof defaultValue === "number" || (typeof defaultValue === "string" && long !== "--api-url");
  const usually = said ?? (isPlain ? String(defaultValue) : "none");
  return usually === "none" ? description : `${description} (default: ${usually})`;
}
