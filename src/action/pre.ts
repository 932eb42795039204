/**
 * The `pre` phase: before any step and, where the action is first, before any other action's `pre` has run (threat R7). Reads
 * inputs and policy, starts the agent, and says what was open before.
 */
import { dirname } from "node:path";
import { userInfo } from "node:os";
import type { AgentAnswer, AgentOrder } from "../machine/order.ts";
import { partsText, Stopwatch } from "../machine/stopwatch.ts";
import { annotation, endGroup, group, RunnerFiles } from "./commands.ts";
import { controlPlaneOf } from "./control-plane.ts";
import { readContext } from "./event.ts";
import { readInputs, usualPolicy } from "./inputs.ts";
import { policyFiles } from "./job-files.ts";
import type { JobPolicy } from "./job-policy.ts";
import { Launch } from "./launch.ts";
import { begun, type PhaseContext, type Started } from "./phase.ts";

/** Where agents have their folders. */
const stateFolder = "/var/lib/sallyport";

/** Enforces when it resolves; whatever it throws must fail the job. */
export async function pre({ env, program, say }: PhaseContext): Promise<Started> {
  const began = performance.now();
  const watch = new Stopwatch();
  watch.lap("node and bundle");
  new RunnerFiles(env).state(begun, "true");
  const inputs = readInputs(env);
  const policyPath = inputs.policy ?? usualPolicy;
  const base = { mode: inputs.mode, failOn: [...inputs.failOn], summary: inputs.summary };
  for (const notice of inputs.notices) say(annotation("notice", notice, { title: "Sallyport" }));
  if (!inputs.enabled) {
    say(
      annotation("warning", "Switched off by `enabled: false`: nothing is watched or refused.", { title: "Sallyport" }),
    );
    return finish(env, { ...base, enabled: false, socket: "", degraded: [] });
  }
  const context = readContext(env);
  const { uid, username } = userInfo();
  const state = `${stateFolder}/${context.runId || "job"}-${context.runAttempt || "1"}-${process.pid}`;
  const started = new Launch(program, state, uid);
  let chosen: JobPolicy;
  let answer: AgentAnswer & { ready: true };
  try {
    // What is asked for is on its way while the modules that read it are loaded.
    const files = policyFiles(inputs, context);
    watch.lap("launch");
    const { choosePolicy } = await import("./job-policy.ts");
    watch.lap("modules");
    chosen = await choosePolicy(inputs, context, files, new Date());
    watch.lap("policy");
    const order: AgentOrder = {
      schema: "sallyport.agent-order/1",
      state,
      job: {
        repository: context.repository,
        workflow: context.workflow,
        job: context.job,
        run_id: context.runId,
        run_attempt: context.runAttempt,
        runner: context.runner,
      },
      policy: { text: chosen.policy.text, file: chosen.policy.file, from: chosen.from },
      user: { name: username, uid },
      root: inputs.root,
      worker: process.ppid > 1 ? process.ppid : null,
      control_plane: controlPlaneOf(env),
      secrets: inputs.token === "" ? [] : [inputs.token],
      own: [dirname(dirname(program))],
      workspace: env["GITHUB_WORKSPACE"] ?? null,
      file_monitoring: inputs.fileMonitoring,
      self_test: inputs.selfTest,
      step: env["GITHUB_ACTION"] ?? "",
      summary: { policy_path: policyPath, proposal: chosen.proposal, fail_on: [...inputs.failOn] },
      ...(context.workflowFile === null ? {} : { workflow_file: context.workflowFile }),
      ...(inputs.signKey === null ? {} : { sign_key: inputs.signKey }),
    };
    answer = await started.order(order);
  } catch (error) {
    await started.abandon();
    throw error;
  }
  watch.lap("agent");
  tellOf(chosen, policyPath, say);
  const word = inputs.mode === "enforce" ? "enforcing" : "watching";
  say(group(`Sallyport is ${word} this job (${Math.round(performance.now() - began)} ms)`));
  say(`policy ${chosen.policy.loaded.engine.hash.slice(0, 12)} from ${chosen.from}`);
  for (const measure of answer.measures) say(measure);
  for (const limit of answer.limits) say(`cannot be promised here: ${limit}`);
  for (const { ip, port, exe, kept } of answer.earlier) {
    say(`open before: ${ip}:${port} by ${exe ?? "an unknown process"}, ${kept ? "kept" : "ended"}`);
  }
  if (env["RUNNER_DEBUG"] === "1") {
    for (const [who, parts] of [["pre", watch.parts], ...Object.entries(answer.parts)] as const)
      say(`::debug::ms of wall time (of processors): ${partsText(who, parts)}`);
  }
  say(endGroup);
  for (const problem of answer.degraded) say(annotation("warning", problem, { title: "Sallyport is degraded" }));
  return finish(env, {
    ...{ ...base, enabled: true, socket: answer.socket, degraded: answer.degraded },
  });
}

function tellOf({ notices, policy, proposal }: JobPolicy, policyPath: string, say: PhaseContext["say"]): void {
  for (const notice of notices) say(annotation("notice", notice, { title: "Sallyport" }));
  for (const { code, message, line } of policy.loaded.warnings) {
    // True of a gateway: here processes are known.
    if (code === "needs_process") continue;
    say(annotation("warning", message, { title: "Sallyport policy", file: policyPath, line }));
  }
  if (proposal === null) return;
  say(
    annotation(
      "notice",
      `This pull request changes ${policyPath}; the base branch's policy counts. The summary has the difference.`,
      { title: "Sallyport policy" },
    ),
  );
}

function finish(env: NodeJS.ProcessEnv, started: Started): Started {
  new RunnerFiles(env).state("started", JSON.stringify(started));
  return started;
}
