/**
 * What a single decision is a sign of (`docs/detections.md`): a miner by what it says or whom it asks for, and on a machine a process
 * of the job that asks a metadata service. Looks at events as they are recorded; refuses nothing.
 */
import type { EventBody, EventProcess } from "../audit/event.ts";
import { formatTime } from "../audit/clock.ts";
import { metadataService } from "../detect/metadata.ts";
import { poolOf } from "../detect/mining.ts";
import { Repeats } from "../detect/repeats.ts";

export class Signs {
  readonly #onMachine: () => boolean;
  readonly #record: (event: EventBody) => void;
  readonly #repeats = new Repeats<EventBody>();

  constructor(options: { onMachine: () => boolean; record: (event: EventBody) => void }) {
    this.#onMachine = options.onMachine;
    this.#record = options.record;
  }

  see(event: EventBody, now: number): void {
    if (event.kind !== "connection" && event.kind !== "dns") return;
    const detection = this.#miner(event) ?? (this.#onMachine() && event.kind === "connection" ? metadata(event) : null);
    if (detection === null) return;
    const { process, source, destination, verdict } = event;
    const { type, message, ...evidence } = detection;
    const body: EventBody = {
      kind: "detection",
      ...(source === undefined ? {} : { source }),
      ...(process === undefined ? {} : { process }),
      ...(destination === undefined ? {} : { destination }),
      detection: { type, ...evidence, verdict },
      message: `${message}${by(process)}`,
    };
    const who = [process?.step, process?.exe, process?.container?.id, process === undefined ? source?.ip : null];
    const key = JSON.stringify([type, evidence, verdict, ...who]);
    if (this.#repeats.isNew(key, body, now)) this.#record(body);
  }

  /** Says how often it happened again in windows that have closed. Call it about once a second; with Infinity at the end. */
  tick(now: number): void {
    for (const { value, count, first, last } of this.#repeats.closed(now))
      this.#record({ ...value, count, first: formatTime(first * 1_000), last: formatTime(last * 1_000) });
  }

  #miner({ data, destination, kind }: EventBody) {
    const name = destination?.name ?? null;
    const pool = name === null ? null : poolOf(name);
    if (data?.speaks === "stratum") {
      return {
        type: "mining" as const,
        sign: "stratum",
        pool,
        message: `a miner talks to its pool at ${destination?.ip}`,
      };
    }
    // A name that is only that of the address was somebody else's question.
    if (pool === null || (kind === "connection" && destination?.name_from === "none")) return null;
    return { type: "mining" as const, sign: "pool", pool, message: `${destination!.name} is a mining pool's name` };
  }
}

/** Services of the machine's own may ask (the cloud's agent); who cannot be told is not taken for one of them. */
function metadata({ process, destination }: EventBody) {
  const service = metadataService(destination?.ip ?? "");
  if (service === null) return null;
  if (process !== undefined && (process.runner || (process.step === null && process.container === null))) return null;
  return { type: "metadata_service" as const, service, message: `${destination!.ip} is ${service}` };
}

function by(process: EventProcess | undefined): string {
  if (process === undefined) return "";
  const { exe, pid, step } = process;
  return `: asked by ${exe ?? `process ${pid}`}${step === null ? "" : ` of step ${step}`}`;
}
