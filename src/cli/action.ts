/**
 * What the action's bundle begins with: the phase the runner asks for, the agent and its installer, or a thread of the agent.
 * One file is all of them, because an action is installed by being checked out.
 */
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";
import { SallyportError, errorTable } from "../errors.ts";
import type { PhaseContext } from "../action/pre.ts";

const here = new URL(import.meta.url);

/** Runs a phase to its end. A failure is an error in the log and a failed job. */
export async function phase(name: "pre" | "main" | "post"): Promise<void> {
  const [{ pre }, { main }, { post }, { annotation, logLine }] = await Promise.all([
    import("../action/pre.ts"),
    import("../action/main.ts"),
    import("../action/post.ts"),
    import("../action/commands.ts"),
  ]);
  const context: PhaseContext = {
    env: process.env,
    program: fileURLToPath(new URL("./sallyport.mjs", here)),
    say: (line) => void process.stdout.write(`${logLine(line)}\n`),
  };
  try {
    const isFine =
      name === "post" ? await post(context) : (await (name === "pre" ? pre(context) : main(context)), true);
    if (!isFine) process.exitCode = 1;
  } catch (error) {
    const isOurs = error instanceof SallyportError;
    const help = errorTable[isOurs ? error.code : "INTERNAL"].help;
    const message = isOurs ? error.message : String((error as Error).stack ?? error);
    context.say(annotation("error", `${message}\n${help}`, { title: "Sallyport" }));
    process.exitCode = 1;
  }
}

/** What a thread of the agent runs. */
export async function thread(name: "queue-worker" | "conntrack-worker"): Promise<void> {
  if (name === "queue-worker") await import("../datapath/queue-worker.ts");
  else await import("../datapath/conntrack-worker.ts");
}

const [, , what, file] = isMainThread ? process.argv : [];
if (what === "agent-install") await (await import("../machine/install.ts")).install();
else if (what === "agent") {
  const [{ agent }, { summarise }] = await Promise.all([import("../machine/agent.ts"), import("../action/summary.ts")]);
  await agent(file!, summarise, (code) => process.exit(code));
} else if (what === "agent-self-test") {
  const { selfTestHere } = await import("../machine/self-test.ts");
  process.stdout.write(JSON.stringify(await selfTestHere(file!, process.stdin)));
}
