/**
 * The observer's thread: a process table of its own and a blocking loop, because what it looks at lives for milliseconds, and the
 * agent's main thread has files, rules and sockets to look after.
 */
import { type MessagePort, parentPort, receiveMessageOnPort } from "node:worker_threads";
import { Waiter } from "../kernel/wait.ts";
import { ProcessTable } from "../process/table.ts";
import type { FromObserver, ObserverData, ToObserver } from "./observer-messages.ts";
import { Observer } from "./observer.ts";

/** News are waited for this long, and gathered for a moment, ms. */
const waitMs = 200;
const gatherMs = 1;

function run(port: MessagePort, { worker, secrets, notes, workspace, beginning, types }: ObserverData): void {
  const post = (message: FromObserver) => port.postMessage(message);
  const begun = beginning === undefined ? {} : { beginning };
  const table = new ProcessTable({ ...(worker === null ? {} : { worker }), secrets, notes, ...begun });
  const known = types === undefined ? {} : { types };
  const observer = new Observer(table, { workspace, ...known, record: (event) => post({ kind: "record", event }) });
  const waiter = new Waiter([table.fd]);
  post({ kind: "ready", wake: waiter.wakeDescriptor, limits: [...observer.limits] });
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let isOver = false; !isOver;) {
    waiter.wait(waitMs);
    observer.round();
    for (let received; (received = receiveMessageOnPort(port)) !== undefined;) {
      const message = received.message as ToObserver;
      if (message.kind === "connected") observer.connected(message.connected);
      else if (message.kind === "stop") isOver = true;
      else {
        observer.finish();
        post({ kind: "finished", gaps: observer.gaps });
      }
    }
    Atomics.wait(pause, 0, 0, gatherMs);
  }
  observer.close();
  table.close();
  waiter.close();
}

parentPort!.once("message", (data: ObserverData | null) => {
  if (data !== null) run(parentPort!, data);
});
