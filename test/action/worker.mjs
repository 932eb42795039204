/**
 * What GitHub's runner does with a job, as far as a job can tell: run by a program called Runner.Worker, it starts every step as
 * a direct child, with the runner's variables and files (actions/runner, src/Runner.Worker: ActionRunner, HandlerFactory,
 * FileCommandManager). `pre` of every action first, then the steps in order, then `post` in reverse, also after a failure.
 *
 * Reads a job from the file named by its argument, writes results beside it. Plain JavaScript: it runs on the Node that an
 * action is told to run on.
 */
import { spawn } from "node:child_process";
import https from "node:https";
import { mkdirSync, readFileSync, writeFileSync, existsSync } from "node:fs";
import { join } from "node:path";

const job = JSON.parse(readFileSync(process.argv[2], "utf8"));
const results = [];
const states = new Map();
const outputs = new Map();
const jobEnv = {};
let summary = "";
let failed = false;
let cancelled = false;
let files = 0;

const base = {
  PATH: job.path ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: job.home,
  CI: "true",
  GITHUB_ACTIONS: "true",
  RUNNER_OS: "Linux",
  RUNNER_ARCH: process.arch === "x64" ? "X64" : "ARM64",
  RUNNER_NAME: "test runner",
  RUNNER_TEMP: join(job.work, "_temp"),
  RUNNER_TRACKING_ID: "github_test",
  GITHUB_WORKSPACE: job.workspace,
  ...job.env,
};

mkdirSync(base.RUNNER_TEMP, { recursive: true });

function fileCommands(text) {
  const values = new Map();
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const heredoc = /^([^=<]+)<<(.+)$/.exec(lines[i]);
    if (heredoc !== null) {
      const value = [];
      for (i++; i < lines.length && lines[i] !== heredoc[2]; i++) value.push(lines[i]);
      values.set(heredoc[1], value.join("\n"));
    } else if (lines[i].includes("=")) {
      const at = lines[i].indexOf("=");
      values.set(lines[i].slice(0, at), lines[i].slice(at + 1));
    }
  }
  return values;
}

/** Starts a direct child, as the runner's user, and waits for it and its output. */
async function execute(phase, step, argv, env) {
  const commands = {};
  for (const name of ["GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY", "GITHUB_ENV", "GITHUB_PATH"]) {
    commands[name] = join(base.RUNNER_TEMP, `_runner_file_commands_${name.toLowerCase()}_${++files}`);
    writeFileSync(commands[name], "");
  }
  const began = performance.now();
  const child = spawn(argv[0], argv.slice(1), {
    cwd: existsSync(job.workspace) ? job.workspace : "/",
    env: { ...base, ...jobEnv, GITHUB_ACTION: step.id, ...commands, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const timer = setTimeout(() => child.kill("SIGKILL"), job.timeout ?? 60_000);
  const cancelling = phase === "main" && job.cancel !== undefined && !cancelled ? cancelWhenAsked(child) : null;
  // Not "close": what a step leaves running may hold its output for ever, and the runner does not wait for it.
  const status = await new Promise((done) => {
    child.on("error", (error) => {
      output += String(error);
      done(127);
    });
    child.on("exit", (code, signal) => done(code ?? `signal ${signal}`));
  });
  clearTimeout(timer);
  clearInterval(cancelling);
  await new Promise((done) => setTimeout(done, 50));
  child.stdout.destroy();
  child.stderr.destroy();
  const read = (name) => readFileSync(commands[name], "utf8");
  const saved = fileCommands(read("GITHUB_STATE"));
  states.set(step.id, new Map([...(states.get(step.id) ?? []), ...saved]));
  const said = Object.fromEntries(fileCommands(read("GITHUB_OUTPUT")));
  outputs.set(step.id, { ...outputs.get(step.id), ...said });
  for (const [name, value] of fileCommands(read("GITHUB_ENV"))) jobEnv[name] = value;
  summary += read("GITHUB_STEP_SUMMARY");
  if (status !== 0 && phase !== "pre" && step.continueOnError === true && !cancelled) {
    results.push({ phase, step: step.id, status, output, milliseconds: performance.now() - began, pid: child.pid });
    return;
  }
  if (status !== 0) failed = true;
  results.push({ phase, step: step.id, status, output, milliseconds: performance.now() - began, pid: child.pid });
}

/**
 * What the runner does to the step that runs when somebody cancels the job: SIGINT, after a while SIGTERM, after another one SIGKILL to
 * all it started (actions/runner, src/Runner.Sdk/ProcessInvoker.cs; 7.5 s and 2.5 s there).
 */
function cancelWhenAsked(child) {
  const signals = ["SIGINT", "SIGTERM", "SIGKILL"];
  let due = 0;
  return setInterval(() => {
    if (!cancelled && !existsSync(job.cancel.when)) return;
    cancelled = true;
    if (performance.now() < due || signals.length === 0) return;
    const signal = signals.shift();
    due = performance.now() + job.cancel.grace;
    child.kill(signal);
  }, 20);
}

function actionEnv(step) {
  const inputs = Object.entries(step.with ?? {}).map(([name, value]) => [
    `INPUT_${name.replaceAll(" ", "_").toUpperCase()}`,
    String(value),
  ]);
  const state = [...(states.get(step.id) ?? [])].map(([name, value]) => [`STATE_${name}`, value]);
  return {
    GITHUB_ACTION_PATH: step.folder,
    GITHUB_ACTION_REPOSITORY: step.action ?? "",
    GITHUB_ACTION_REF: step.ref ?? "v1",
    ...job.actionEnv,
    ...Object.fromEntries([...inputs, ...state]),
    ...step.env,
  };
}

const actions = job.steps.filter((step) => step.action !== undefined);
for (const step of actions) {
  if (step.pre) await execute("pre", step, [job.node, join(step.folder, step.pre)], actionEnv(step));
}
const begun = [];
for (const step of job.steps) {
  if ((failed || cancelled) && step.always !== true) continue;
  begun.push(step);
  if (step.action !== undefined) await execute("main", step, [job.node, join(step.folder, step.main)], actionEnv(step));
  else {
    const script = join(base.RUNNER_TEMP, `${step.id}.sh`);
    writeFileSync(script, step.run);
    const argv = step.shell ?? ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"];
    await execute("main", step, [...argv, script], { ...step.env });
  }
}
for (const step of actions.toReversed()) {
  // A post is run where its main or its pre was.
  if (step.post !== undefined && (begun.includes(step) || step.pre)) {
    await execute("post", step, [job.node, join(step.folder, step.post)], actionEnv(step));
  }
}

/** The worker sends logs and results itself, when the last step has ended. */
function upload({ url, ca }) {
  return new Promise((done) => {
    const request = https.request(url, { method: "PUT", ca: readFileSync(ca), timeout: 5_000 }, (response) => {
      response.resume();
      done(response.statusCode);
    });
    request.on("timeout", () => request.destroy(new Error("no answer")));
    request.on("error", (error) => done(error.message));
    request.end("log");
  });
}

if (job.lasting) await new Promise((done) => setTimeout(done, 20_000));
const uploaded = await upload(job.upload);
writeFileSync(
  `${process.argv[2]}.result`,
  JSON.stringify({
    failed: failed || cancelled,
    cancelled,
    results,
    summary,
    uploaded,
    outputs: Object.fromEntries(outputs),
  }),
);
