/** What GitHub's listener is to a worker: its parent. Starts the worker of one job, and stays as a service would. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";

const [, , worker, script, job] = process.argv;
const child = spawn(worker, [script, job], { stdio: "inherit" });
child.on("exit", (code, signal) => writeFileSync(`${job}.exit`, String(code ?? signal)));
setInterval(() => {}, 1_000_000);
