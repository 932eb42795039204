/**
 * Every failure a user can cause, as a table: code, exit code, and what to do next. `docs/error-codes.md` is generated
 * from it. A bare `new Error` is for our own defects only.
 */
export const errorTable = {
  USAGE: { exit: 2, help: "See `sallyport <command> --help`." },
  POLICY_UNREADABLE: { exit: 2, help: "Check the path and the permissions of the policy file." },
  POLICY_INVALID: { exit: 2, help: "Fix the positions listed; `sallyport policy check FILE` shows them again." },
  POLICY_CHANGED: {
    exit: 1,
    help: "Somebody edited the policy file meanwhile; look at it, and run the command again.",
  },
  FILE_UNWRITABLE: {
    exit: 2,
    help: "Check the path, the permissions and the free space where the file is to be written.",
  },
  CONFIG_UNREADABLE: { exit: 2, help: "Check the path and the permissions of the configuration file." },
  CONFIG_INVALID: { exit: 2, help: "Fix the positions listed; `sallyport config check FILE` shows them again." },
  CONFIG_CONFLICT: {
    exit: 2,
    help: "Say it in one place: leave out the option of the command line, or the line of the configuration.",
  },
  SETTINGS_UNREADABLE: {
    exit: 2,
    help: "A client's settings cannot be read, so what it needs is not known; correct the file or its permissions.",
  },
  NOT_ROOT: { exit: 4, help: "Run as root: sudo sallyport …" },
  MISSING_CAPABILITY: { exit: 4, help: "The process needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_SYS_ADMIN." },
  MISSING_TOOL: { exit: 4, help: "Install the Debian/Ubuntu packages iptables, iproute2 and conntrack." },
  KERNEL_FEATURE: { exit: 4, help: "This kernel lacks a netfilter feature; see docs/requirements.md." },
  UNKNOWN_INTERFACE: { exit: 4, help: "List the interfaces with `ip link` and name one of them." },
  QUEUE_IN_USE: { exit: 4, help: "Another program reads this NFQUEUE number; choose another with --queue." },
  PORT_IN_USE: { exit: 4, help: "Another program listens there; choose another port." },
  STATE_IN_USE: {
    exit: 4,
    help: "Another Sallyport uses this state directory; stop it or choose another with --state.",
  },
  STATE_UNWRITABLE: { exit: 4, help: "The state directory must exist on a writable file system with free space." },
  PLACE: {
    exit: 4,
    help: "The network or the namespaces for the command could not be made; the text says which step.",
  },
  RULESET: { exit: 4, help: "The kernel refused the ruleset; the text says which rule." },
  ENFORCEMENT_LOST: { exit: 1, help: "The data path stopped; new connections are refused until it runs again." },
  NOT_RUNNING: { exit: 1, help: "No Sallyport answers in this state directory; start one or check --state." },
  RECORD_UNREADABLE: { exit: 2, help: "Check the path and the permissions of the state directory; --state names it." },
  CHAIN_BROKEN: { exit: 1, help: "The record was edited, cut or reordered, or its seal was, at the place named." },
  KEY_UNUSABLE: {
    exit: 2,
    help: "`sallyport logs keygen --out FILE` makes a pair: FILE signs and is its owner's alone, FILE.pub is for `logs verify --key`.",
  },
  HEADS_UNREADABLE: {
    exit: 2,
    help: "Give --heads a file that you may read, with copies of `events/head.json`, each whole on a line of its own.",
  },
  RECEIPT_REFUSED: {
    exit: 1,
    help: "Do not take the job's word; the reasons are listed. Run it again, and look at its report for what did not hold.",
  },
  CLOUD_UNREADABLE: {
    exit: 2,
    help: "Check the paths and permissions of the files given to --iam, --network and --plan, and the values of --account and --reach.",
  },
  RECEIPT_UNREADABLE: { exit: 2, help: "Check the paths and permissions of the receipt, the report and the policy." },
  REPORT_INVALID: {
    exit: 2,
    help: "Give state directories (--state of `sallyport gateway` and `run`), or files of `sallyport run --report`.",
  },
  PLAN_DENIES: {
    exit: 1,
    help: "Add rules for what is listed (`sallyport policy explain`), leave out what is long past (--since 30d), or promote with --force and let it be refused.",
  },
  QUERY_INVALID: { exit: 2, help: "Ask one SELECT over the view `events`; its columns are in docs/query.md." },
  QUERY_FAILED: {
    exit: 1,
    help: "The text says why. A Parquet copy that is damaged can be deleted (the folder `query` in the state directory); --memory gives more memory.",
  },
  QUERY_ENGINE: {
    exit: 1,
    help: "Install Sallyport again with optional packages (npm install --include=optional); there is a DuckDB for x64 and arm64, glibc and musl.",
  },
  ACTION_INPUT: { exit: 2, help: "Correct the `with:` of the step; docs/action.md lists the inputs." },
  ACTION_ENVIRONMENT: {
    exit: 2,
    help: "The action runs as a step of a job on a Linux runner; elsewhere use `sallyport run` or `sallyport gateway`.",
  },
  AGENT: {
    exit: 4,
    help: "Nothing is enforced, so the job fails; the text says what is missing. docs/action.md lists what a runner needs.",
  },
  WORKFLOW_UNREADABLE: { exit: 2, help: "Run it in the repository's folder, or name that with --repository." },
  WORKFLOW_INVALID: { exit: 2, help: "Correct the places listed, or name only the other workflows." },
  WORKFLOW_CHANGED: { exit: 1, help: "Look at the file, move it away if it is not needed, and run the command again." },
  ACCEPTED_INVALID: {
    exit: 2,
    help: "Correct the line of the file of accepted findings (--accept); its form is in docs/posture.md.",
  },
  FIX_SCOPE: {
    exit: 2,
    help: "Nothing was changed. Give a token with the rights that are named, or leave out what needs them (--github).",
  },
  FIX_PARTIAL: {
    exit: 1,
    help: "What was done and what was not is listed; --undo takes back what was. Run --fix again for what the rest is now.",
  },
  GROUP_UNKNOWN: {
    exit: 2,
    help: "Nothing was planned. Write the group's name as its organisation has it, with --github ORG and a token that may read groups (admin:org, or Self-hosted runners: read).",
  },
  UNDO_INVALID: {
    exit: 2,
    help: "Give the file that --fix --apply left, with the same folder (-C) and --api-url; nothing was changed.",
  },
  ISSUE_REFUSED: {
    exit: 1,
    help: "Nothing was posted or changed, but for what the message says. The token needs repo, or Issues: write, for the issue's repository.",
  },
  POSTURE_UNSEEN: {
    exit: 2,
    help: "Check the name, the token (GITHUB_TOKEN, GH_TOKEN) with its rights, and --api-url; docs/posture.md lists the least.",
  },
  SIMULATION_FAILED: {
    exit: 1,
    help: "The simulation could not be finished, so it says nothing about the firewall; the text says what broke.",
  },
  NOT_YOUR_SINK: {
    exit: 4,
    help: "Start `sallyport simulate sink` on a server of yours and give the token it prints; nothing else is ever probed.",
  },
  INTERNAL: { exit: 1, help: "This is a defect of ours; please report it with the text above." },
} as const;

export type ErrorCode = keyof typeof errorTable;

/** A failure with a stable code. `message` says what happened; the table says what to do. */
export class SallyportError extends Error {
  readonly code: ErrorCode;
  readonly data: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, data: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "SallyportError";
    this.code = code;
    this.data = data;
  }

  /** The process's exit code for this failure. */
  get exitCode(): number {
    return errorTable[this.code].exit;
  }

  /** What the user should do next. */
  get help(): string {
    return errorTable[this.code].help;
  }
}
