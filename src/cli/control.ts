/** `sallyport status`, `reload`, `flows` and `metrics`: questions to a running enforcer. */
import { styleText } from "node:util";
import type { Command } from "commander";
import type { FlowView, Status } from "../enforcer/status.ts";
import type { SinkStatus } from "../export/record.ts";
import { bytes } from "../run/report.ts";

interface ControlArguments {
  state: string;
  json?: true;
}

/** Loaded when it is needed: no other command speaks HTTP. */
async function ask<T>(state: string, method: "GET" | "POST", path: string): Promise<T> {
  const control = await import("../enforcer/control.ts");
  return control.ask<T>(state, method, path);
}

export function addControlCommands(program: Command): void {
  program
    .command("status")
    .description("What is enforced, since when, and how it goes. Exit 1 when degraded.")
    .requiredOption("-s, --state <dir>", "state directory")
    .option("--json", "as JSON")
    .action(async (options: ControlArguments) => {
      const status = await ask<Status>(options.state, "GET", "/status");
      console.log(options.json === true ? JSON.stringify(status) : statusText(status));
      if (status.state !== "enforcing") process.exitCode = 1;
    });
  program
    .command("reload")
    .description("Read the policy and the configuration again. Exit 2 when one does not load; its last good one stays.")
    .requiredOption("-s, --state <dir>", "state directory")
    .option("--json", "as JSON")
    .action(async (options: ControlArguments) => {
      const done = await ask<{ policy: string; ended: number; config: string | null }>(
        options.state,
        "POST",
        "/reload",
      );
      if (options.json === true) console.log(JSON.stringify(done));
      else console.log(reloadText(done));
    });
  program
    .command("flows")
    .description("Live connections, with their rule and bytes.")
    .requiredOption("-s, --state <dir>", "state directory")
    .option("--json", "as JSON, one a line")
    .action(async (options: ControlArguments) => {
      const flows = await ask<FlowView[]>(options.state, "GET", "/flows");
      if (options.json === true) for (const flow of flows) console.log(JSON.stringify(flow));
      else console.log(flows.length === 0 ? "No live connections." : flows.map(flowLine).join("\n"));
    });
  program
    .command("metrics")
    .description("Counters and levels in Prometheus' text format.")
    .requiredOption("-s, --state <dir>", "state directory")
    .action(async (options: { state: string }) => {
      const control = await import("../enforcer/control.ts");
      process.stdout.write(await control.askText(options.state, "/metrics"));
    });
}

function reloadText({ policy, ended, config }: { policy: string; ended: number; config: string | null }): string {
  const text = `Policy ${policy.slice(0, 12)} is in force; ${ended} connections were ended.`;
  return config === null ? text : `${text}\nConfiguration: ${config}.`;
}

function statusText(status: Status): string {
  const isWell = status.state === "enforcing";
  const head = process.stdout.isTTY ? styleText(isWell ? "green" : "red", status.state) : status.state;
  const { policy, config, decisions, data_path: path, flows, dns, record } = status;
  const unread = path.over_rate + path.kernel_drops + path.dns_drops;
  const lines = [
    `${head} since ${status.since} (pid ${status.pid}, ${status.version})`,
    ...status.problems.map((problem) => `  problem: ${problem}`),
    `policy    ${policy.hash.slice(0, 12)} from ${policy.file}, default ${policy.default_mode}, since ${policy.since}`,
    ...(policy.rejected === null ? [] : [`  rejected ${policy.rejected.at}: ${policy.rejected.message}`]),
    ...(config === null ? [] : [`config    ${config.file}, since ${config.since}`]),
    ...(config === null || config.rejected === null
      ? []
      : [`  rejected ${config.rejected.at}: ${config.rejected.message.replaceAll("\n", "\n    ")}`]),
    `${whereLine(status)}; ruleset ${status.ruleset}`,
    `decisions ${decisions.allowed} allowed, ${decisions.denied} denied, ${decisions.would_deny} would be denied; ${decisions.packets} packets`,
    ...(unread === 0 ? [] : [`unread    ${unread} packets refused unread: more than may be sent to be judged`]),
    ...(path.fragment_drops === 0 ? [] : [`fragments ${path.fragment_drops} datagrams could not be put together`]),
    `flows     ${flows.live} live, ${flows.undecided} undecided; ${status.bindings} bindings`,
    `dns       ${dns.queries} queries, ${dns.denied} denied, ${dns.cacheHits} from cache, ${dns.upstreamFailures} upstream failures`,
    `record    ${record.seq} events, ${bytes(record.bytes)}, head ${record.head.slice(0, 12)}, ${record.key === null ? "not signed" : `signed by ${record.key.slice(0, 16)}`}`,
    ...(record.lost === 0 ? [] : [`  lost     ${record.lost} events since the start, counted in the record`]),
    ...status.exports.map(sinkLine),
    `memory    ${bytes(status.memory.rss)}; ${status.threads.running} of ${status.threads.wanted} threads`,
  ];
  return lines.join("\n");
}

function sinkLine(sink: SinkStatus): string {
  const has = sink.lag === 0 ? `has all ${sink.seq}` : `${sink.lag} behind (${sink.lag_seconds} s)`;
  const error = sink.failing === 0 ? "" : `; failing (${sink.failing}): ${sink.last_error?.message ?? ""}`;
  const gone = sink.lost + sink.rejected === 0 ? "" : `; ${sink.lost} lost, ${sink.rejected} refused`;
  return `export    ${sink.name} to ${sink.to}: ${has}${gone}${error}`;
}

function flowLine(flow: FlowView): string {
  const where = `${flow.name ?? flow.destination}:${flow.destination_port}`;
  const counts = `${bytes(flow.bytes_up)} up, ${bytes(flow.bytes_down)} down`;
  return `${flow.since}  ${flow.source}:${flow.source_port} → ${where} ${flow.protocol}  ${flow.rule ?? "default"}  ${counts}`;
}

function whereLine({ stand, inside, outside, egress_guard: guard }: Status): string {
  if (stand === "links") return `inside    ${inside.join(", ")}; outside ${outside ?? "every other interface"}`;
  return `around    this machine; uplinks ${outside ?? ""}${guard === false ? "; packet sockets are not bounded" : ""}`;
}
