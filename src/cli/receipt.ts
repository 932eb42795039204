/** `sallyport receipt verify`: does a job's receipt show what a required check asks for. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { inMode } from "../action/job-policy.ts";
import { loadTrustedKey } from "../audit/key.ts";
import { SallyportError } from "../errors.ts";
import { type ReceiptVerdict, verifyReceipt } from "../machine/verify-receipt.ts";
import { createHash } from "node:crypto";
import { collect, integer } from "./options.ts";

interface ReceiptArguments {
  record?: string;
  state?: string;
  policy?: string;
  report?: string;
  key: string[];
  maxGaps: number;
  json?: true;
}

/** No receipt and no policy comes near. */
const mostBytes = 64 * 1024 * 1024;

export function addReceiptCommand(program: Command): void {
  const receipt = program
    .command("receipt")
    .description("The receipt of a job under the GitHub Action (docs/action.md).");
  receipt
    .command("verify <file>")
    .description("Exit 0 where it shows a job that was enforced from start to end, 1 with every reason why not.")
    .option("-r, --record <dir>", "the record that it is of: the action's output `record`")
    .option("-s, --state <dir>", "the same, as other commands call it")
    .option("-p, --policy <file>", "the policy that must have been in force")
    .option("--report <file>", "the report that it must have been made with")
    .option("-k, --key <file>", "public key that must have signed it, and the record (repeatable)", collect, [])
    .option("--max-gaps <n>", "how many things that did not hold are let pass", integer(0, 1_000_000), 0)
    .option("--json", "as JSON")
    .action(async (file: string, options: ReceiptArguments) => {
      const { record, state, policy, report, key, maxGaps } = options;
      if (record !== undefined && state !== undefined) {
        throw new SallyportError("USAGE", "--record and --state are the same; give one.");
      }
      const policyText = policy === undefined ? null : read(policy);
      const verdict = await verifyReceipt(read(file), {
        maxGaps,
        policies:
          policyText === null ? null : (mode) => [policyText, inMode(policyText, mode)].map((text) => sha256(text)),
        record: record ?? state ?? null,
        keys: key.map(loadTrustedKey),
        report: report === undefined ? null : read(report),
      });
      if (options.json === true) console.log(JSON.stringify(verdict));
      else if (verdict.ok) console.log(holds(verdict).join("\n"));
      if (!verdict.ok) {
        const { reasons } = verdict;
        const text = `${file} does not show what is asked for.\n${reasons.map((each) => `- ${each}`).join("\n")}`;
        throw new SallyportError("RECEIPT_REFUSED", text, { reasons });
      }
    });
}

function holds({ receipt, unchecked }: ReceiptVerdict): string[] {
  const { job, policy, from, until, checks, chain, denied } = receipt!;
  return [
    `The receipt holds: ${job.job} of ${job.repository}, run ${job.run_id}, was enforced from ${from} to ${until}.`,
    `  policy   ${policy}`,
    `  checks   ${checks.passed} of ${checks.made} for tampering passed; ${denied} connections denied`,
    `  record   ${chain.events} events when it was made, head ${chain.head}`,
    ...unchecked.map((each) => `  not checked: ${each}`),
  ];
}

function read(file: string): string {
  try {
    const bytes = readFileSync(file);
    if (bytes.length > mostBytes) throw new Error("it is too large");
    return bytes.toString("utf8");
  } catch (error) {
    throw new SallyportError(
      "RECEIPT_UNREADABLE",
      `${file} cannot be read: ${(error as Error).message}.`,
      { file },
      error,
    );
  }
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
