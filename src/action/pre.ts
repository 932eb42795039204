/**
 * The `pre` phase: before any step and, where the action is first, before any other action's `pre` has run (threat R7). Reads
 * inputs and policy, starts the agent, and says what was open before.
 */
import { dirname } from "node:path";
import { userInfo } from "node:os";
import type { AgentOrder } from "../machine/order.ts";
import { annotation, endGroup, group, RunnerFiles } from "./commands.ts";
import { controlPlaneOf } from "./control-plane.ts";
import { readContext } from "./event.ts";
import { readInputs, usualPolicy } from "./inputs.ts";
import { choosePolicy } from "./job-policy.ts";
import { launch } from "./launch.ts";

export interface PhaseContext {
  env: NodeJS.ProcessEnv;
  /** The bundle this runs from. */
  program: string;
  say: (line: string) => void;
}

/** What `pre` leaves for `main` and `post`. */
export interface Started {
  enabled: boolean;
  socket: string;
  mode: "enforce" | "monitor";
  degraded: string[];
  failOn: string[];
  summary: "always" | "findings" | "never";
}

/** Enforces when it resolves; whatever it throws must fail the job. */
export async function pre({ env, program, say }: PhaseContext): Promise<Started> {
  const began = performance.now();
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
  const { policy, from, proposal, notices } = await choosePolicy(inputs, context, new Date());
  for (const notice of notices) say(annotation("notice", notice, { title: "Sallyport" }));
  for (const { code, message, line } of policy.loaded.warnings) {
    // True of a gateway: here processes are known.
    if (code === "needs_process") continue;
    say(annotation("warning", message, { title: "Sallyport policy", file: policyPath, line }));
  }
  const { uid, username } = userInfo();
  const order: AgentOrder = {
    schema: "sallyport.agent-order/1",
    state: `/var/lib/sallyport/${context.runId || "job"}-${context.runAttempt || "1"}-${process.pid}`,
    job: {
      repository: context.repository,
      workflow: context.workflow,
      job: context.job,
      run_id: context.runId,
      run_attempt: context.runAttempt,
      runner: context.runner,
    },
    policy: { text: policy.text, file: policy.file, from },
    user: { name: username, uid },
    root: inputs.root,
    worker: process.ppid > 1 ? process.ppid : null,
    control_plane: controlPlaneOf(env),
    secrets: inputs.token === "" ? [] : [inputs.token],
    own: [dirname(dirname(program))],
    workspace: env["GITHUB_WORKSPACE"] ?? null,
    file_monitoring: inputs.fileMonitoring,
    self_test: inputs.selfTest,
    summary: { policy_path: policyPath, proposal, fail_on: [...inputs.failOn] },
    ...(context.workflowFile === null ? {} : { workflow_file: context.workflowFile }),
    ...(inputs.signKey === null ? {} : { sign_key: inputs.signKey }),
  };
  const answer = await launch(program, order, uid);
  const word = inputs.mode === "enforce" ? "enforcing" : "watching";
  say(group(`Sallyport is ${word} this job (${Math.round(performance.now() - began)} ms)`));
  say(`policy ${policy.loaded.engine.hash.slice(0, 12)} from ${from}`);
  for (const measure of answer.measures) say(measure);
  for (const limit of answer.limits) say(`cannot be promised here: ${limit}`);
  for (const { ip, port, exe, kept } of answer.earlier) {
    say(`open before: ${ip}:${port} by ${exe ?? "an unknown process"}, ${kept ? "kept" : "ended"}`);
  }
  say(endGroup);
  for (const problem of answer.degraded) say(annotation("warning", problem, { title: "Sallyport is degraded" }));
  if (proposal !== null) {
    say(
      annotation(
        "notice",
        `This pull request changes ${policyPath}; the base branch's policy counts. The summary has the difference.`,
        { title: "Sallyport policy" },
      ),
    );
  }
  return finish(env, { ...base, enabled: true, socket: answer.socket, degraded: answer.degraded });
}

function finish(env: NodeJS.ProcessEnv, started: Started): Started {
  new RunnerFiles(env).state("started", JSON.stringify(started));
  return started;
}
