/**
 * Hears from the kernel that connections have ended, with their byte counts, and passes it on in batches. A thread of its
 * own, so that a busy main thread does not overrun the kernel's event buffer.
 */
import { type MessagePort, parentPort, receiveMessageOnPort } from "node:worker_threads";
import { ConntrackEvents, type Flow } from "../kernel/conntrack.ts";
import { DENY, isAllowed, PENDING, stateOf } from "../kernel/mark.ts";
import { inNamespace } from "../kernel/namespace.ts";
import { Waiter } from "../kernel/wait.ts";
import { EndedBatch } from "./ended-batch.ts";
import type { ConntrackWorkerData, FromConntrack, ToWorker } from "./messages.ts";

/** How long ends are gathered, ms. */
const gatherMs = 20;

function run(port: MessagePort, data: ConntrackWorkerData): void {
  const open = () => new ConntrackEvents(["destroy"]);
  const events = data.namespace === null ? open() : inNamespace(data.namespace, open);
  const waiter = new Waiter([events.fd]);
  const post = (message: FromConntrack) => port.postMessage(message);
  post({ kind: "ready", wake: waiter.wakeDescriptor });
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    waiter.wait(-1);
    // One message for what ends within a moment: each one wakes the main thread.
    Atomics.wait(pause, 0, 0, gatherMs);
    const message = receiveMessageOnPort(port);
    if ((message?.message as ToWorker | undefined)?.kind === "stop") break;
    const ended = new EndedBatch();
    const lost = !events.receive((_, flow) => collect(flow, ended));
    if (ended.size > 0 || lost) post({ kind: "ended", ended: ended.take(), lost });
  }
  events.close();
  waiter.close();
}

/** Only connections that carry our mark: the rest of the host's are nobody's business here. */
function collect(flow: Flow, ended: EndedBatch): void {
  const state = stateOf(flow.mark);
  if (isAllowed(flow.mark) || state === PENDING || state === DENY) ended.add(flow);
}

parentPort!.once("message", (data: ConntrackWorkerData | null) => {
  if (data !== null) run(parentPort!, data);
});
