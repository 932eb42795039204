/** Asks the agent, over its socket that anybody on the machine may open: it answers questions and obeys nobody. */
import http from "node:http";
import { SallyportError } from "../errors.ts";

export interface AgentStatus {
  /** `lost`: enforcement has ended or cannot be vouched for. */
  state: "enforcing" | "monitoring" | "lost";
  since: string;
  problems: string[];
  allowed: number;
  denied: number;
  would_deny: number;
  tampering: number;
  /** Where the results will be. */
  report: string;
  receipt: string;
  sarif: string;
  summary: string;
  /** A copy of the record, as `logs verify --state` reads it. */
  record: string;
}

/** What the agent knows at the end; asking again gives a later one. */
export interface AgentFinish extends AgentStatus {
  digests: { report: string; receipt: string; summary: string };
}

interface Answers {
  status: AgentStatus;
  finish: AgentFinish;
}

const timeoutMs = 60_000;
const mostBytes = 1 << 20;

/** Throws NOT_RUNNING where no agent answers. */
export function askAgent<K extends keyof Answers>(socketPath: string, question: K): Promise<Answers[K]> {
  return new Promise((resolve, reject) => {
    const fail = (message: string) =>
      reject(new SallyportError("NOT_RUNNING", `The agent does not answer: ${message}.`));
    const request = http.request({ socketPath, path: `/${question}`, timeout: timeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size > mostBytes) request.destroy(new Error("it says too much"));
      });
      response.on("error", (error) => fail(error.message));
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        if (response.statusCode !== 200) return fail(`${response.statusCode} ${text}`);
        try {
          resolve(JSON.parse(text) as Answers[K]);
        } catch (error) {
          fail((error as Error).message);
        }
      });
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)));
    request.on("error", (error) => fail(error.message));
    request.end();
  });
}
