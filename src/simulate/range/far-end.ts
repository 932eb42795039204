/** The sink of a range as a process in its world, told what to serve and asked what it saw over Node's own channel. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { SallyportError } from "../../errors.ts";
import { techniques } from "../catalogue.ts";
import { Sink } from "../sink/sink.ts";
import { type Testimony, verify } from "../sink/testimony.ts";
import { rangeZone, resolver, type Sites } from "./addresses.ts";

interface Order {
  token: string;
  sites: Pick<Sites, "tls" | "http">;
  v6: boolean;
}

type Answer = { ready: string[] } | { failed: string } | { testimony: string };

/** The process in the world: serves until its parent is gone. */
export async function serveRange(): Promise<void> {
  const [order] = (await once(process, "message")) as [Order];
  const say = (answer: Answer) => process.send!(answer);
  process.once("disconnect", () => process.kill(process.pid, "SIGKILL"));
  try {
    const sink = await Sink.start({
      token: order.token,
      tcp: techniques.flatMap(({ channel }) => (channel.kind === "tcp" ? [channel.port] : [])).concat(53),
      udp: (order.v6 ? [resolver.v4, resolver.v6] : [resolver.v4]).map((address) => ({ address, port: 53 })),
      zone: rangeZone(order.sites),
      zoneName: null,
      capture: true,
    });
    process.on("message", () => say({ testimony: JSON.stringify(sink.testimony()) }));
    say({ ready: sink.missing });
  } catch (error) {
    say({ failed: (error as Error).message });
  }
}

/** For a machine that is very busy. */
const answerMs = 60_000;

function place(why: string): SallyportError {
  return new SallyportError("PLACE", `The range has no sink: ${why}.`);
}

/** This process's end. */
export class FarEnd {
  readonly #child: ChildProcess;
  readonly #token: string;

  private constructor(child: ChildProcess, token: string) {
    this.#child = child;
    this.#token = token;
  }

  /** Rejects where it cannot serve all that it should. */
  static async start(child: ChildProcess, order: Order): Promise<FarEnd> {
    const end = new FarEnd(child, order.token);
    const ready = end.#next();
    child.send(order);
    const answer = await ready.catch((error: Error) => {
      throw place(error.message);
    });
    if ("failed" in answer) throw place(`it could not start: ${answer.failed}`);
    if ("ready" in answer && answer.ready.length > 0) throw place(`it lacks ${answer.ready.join("; ")}`);
    return end;
  }

  /** What it saw, or why it does not say. */
  async testimony(): Promise<Testimony | string> {
    try {
      const next = this.#next();
      this.#child.send({});
      const answer = await next;
      return "testimony" in answer ? verify(this.#token, answer.testimony) : "the sink did not understand";
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** The next message; rejects when the process ends or says nothing for a while. */
  #next(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const child = this.#child;
      const end = (finish: () => void) => {
        clearTimeout(timer);
        child.off("message", take);
        child.off("exit", gone);
        child.off("error", gone);
        finish();
      };
      const take = (message: unknown) => end(() => resolve(message as Answer));
      const gone = () => end(() => reject(new Error("the sink is gone")));
      const timer = setTimeout(() => end(() => reject(new Error("the sink does not answer"))), answerMs);
      child.once("message", take);
      child.once("exit", gone);
      child.once("error", gone);
      if (child.exitCode !== null || child.signalCode !== null) gone();
    });
  }
}
