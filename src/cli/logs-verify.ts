/** `sallyport logs verify`: is the record what was written, from where, and who vouches for it. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { loadTrustedKey } from "../audit/key.ts";
import { KnownHeads, readKnownHeads } from "../audit/known-heads.ts";
import { type Verification, verifyRecord } from "../audit/verify.ts";
import { SallyportError } from "../errors.ts";
import { collect, requiredState } from "./options.ts";

export function addVerifyCommand(logs: Command): void {
  logs
    .command("verify")
    .description("Check chain, seals and signatures; names the first broken record and exits 1.")
    .option("-s, --state <dir>", "state directory")
    .option("-k, --key <file>", "public key that must have signed it (repeatable: a later one as well)", collect, [])
    .option("--heads <file>", "copies of head.json kept elsewhere, one a line, that must all be in it")
    .option("--json", "as JSON")
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<{ state: string; key: string[]; heads?: string; json?: true }>();
      const known = options.heads === undefined ? new KnownHeads() : knownHeads(options.heads);
      const result = await verifyRecord(requiredState(options.state), options.key.map(loadTrustedKey), known);
      if (options.json === true) console.log(JSON.stringify(result));
      else if (result.ok) console.log(holds(result).join("\n"));
      if (result.ok || result.broken === null) return;
      const { segment, line, seq, kind, message } = result.broken;
      const place = line === 0 ? segment : `${segment}:${line}`;
      throw new SallyportError("CHAIN_BROKEN", `${place}: record ${seq} is ${kind}: ${message}`, {
        broken: result.broken,
      });
    });
}

function knownHeads(file: string): KnownHeads {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new SallyportError(
      "HEADS_UNREADABLE",
      `The heads in ${file} cannot be read: ${(error as Error).message}.`,
      { file },
      error,
    );
  }
  const heads = readKnownHeads(text);
  if (typeof heads !== "number") return new KnownHeads(heads);
  throw new SallyportError("HEADS_UNREADABLE", `${file}:${heads}: this line is no copy of a head.json.`, {
    file,
    line: heads,
  });
}

function holds({ first, records, segments, head, retention, seals, notes }: Verification): string[] {
  const last = first + records - 1;
  return [
    `The chain holds: ${records} records in ${segments} segments, head ${head.hash}.`,
    ...(retention === null
      ? []
      : [
          `  begins   with record ${first}, ends with ${last}: retention deleted the rest, as record ${retention.seq} says`,
        ]),
    `  seals    ${sealed(seals)}`,
    ...unchecked(seals).map((text) => `  not checked: ${text}`),
    ...notes.map((note) => `  note: ${note}`),
  ];
}

function sealed({ closed, sealed: count, signed, keys, checked }: Verification["seals"]): string {
  if (checked) return `every closed segment (${closed}) and the head, with a good signature`;
  if (signed === 0) return `${count} of ${closed} closed segments, none signed`;
  return `${count} of ${closed} closed segments, ${signed} signed by key ${keys.join(", ")}`;
}

/** What the answer does not say, so that nobody takes it for more than it is. */
function unchecked({ closed, sealed: count, signed, checked }: Verification["seals"]): string[] {
  if (checked) return [];
  const missing = closed - count;
  return [
    ...(missing > 0 ? [`${missing} closed segments have no seal`] : []),
    signed > 0
      ? "the signatures; give the public key with --key"
      : "who wrote it: without signatures, whoever can write the directory can write all of it anew",
  ];
}
