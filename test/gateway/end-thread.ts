/** Loaded into a gateway's process before its program: at SIGUSR2 its DNS firewall's thread ends, as by a defect of ours. */
import { isMainThread, type Worker } from "node:worker_threads";

// Threads load what their process was told to load.
if (isMainThread) {
  let dns: Worker | null = null;
  process.on("worker", (worker: Worker) => {
    if (worker.threadName === "dns-worker") dns = worker;
  });
  process.on("SIGUSR2", () => void dns?.terminate());
}
