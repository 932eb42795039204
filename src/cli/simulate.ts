/** `sallyport simulate`: the arguments, the exit codes, and what people see of a simulation. */
import { closeSync, fstatSync, ftruncateSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import type { Command } from "commander";
import { SallyportError } from "../errors.ts";
import type { Result } from "../simulate/judge.ts";
import type { Circumstances } from "../simulate/outcome.ts";
import type { Technique } from "../simulate/technique.ts";
import { version } from "../version.ts";
import { collect } from "./options.ts";
import { addSinkCommand } from "./simulate-sink.ts";
import { tokenOf } from "./simulate-token.ts";

interface SimulateArguments {
  list?: true;
  only: string[];
  policy?: string;
  report?: string;
  json?: true;
  acceptInconclusive?: true;
  quiet?: true;
  live?: true;
  sink: string[];
  tokenFile?: string;
  allowed?: string;
  allowedHttp?: string;
  zone?: string;
  testimony?: string;
  selfTest?: true;
  state?: string;
  /** The report, opened before anything else: as the user behind sudo, and a bad path is known at once. */
  reportTo?: number;
}

export function addSimulateCommand(parent: Command): void {
  const simulate = parent
    .command("simulate")
    .description("Try real exfiltration techniques, safely, and say which got out.")
    .option("-l, --list", "the techniques, and nothing else")
    .option("-o, --only <id>", "only this technique (repeatable)", collect, [])
    .option("-p, --policy <file>", "the policy to try; default: one for demonstration")
    .option("-r, --report <file.md>", "write the report that an auditor keeps")
    .option("--json", "as JSON")
    .option("--accept-inconclusive", "exit 0 also where something could not be judged")
    .option("-q, --quiet", "no progress")
    .option("--live", "from here, behind whatever firewall there is, to a sink of yours")
    .option("--sink <host[:ports]>", "the sink: its name, its addresses (repeatable)", collect, [])
    .option("--token-file <file>", "the sink's token; or in SALLYPORT_SINK_TOKEN")
    .option("--allowed <name>", "a name that the firewall allows; shown to the sink as SNI, never contacted")
    .option("--allowed-http <name>", "the same for Host over plain HTTP")
    .option("--zone <domain>", "a domain that is delegated to the sink")
    .option("--testimony <file|url>", "where the sink's testimony is, if it cannot be asked from here")
    .option("--self-test", "a few refusals, tried here and judged by an enforcer's own record; under 2 s")
    .option("-s, --state <dir>", "the enforcer's state directory, for --self-test")
    .addHelpText(
      "after",
      `
Examples:
  sudo sallyport simulate                                     a range of its own, a policy for demonstration
  sudo sallyport simulate --policy sallyport.yaml --report simulation.md
  sallyport simulate --live --sink sink.example.com --token-file token
  sallyport simulate --self-test --state /var/lib/sallyport

Exit codes: 0 all that should be blocked was, 3 something reached that should not,
1 something could not be judged (or our failure), 2 usage, 4 the range could not be set up`,
    )
    .action(async (options: SimulateArguments) => {
      process.exitCode = await run(options);
    });
  addSinkCommand(simulate);
  simulate
    .command("agent", { hidden: true })
    .argument("<plan>")
    .action(async (plan: string) => (await import("../simulate/agent.ts")).runPlan(plan));
  simulate
    .command("range-sink", { hidden: true })
    .action(async () => (await import("../simulate/range/far-end.ts")).serveRange());
}

async function run(options: SimulateArguments): Promise<number> {
  if (options.selfTest === true) return selfTest(options);
  const { choose, listJson } = await import("../simulate/catalogue.ts");
  const techniques = choose(options.only);
  if (options.list === true) {
    const { listText } = await import("../simulate/report.ts");
    console.log(options.json === true ? JSON.stringify(listJson(techniques)) : listText(techniques));
    return 0;
  }
  if (options.live !== true && options.sink.length > 0) throw new SallyportError("USAGE", "--sink goes with --live.");
  if (options.report !== undefined) {
    const [{ openReport }, { invokingUser }] = await Promise.all([
      import("../run/folder.ts"),
      import("../run/user.ts"),
    ]);
    options.reportTo = openReport(options.report, invokingUser(process.env));
  }
  return stoppable((signal) => (options.live === true ? live : inRange)(options, techniques, signal));
}

async function inRange(options: SimulateArguments, techniques: readonly Technique[], signal: AbortSignal) {
  const [{ loadFile, loadText }, { demonstration }, { simulate }] = await Promise.all([
    import("../enforcer/policy-source.ts"),
    import("../simulate/sites.ts"),
    import("../simulate/simulate.ts"),
  ]);
  const policy = options.policy === undefined ? loadText(demonstration, "demonstration") : loadFile(options.policy);
  const program = [process.execPath, "--disable-warning=ExperimentalWarning", process.argv[1]!];
  const started = new Date();
  const results = await simulate({ techniques, policy, program, signal, onProgress: say(options) });
  const { loaded, file } = policy;
  const about = { file, hash: loaded.engine.hash, mode: loaded.policy.default.mode };
  return conclude(options, results, { ...circumstances(started), mode: "range", policy: about, sink: null });
}

async function live(options: SimulateArguments, techniques: readonly Technique[], signal: AbortSignal) {
  if (options.sink.length === 0) {
    throw new SallyportError("USAGE", "--live needs --sink: a server of yours that runs `sallyport simulate sink`.");
  }
  if (options.policy !== undefined) {
    throw new SallyportError("USAGE", "--policy has no meaning with --live: what stands here is what is tried.");
  }
  // What only a range can try is left out, unless it was asked for by its id: then it is said to be inconclusive.
  const isAsked = options.only.length > 0;
  const tried = techniques.filter(({ needs }) => isAsked || !needs.includes("range"));
  const token = tokenOf(options.tokenFile);
  if (token === null) throw new SallyportError("USAGE", "--live needs the sink's token: --token-file FILE.");
  const { simulateLive } = await import("../simulate/live.ts");
  const { sink, testimony = null, zone = null, allowed: tls = null, allowedHttp: http = null } = options;
  const started = new Date();
  const results = await simulateLive({
    ...{ techniques: tried, sink, token, zone, testimony, signal },
    allowed: { tls, http },
    onProgress: say(options),
  });
  const about = { ...circumstances(started), mode: "live", policy: null, sink: sink.join(", ") } as const;
  return conclude(
    options,
    results,
    about,
    techniques.filter((each) => !tried.includes(each)),
  );
}

async function selfTest(options: SimulateArguments): Promise<number> {
  if (options.state === undefined) {
    throw new SallyportError("USAGE", "--self-test needs --state DIR: the enforcer's own record is the only proof.");
  }
  const { selfTest } = await import("../simulate/self-test.ts");
  const result = await selfTest({ state: options.state });
  if (options.json === true) console.log(JSON.stringify(result));
  else {
    for (const { id, held, why } of result.checks) console.log(`${held ? "held" : "NOT HELD"}  ${id}: ${why}`);
    console.log(`${result.held ? "The enforcer refused all of it" : "Not proven to be enforcing"}, ${result.ms} ms.`);
  }
  return result.held ? 0 : 3;
}

/** Ctrl-C ends a simulation early; what it made is taken away first. */
async function stoppable(work: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const codes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
  const stop = new AbortController();
  let code: number | null = null;
  const undo = (Object.keys(codes) as (keyof typeof codes)[]).map((signal) => {
    const handle = () => {
      code ??= codes[signal];
      stop.abort();
    };
    process.on(signal, handle);
    return () => process.off(signal, handle);
  });
  try {
    return await work(stop.signal);
  } catch (error) {
    if (code === null) throw error;
    return code;
  } finally {
    for (const each of undo) each();
  }
}

function say(options: SimulateArguments): (text: string) => void {
  return (text) => {
    if (options.quiet !== true) process.stderr.write(`sallyport: ${text} …\n`);
  };
}

function circumstances(started: Date): Omit<Circumstances, "mode" | "policy" | "sink"> {
  const machine = { kernel: release(), architecture: process.arch, node: process.versions.node };
  return { version, started: started.toISOString(), ended: new Date().toISOString(), machine };
}

async function conclude(
  options: SimulateArguments,
  results: readonly Result[],
  about: Circumstances,
  leftOut: readonly Technique[] = [],
): Promise<number> {
  const [{ exitCodeOf, simulationOf }, { simulationMarkdown, simulationText }] = await Promise.all([
    import("../simulate/outcome.ts"),
    import("../simulate/report.ts"),
  ]);
  const simulation = simulationOf(about, results, leftOut);
  const colour = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
  console.log(options.json === true ? JSON.stringify(simulation) : simulationText(simulation, colour));
  if (options.reportTo !== undefined) {
    const bytes = Buffer.from(simulationMarkdown(simulation));
    writeFileSync(options.reportTo, bytes);
    // A pipe or a terminal has no length to cut.
    if (fstatSync(options.reportTo).isFile()) ftruncateSync(options.reportTo, bytes.length);
    closeSync(options.reportTo);
  }
  return exitCodeOf(simulation, options.acceptInconclusive === true);
}
