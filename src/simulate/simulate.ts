/**
 * The default simulation: a range of our own, each technique once without a firewall and once inside `sallyport run` with
 * the user's policy, and the sink's verdict. Leaves nothing behind, whatever happens on the way.
 */
import type { ChildProcess } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { PolicyInForce } from "../enforcer/policy-source.ts";
import { SallyportError } from "../errors.ts";
import { checkHost } from "../kernel/features.ts";
import { hasV6 } from "../run/network.ts";
import { placeOf } from "../run/place.ts";
import type { RunReport } from "../run/report.ts";
import { readOutcomes, type Plan } from "./agent.ts";
import { numberOf } from "./catalogue.ts";
import { newCanary, newToken } from "./canary.ts";
import { denialOf } from "./denial.ts";
import { judgeInRange, type Result } from "./judge.ts";
import { attackersZone, collectorOf, type Sites } from "./range/addresses.ts";
import { FarEnd } from "./range/far-end.ts";
import { Range } from "./range/range.ts";
import { sitesOf } from "./sites.ts";
import { unmetIn } from "./needs.ts";
import type { Fired, Shot, Technique } from "./technique.ts";

export interface SimulateOptions {
  techniques: readonly Technique[];
  policy: PolicyInForce;
  /** How this program is started: words before its arguments. */
  program: readonly string[];
  onProgress?: (text: string) => void;
  /** Ends the simulation early; then it rejects with the reason, and nothing is left. */
  signal?: AbortSignal;
}

/** The longest that one pass may take: patience, times the attempts in a row, and the start. */
const passMs = 180_000;
const stopMs = 20_000;
const patienceMs = 8_000;
/** A process that outlives its parent sends within this time, and packets arrive. */
const settleMs = 700;

/** Rejects with a SallyportError where the range or the firewall could not be set up. */
export async function simulate(options: SimulateOptions): Promise<Result[]> {
  checkHost();
  const say = options.onProgress ?? (() => {});
  say("making the range: a machine, and a world in which every address is the sink");
  const range = Range.create();
  try {
    return await inRange(range, options, say);
  } finally {
    range.remove();
  }
}

interface Pass {
  canaries: Map<string, string>;
  outcomes: Map<string, Fired>;
}

async function inRange(range: Range, options: SimulateOptions, say: (text: string) => void): Promise<Result[]> {
  const { techniques, policy, program, signal } = options;
  const token = newToken();
  const v6 = hasV6();
  // The first run in a namespace has the first slot.
  const sites = sitesOf(policy.loaded, placeOf(0, 0, false).v4.command);
  const child = range.spawn("world", [...program, "simulate", "range-sink"], ["ignore", "ignore", "inherit", "ipc"]);
  try {
    const sink = await FarEnd.start(child, { token, sites, v6 });
    const unmet = new Map(
      techniques.map((each) => [each.id, unmetIn(each, { sites, v6, zone: true, range: true, raw: true })]),
    );
    const fit = techniques.filter((each) => unmet.get(each.id) === null);
    say(`${fit.length} techniques without a firewall: each has to arrive`);
    const control = await pass("control", range, fit, { token, sites, v6, program, signal, policy: null });
    say(`the same behind sallyport run, policy ${policy.loaded.engine.hash.slice(0, 12)}`);
    range.resetHosts();
    const behind = await pass("behind", range, fit, { token, sites, v6, program, signal, policy });
    const testimony = await sink.testimony();
    const events = fit.length === 0 ? [] : readReport(range).events;
    return techniques.map((technique) =>
      judgeInRange({
        technique,
        unmet: unmet.get(technique.id)!,
        control: factsOf(control, technique.id),
        behind: factsOf(behind, technique.id),
        testimony,
        denial:
          unmet.get(technique.id) === null
            ? denialOf(events, technique, shotOf(range, technique, behind.canaries.get(technique.id)!, sites, v6))
            : null,
      }),
    );
  } finally {
    child.kill("SIGKILL");
  }
}

function factsOf({ canaries, outcomes }: Pass, id: string) {
  return { canary: canaries.get(id) ?? "", fired: outcomes.get(id) ?? null };
}

interface PassOptions {
  token: string;
  sites: Sites;
  v6: boolean;
  program: readonly string[];
  signal: AbortSignal | undefined;
  /** Null: no firewall. */
  policy: PolicyInForce | null;
}

async function pass(name: string, range: Range, fit: readonly Technique[], options: PassOptions): Promise<Pass> {
  const { token, sites, v6, program, signal, policy } = options;
  signal?.throwIfAborted();
  const file = (ending: string) => join(range.folder, `${name}.${ending}`);
  const canaries = new Map(fit.map(({ id }) => [id, newCanary(token, id)]));
  const plan: Plan = {
    results: file("results"),
    shots: fit.map((each) => ({ technique: each.id, shot: shotOf(range, each, canaries.get(each.id)!, sites, v6) })),
  };
  writeFileSync(plan.results, "");
  writeFileSync(file("plan"), JSON.stringify(plan), { mode: 0o600 });
  const agent = [...program, "simulate", "agent", file("plan")];
  let argv = agent;
  if (policy !== null) {
    writeFileSync(file("policy"), policy.text, { mode: 0o600 });
    const run = ["run", "--policy", file("policy"), "--report", reportFile(range), "--quiet"];
    argv = [...program, ...run, "--", ...agent];
  }
  if (fit.length > 0) await finish(range.spawn("host", argv, ["ignore", "ignore", "pipe"]), policy !== null, signal);
  await sleep(settleMs, undefined, signal === undefined ? {} : { signal });
  return { canaries, outcomes: readOutcomes(readFileSync(plan.results, "utf8")) };
}

/** Waits for the end of a pass; an aborted one is ended the way that lets it clean up. */
async function finish(child: ChildProcess, isGuarded: boolean, signal: AbortSignal | undefined): Promise<void> {
  let stderr = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(-4_000)));
  let hard: NodeJS.Timeout | undefined;
  const stop = () => {
    child.kill("SIGTERM");
    hard ??= setTimeout(() => child.kill("SIGKILL"), stopMs);
  };
  signal?.addEventListener("abort", stop);
  const late = setTimeout(stop, passMs);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    signal?.throwIfAborted();
    if (code === 0) return;
    const text = stderr.trim() || `exit code ${code}`;
    if (isGuarded && code === 4)
      throw new SallyportError("PLACE", `The firewall could not be set up in the range: ${text}`);
    throw new SallyportError("SIMULATION_FAILED", `The attempts ended early: ${text}`);
  } finally {
    clearTimeout(late);
    clearTimeout(hard);
    signal?.removeEventListener("abort", stop);
  }
}

const reportFile = (range: Range) => join(range.folder, "report.json");

function readReport(range: Range): RunReport {
  return JSON.parse(readFileSync(reportFile(range), "utf8")) as RunReport;
}

function shotOf(range: Range, { id }: Technique, canary: string, sites: Sites, v6: boolean): Shot {
  const n = numberOf(id);
  const collector = collectorOf(n);
  return {
    canary,
    collector: v6 ? collector : { ...collector, v6: null },
    zone: attackersZone,
    site: { ...sites, address: null },
    range: { namespace: range.host, hostsFile: range.hostsFile },
    sourcePort: 20_000 + n,
    patience: patienceMs,
  };
}
