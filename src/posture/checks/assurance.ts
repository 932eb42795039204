/**
 * RG-21 and RG-22 by what our own commands print: a record that was verified, and a simulation that was run. Neither is asked for
 * here; somebody ran them where they belong and gives what came out. And how long a gateway is told to keep its record.
 */
import { parseDocument } from "yaml";
import { isTrouble, readJson } from "../../cloud/json.ts";
import { flagAt, isFields, listAt, numberAt, own, textAt } from "../../cloud/value.ts";
import { parseDuration } from "../../policy/duration.ts";
import type { Frame, RepositoryFacts, TextFile } from "../facts.ts";
import { inFile, subjectIn } from "../facts.ts";
import { finding } from "../finding.ts";
import type { Finding } from "../finding.ts";

/** Where a repository keeps what a gateway is told. */
export const configPath = "sallyport.config.yaml";
const day = 86_400_000;
const usualDays = 90;

type Limits = Pick<Frame, "now" | "keepDays" | "testDays">;

/** Files that commands of ours wrote. Never throws; one that is neither is unknown, under both rules. */
export function checkEvidence(files: readonly TextFile[], limits: Limits): Finding[] {
  return files.flatMap(({ path, text }) => {
    const json = readJson(path, text);
    if (isTrouble(json)) return unreadable(path, json.message);
    const { value } = json;
    if (textAt(value, "schema") === "sallyport.simulate/1") return [checkSimulation(path, value, limits)];
    if (flagAt(value, "ok") !== null && isFields(own(value, "seals"))) return [checkRecord(path, value)];
    return unreadable(path, "is neither a verified record nor a simulation");
  });
}

function unreadable(path: string, seen: string): Finding[] {
  const fix = "Give what sallyport logs verify --json or sallyport simulate --json prints.";
  const where = inFile(path, null, null);
  return [
    finding({ rule: "RG-21", check: "record", status: "unknown", subject: path, seen, where, fix }),
    finding({ rule: "RG-22", check: "simulation", status: "unknown", subject: path, seen, where, fix }),
  ];
}

function checkRecord(path: string, value: unknown): Finding {
  const seals = own(value, "seals");
  const common = { rule: "RG-21", check: "record", subject: path, where: inFile(path, null, null) } as const;
  const [closed, signed, records] = [numberAt(seals, "closed"), numberAt(seals, "signed"), numberAt(value, "records")];
  if (flagAt(value, "ok") !== true) {
    const broken = own(value, "broken");
    const place = `${textAt(broken, "segment") ?? "a segment"}, record ${numberAt(broken, "seq") ?? "?"}`;
    const seen = `the record is broken at ${place}: ${textAt(broken, "message") ?? "it does not say why"}`;
    const fix = "Find out who wrote there; what stands behind the break proves nothing.";
    return finding({ ...common, status: "fail", severity: "high", seen, fix });
  }
  const has = `a chain of ${records ?? "?"} records holds`;
  if (flagAt(seals, "checked") === true && records !== null && records > 0)
    return finding({ ...common, status: "pass", seen: `${has}, signed by a key that was given` });
  const seen =
    (signed ?? 0) === 0
      ? `${has}, and no seal is signed: whoever can write it can write it anew`
      : `${has}, ${signed} of ${closed ?? "?"} seals are signed, and nobody gave a key to check them by`;
  const fix = "Sign the record (record.sign_key), and verify it with --key.";
  return finding({ ...common, status: (signed ?? 0) === 0 ? "fail" : "unknown", seen, fix });
}

function checkSimulation(path: string, value: unknown, { now, testDays = usualDays }: Limits): Finding {
  const common = {
    rule: "RG-22",
    check: "simulation",
    subject: "exfiltration test",
    where: inFile(path, null, null),
  } as const;
  const ended = textAt(value, "ended");
  const time = Date.parse(ended ?? "");
  const rows = listAt(value, "techniques");
  const named = (verdict: string) =>
    rows.flatMap((row) =>
      textAt(row, "expected") === "blocked" && textAt(row, "verdict") === verdict ? [textAt(row, "id") ?? "?"] : [],
    );
  const [reached, open] = [named("reached"), named("inconclusive")];
  const list = (ids: readonly string[]) =>
    `${ids.slice(0, 5).join(", ")}${ids.length > 5 ? ` and ${ids.length - 5} more` : ""}`;
  if (reached.length > 0) {
    const seen = `${reached.length} of ${rows.length} techniques got out that should not: ${list(reached)}`;
    return finding({
      ...common,
      status: "fail",
      severity: "high",
      seen,
      fix: "See each technique's fix in docs/techniques.md.",
    });
  }
  if (Number.isNaN(time) || rows.length === 0 || time > now.getTime() + day)
    return finding({ ...common, status: "unknown", seen: "it does not say when it ended, or tried nothing" });
  const days = Math.max(0, Math.floor((now.getTime() - time) / day));
  const age = `${rows.length} techniques were tried ${days} days ago; ${testDays} are allowed`;
  if (days > testDays) return finding({ ...common, status: "fail", seen: age });
  if (textAt(own(value, "policy"), "mode") === "monitor")
    return finding({ ...common, status: "unknown", seen: `${age}, against a policy that only watches` });
  if (open.length > 0)
    return finding({
      ...common,
      status: "unknown",
      seen: `${age}, and ${open.length} could not be judged: ${list(open)}`,
    });
  return finding({ ...common, status: "pass", seen: `${age}, and none got out that should not` });
}

/** RG-21 by `record:` of a gateway's configuration; nothing where the repository has none. */
export function checkRetention(repository: RepositoryFacts, { keepDays = usualDays }: Limits): Finding[] {
  const text = repository.files.get(configPath);
  if (text === undefined) return [];
  const subject = subjectIn(repository, configPath);
  const where = inFile(configPath, 1, 1, "record");
  const kept = { rule: "RG-21", check: "kept-for", subject, where } as const;
  const signed = { rule: "RG-21", check: "signed", subject, where } as const;
  const record = recordIn(text);
  if (record === null)
    return [
      finding({
        ...kept,
        status: "unknown",
        seen: "the file cannot be read",
        fix: "Correct it: sallyport gateway names the place.",
      }),
    ];
  const keepFor = own(record, "keep_for");
  const length = keepFor === undefined ? Infinity : typeof keepFor === "string" ? parseDuration(keepFor) : null;
  const bySize = own(record, "keep_size") === undefined ? "" : "; keep_size may delete sooner";
  const said =
    keepFor === undefined
      ? "keep_for is not set, so no age deletes it"
      : `keep_for is ${JSON.stringify(keepFor).slice(0, 40)}`;
  const status = length === null ? "unknown" : length < keepDays * day ? "fail" : bySize === "" ? "pass" : "unknown";
  const key = textAt(record, "sign_key");
  return [
    finding({ ...kept, status, seen: `${said}${bySize}; ${keepDays} days are asked for` }),
    key === null
      ? finding({
          ...signed,
          status: "unknown",
          seen: "no sign_key; whether the command line has one was not seen",
          fix: "Write record.sign_key.",
        })
      : finding({ ...signed, status: "pass", seen: "sign_key is set" }),
  ];
}

/** `record:` of the file, empty where it has none; null where the file is none. */
function recordIn(text: string): unknown {
  if (text.length > 1024 * 1024) return null;
  try {
    const document = parseDocument(text, { prettyErrors: false, logLevel: "silent", schema: "core" });
    if (document.errors.length > 0) return null;
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    return isFields(value) ? (own(value, "record") ?? {}) : null;
  } catch {
    return null;
  }
}
