/** What GitHub's listener is to a worker: its parent. Starts a worker for each job that is named on its input, and stays. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [, , worker, script] = process.argv;
setInterval(() => {}, 1_000_000);
for await (const job of createInterface({ input: process.stdin })) {
  const child = spawn(worker, [script, job], { stdio: ["ignore", "inherit", "inherit"] });
  await new Promise((done) =>
    child.on("exit", (code, signal) => done(writeFileSync(`${job}.exit`, `${code ?? signal}`))),
  );
}
