/**
 * `npm start`: Sallyport's main job as a guided run on real input. Watches a real command, writes its allowlist, enforces it,
 * then tries to get out, and shows for each try which rule refused it and why. Ends by comparing the host with what it was.
 * Every line it prints comes from what just happened; it fails when a step did not do what it says.
 */
import { chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Event } from "../../src/audit/event.ts";
import { reasonTexts } from "../../src/policy/reason.ts";
import { table, type RunReport } from "../../src/run/report.ts";
import { suggestPolicy } from "../../src/run/suggest.ts";
import { invokingUser } from "../../src/run/user.ts";
import { documentationAddress, judge } from "./escapes.ts";
import { block, columns, command, paint, say, step } from "./print.ts";
import { differences, takeSnapshot } from "./snapshot.ts";
import { boxStage, home, hostStage, type Stage } from "./stage.ts";

/** A step did not do what it says, or the user had enough. */
class Stopped extends Error {}

const before = takeSnapshot();
const begun = performance.now();
const folder = mkdtempSync(join(tmpdir(), "sallyport-tour-"));
const file = (name: string) => join(folder, name);
// Under sudo the command is the user's, and a report is written with his rights.
const user = invokingUser(process.env);
if (user !== null) chownSync(folder, user.uid, user.gid);
const sallyport = join(home, "sallyport");
let interrupted = false;
process.on("SIGINT", () => (interrupted = true));
process.on("SIGTERM", () => (interrupted = true));

let stage: Stage = hostStage(file("npm-cache"));
let failure: string | null = null;
try {
  await tour();
} catch (error) {
  failure = error instanceof Stopped ? error.message : (error as Error).stack!;
} finally {
  await stage.close();
  rmSync(folder, { recursive: true, force: true });
}
const left = differences(before, takeSnapshot());
step("Leave the host as it was");
if (left.length > 0) {
  failure ??= "the host is not as it was";
  block(left.join("\n"));
} else say("Rules, routes, links, namespaces, kernel settings and files: compared with the start, all the same.");
if (interrupted) failure = "interrupted";
console.log();
if (failure === null) {
  console.log(paint("green", `Done in ${Math.round((performance.now() - begun) / 1000)} s.`));
  console.log("Next: ./sallyport run -- YOUR COMMAND, then README.md and docs/policy.md.");
} else console.error(paint("red", `The guided run did not finish: ${failure}`));
process.exitCode = interrupted ? 130 : failure === null ? 0 : 1;

async function tour(): Promise<void> {
  const seen = await watch();
  const allowed = writePolicy(seen);
  await enforce();
  await tryAll(allowed, seen);
  await verify();
}

async function watch(): Promise<RunReport> {
  step("Watch a command. Nothing is refused; everything it contacts is recorded.");
  command(["sallyport", "run", "--", ...stage.watched]);
  let report = await runWatched();
  if (report === null && !interrupted) {
    say("npm could not reach its registry; making an internet in a box …");
    stage = await boxStage();
    command(["sallyport", "run", "--", ...stage.watched]);
    report = await runWatched();
  }
  must(report !== null, "the watched command failed");
  say(`It ran on ${stage.where} and contacted:`);
  block(table(report!.destinations, process.stdout.isTTY));
  return report!;
}

/** The report of the watched command, or null where the command itself failed. */
async function runWatched(): Promise<RunReport | null> {
  const done = await stage.exec(sallyport, [
    "run",
    "--mode",
    "monitor",
    "--report",
    file("seen.json"),
    "--",
    ...stage.watched,
  ]);
  must(done.code !== 4 && done.code !== 2, `sallyport run could not start:\n${done.stderr}`);
  if (done.code !== 0) return null;
  say(`The command said: ${done.stdout.trim().split("\n").at(-1) ?? ""}`);
  return JSON.parse(readFileSync(file("seen.json"), "utf8")) as RunReport;
}

function writePolicy(report: RunReport): string {
  step("Write down what it needs: the policy.");
  const text = suggestPolicy(report.destinations);
  writeFileSync(file("sallyport.yaml"), text);
  block(text);
  const allowed = report.destinations.find((row) => row.protocol === "tls" && row.name !== null)?.name;
  must(allowed !== undefined && allowed !== null, "the command made no TLS connection by name");
  return allowed!;
}

async function enforce(): Promise<void> {
  step("Run it again, enforced: the allowlist and nothing else.");
  command(["sallyport", "run", "--policy", "sallyport.yaml", "--", ...stage.watched]);
  const args = ["run", "--policy", file("sallyport.yaml"), "--report", file("enforced.json"), "--", ...stage.watched];
  const done = await stage.exec(sallyport, args);
  must(done.code === 0, `the command failed under its own allowlist:\n${done.stderr}`);
  const report = JSON.parse(readFileSync(file("enforced.json"), "utf8")) as RunReport;
  must(report.mode === "enforce" && report.destinations.some((row) => row.verdict === "allow"), "nothing was enforced");
  say(`The command said: ${done.stdout.trim().split("\n").at(-1) ?? ""}`);
  block(table(report.destinations, process.stdout.isTTY));
}

async function tryAll(allowed: string, seen: RunReport): Promise<void> {
  step("Try to get out, from inside the enforced run.");
  say("Only documentation addresses and reserved names are tried: nobody is there.");
  const target = documentationAddress(seen.destinations.flatMap(({ ip }) => (ip === null ? [] : [ip])));
  must(target !== null, "every documentation network is one of this host's own; there is no safe address to try");
  const inside = [process.execPath, join(home, "scripts/tour/attempts.ts"), allowed, target!];
  const args = ["run", "--policy", file("sallyport.yaml"), "--state", file("state"), "--report", file("tried.json")];
  command(["sallyport", "run", "--policy", "sallyport.yaml", "--state", "state", "--", "node", "attempts.ts"]);
  const done = await stage.exec(sallyport, [...args, "--", ...inside]);
  must(done.code === 0, `the attempts did not run:\n${done.stderr}`);
  const { events } = JSON.parse(readFileSync(file("tried.json"), "utf8")) as { events: Event[] };
  const escapes = judge(done.stdout, events, target!);
  for (const { what, failed } of escapes) must(failed === null, `${what}: ${failed ?? ""}`);
  block(columns([["ATTEMPT", "THE PROGRAM SAW", "VERDICT", "RULE", "REASON"], ...escapes.map((each) => each.row)]));
  for (const reason of new Set(escapes.map((each) => each.reason!))) {
    say(`${paint("bold", reason)}: ${reasonTexts[reason]}`);
  }
}

async function verify(): Promise<void> {
  step("Check the record: each event holds the hash of the one before.");
  command(["sallyport", "logs", "verify", "--state", "state"]);
  const done = await stage.exec(sallyport, ["logs", "verify", "--state", file("state")]);
  must(done.code === 0, `the record does not verify:\n${done.stderr}`);
  block(done.stdout);
}

/** Ends the tour where a step did not do what it says, or at Ctrl-C. */
function must(condition: boolean, otherwise: string): void {
  if (interrupted) throw new Stopped("interrupted");
  if (!condition) throw new Stopped(otherwise);
}
