/** `sallyport simulate`: the arguments, the exit codes, and what people see of a simulation. */
import { release } from "node:os";
import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { SallyportError } from "../errors.ts";
import { version } from "../version.ts";
import { collect } from "./options.ts";
import type { Circumstances, Simulation } from "../simulate/outcome.ts";

interface SimulateArguments {
  list?: true;
  only: string[];
  policy?: string;
  report?: string;
  json?: true;
  acceptInconclusive?: true;
  quiet?: true;
}

/** How this program is started, for the processes of a simulation. */
export const program = (): string[] => [process.execPath, "--disable-warning=ExperimentalWarning", process.argv[1]!];

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
    .action(async (options: SimulateArguments) => {
      process.exitCode = await run(options);
    });
  simulate
    .command("agent", { hidden: true })
    .argument("<plan>")
    .action(async (plan: string) => (await import("../simulate/agent.ts")).runPlan(plan));
  simulate
    .command("range-sink", { hidden: true })
    .action(async () => (await import("../simulate/range/far-end.ts")).serveRange());
}

async function run(options: SimulateArguments): Promise<number> {
  const { choose, listJson } = await import("../simulate/catalogue.ts");
  const techniques = choose(options.only);
  if (options.list === true) {
    const { listText } = await import("../simulate/report.ts");
    console.log(options.json === true ? JSON.stringify(listJson(techniques)) : listText(techniques));
    return 0;
  }
  const [{ loadText, loadFile }, { demonstration }, { simulate }] = await Promise.all([
    import("../enforcer/policy-source.ts"),
    import("../simulate/sites.ts"),
    import("../simulate/simulate.ts"),
  ]);
  const policy = options.policy === undefined ? loadText(demonstration, "demonstration") : loadFile(options.policy);
  const stop = new AbortController();
  const handled = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  let received: (typeof handled)[number] | null = null;
  const handlers = handled.map((signal) => {
    const handle = () => {
      received ??= signal;
      stop.abort();
    };
    process.on(signal, handle);
    return () => process.off(signal, handle);
  });
  const started = new Date();
  try {
    const results = await simulate({
      techniques,
      policy,
      program: program(),
      signal: stop.signal,
      onProgress: say(options),
    });
    const { loaded, file } = policy;
    return await conclude(options, results, {
      ...circumstances(started),
      mode: "range",
      policy: { file, hash: loaded.engine.hash, mode: loaded.policy.default.mode },
      sink: null,
    });
  } catch (error) {
    if (received === null) throw error;
    return received === "SIGINT" ? 130 : received === "SIGTERM" ? 143 : 129;
  } finally {
    for (const release of handlers) release();
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
  results: Parameters<typeof import("../simulate/outcome.ts").simulationOf>[1],
  about: Circumstances,
): Promise<number> {
  const [{ exitCodeOf, simulationOf }, { simulationMarkdown, simulationText }] = await Promise.all([
    import("../simulate/outcome.ts"),
    import("../simulate/report.ts"),
  ]);
  const simulation: Simulation = simulationOf(about, results);
  const colour = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
  console.log(options.json === true ? JSON.stringify(simulation) : simulationText(simulation, colour));
  if (options.report !== undefined) write(options.report, simulationMarkdown(simulation));
  return exitCodeOf(simulation, options.acceptInconclusive === true);
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new SallyportError(
      "USAGE",
      `The report cannot be written to ${file}: ${(error as Error).message}.`,
      {},
      error,
    );
  }
}
