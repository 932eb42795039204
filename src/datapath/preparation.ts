/**
 * What a queue's thread hears first. Not `workerData`: it is started before it is known what for, so that its modules are loaded by
 * then, and may be told in part first (`SpareThreads.prepare`): what tells whose packets are whose takes as long to open as all the
 * rest.
 */
import type { MessagePort } from "node:worker_threads";
import type { Attribution } from "./attribution.ts";
import type { QueueWorkerData, QueueWorkerPreparation } from "./messages.ts";

type FirstMessage = QueueWorkerData | { prepare: QueueWorkerPreparation } | null;

/** Calls `run` once all is known; `attribute` opens what tells whose packets are whose, or gives what is open. Never, where nobody needs the thread. */
export function whenTold(
  port: MessagePort,
  run: (data: QueueWorkerData, attribute: () => Attribution | null) => void,
): void {
  let prepared: Promise<Attribution> | null = null;
  port.on("message", async function told(message: FirstMessage) {
    if (message !== null && "prepare" in message) {
      prepared = attributionFor(message.prepare).then((open) => open());
      return;
    }
    port.off("message", told);
    if (message === null) return;
    const attribution = await prepared;
    const isOpen = message.who === null || attribution !== null;
    run(message, isOpen ? () => attribution : await attributionFor(message.who!));
  });
}

/** Only where it is asked for: a gateway has no use for it, and starts faster without. */
async function attributionFor(who: QueueWorkerPreparation): Promise<() => Attribution> {
  const { Attribution } = await import("./attribution.ts");
  return () => Attribution.open(who);
}
