/**
 * Loaded into a gateway's process before its program (`node --import`), by bench/ingest.ts and nothing else: the gateway itself is
 * the product's, unchanged, and knows nothing of this. It adds one thread (`flood-thread.ts`), whose messages are the ones that
 * data-path threads send, and hands each to the listeners of the gateway's own threads in the moment it arrives.
 *
 * So an added event goes where a real one goes from the thread that judged it to the disk: the product's own `Outbox`, structured
 * clone, the main thread's event loop, `DataPath`, `LiveFlows` with its ledger and budgets, `Journal` with detections and tally, the
 * recorder's thread. Not in it: packets, the
 * kernel's queue, the judgement, the kernel's notices of ended connections; and no flow behind it is in the kernel's table.
 *
 * stdin: `rate N`, events a second (0: none). Each is answered on stdout with what was offered and handed over so far.
 */
import { createInterface } from "node:readline";
import { isMainThread, Worker } from "node:worker_threads";
import type { Progress } from "../../src/audit/progress.ts";
import type { FromConntrack, FromWorker, QueueWorkerData } from "../../src/datapath/messages.ts";
import { HANDLED, HELD_BACK, OFFERED, RATE, type FloodCounts } from "./flood-counts.ts";

type Message = FromWorker | FromConntrack;

function flood(): void {
  /** The gateway's threads, and the one of them that judges packets and says so first. */
  const threads: Worker[] = [];
  let judge: { worker: Worker; last: Extract<FromWorker, { kind: "settled" }> } | null = null;
  let flooding: Worker | null = null;
  let recorded: Progress | null = null;
  const counts: FloodCounts = new Int32Array(new SharedArrayBuffer(16));

  // What a data-path thread is set up with says where it sees how far the record is behind.
  // oxlint-disable-next-line typescript/unbound-method -- called with its own `this`
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function (this: Worker, message: Partial<QueueWorkerData> | null, ...rest) {
    recorded = message?.recorded ?? recorded;
    postMessage.call(this, message, ...rest);
  } as typeof postMessage;

  process.on("worker", (worker: Worker) => {
    if (worker === flooding) return;
    threads.push(worker);
    worker.on("message", (message: Message) => {
      if (message.kind === "settled" && (judge === null || judge.worker === worker)) judge = { worker, last: message };
    });
  });

  /** What this thread counts stays what the real one counted last. */
  function handOver(message: Message): void {
    if (message.kind === "settled") {
      // As `DataPath` tells its threads, whose own count is a little too high for it while the flood lasts.
      setImmediate(() => {
        Atomics.add(counts, HANDLED, 1);
        Atomics.notify(counts, HANDLED);
      });
      const { worker, last } = judge!;
      const { statistics, verdictTimes } = last;
      worker.emit("message", { ...message, statistics, verdictTimes } satisfies FromWorker);
    } else {
      // Whoever waits for ended connections takes it; to a thread that judges packets it says nothing.
      for (const worker of threads) if (worker !== judge!.worker) worker.emit("message", message);
    }
  }

  function setRate(rate: number): void {
    if (judge === null) throw new Error("no packet was judged yet: make a connection first");
    const policy = process.argv[process.argv.indexOf("--policy") + 1]!;
    if (flooding === null) {
      const file = new URL("./flood-thread.ts", import.meta.url);
      flooding = new Worker(file, { workerData: { counts, policy, recorded }, execArgv: [] });
      flooding.on("message", handOver);
      flooding.unref();
    }
    Atomics.store(counts, RATE, rate);
    Atomics.notify(counts, RATE);
  }

  createInterface(process.stdin).on("line", (line) => {
    setRate(Number(/^rate (\d+)$/.exec(line)![1]));
    const [offered, heldBack] = [counts[OFFERED]!, counts[HELD_BACK]!];
    process.stdout.write(`${JSON.stringify({ offered, heldBack, handled: counts[HANDLED]! })}\n`);
  });
  process.stdin.unref();
}

// Threads load what their process was told to load.
if (isMainThread) flood();
